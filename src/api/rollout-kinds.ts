/** A kind of workload that can be restarted. Rollout is that of Argo Rollouts, argoproj.io. */
export type RolloutKind = "Deployment" | "StatefulSet" | "DaemonSet" | "Rollout";

/** Every kind of workload that can be restarted. */
export const rolloutKinds: readonly RolloutKind[] = ["Deployment", "StatefulSet", "DaemonSet", "Rollout"];
