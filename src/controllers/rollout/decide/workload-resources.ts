import { cronJobs, daemonSets, deployments, type Resource, rollouts, statefulSets } from "../../../kube/resource.ts";
import type { Workload } from "./workload.ts";

/** The resource of each kind of workload. */
export const resourceOf: Readonly<Record<Workload["kind"], Resource>> = {
  Deployment: deployments,
  StatefulSet: statefulSets,
  DaemonSet: daemonSets,
  Rollout: rollouts,
  CronJob: cronJobs,
};
