import type { RolloutKind } from "../../../api/rollout-kinds.ts";
import type { OwnerReference } from "../../../kube/resource.ts";
import { digest } from "../../syncedsecret/plan/digest.ts";
import { markPrefix } from "./mark.ts";
import { isAvailable, isReplacing, type Progress, progressOf } from "./progress.ts";
import { type Use, usesOf } from "./uses.ts";
import type { WorkloadObject } from "./workload-object.ts";

/** A workload as a decision needs it. */
export interface Workload {
  kind: RolloutKind | "CronJob";
  name: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  /** How it uses each Secret, by the Secret's name. */
  uses: ReadonlyMap<string, readonly Use[]>;
  /** A digest of its pod template without the restart annotations. */
  template: string;
  /** The restart annotations of its pod template, by name. */
  marks: ReadonlyMap<string, string>;
  /** Kind and name of the controller that owns it, and that would undo a change. */
  owner: string | undefined;
  /** The number of pods that it wants. */
  wanted: number;
  /** Whether its rollouts are paused. */
  isPaused: boolean;
  /** Whether its pods change only when somebody deletes them. */
  isManual: boolean;
  progress: Progress;
  /** Whether its controller is still replacing pods, whether or not they are available. */
  isReplacing: boolean;
  /** Whether all pods that it wants are available now. */
  isAvailable: boolean;
  /** When it was created, in milliseconds since the epoch. */
  createdAt: number;
}

/** Identifies a workload within its namespace. */
export function idOf({ kind, name }: { kind: string; name: string }): string {
  return `${kind}/${name}`;
}

/** Reads a workload of the API; undefined if it has no pod template, as a Rollout with workloadRef. */
export function workloadOf(kind: Workload["kind"], object: WorkloadObject): Workload | undefined {
  const { metadata, spec = {} } = object;
  const template = kind === "CronJob" ? spec.jobTemplate?.spec?.template : spec.template;
  if (!template || metadata.deletionTimestamp) return undefined;
  const owner = metadata.ownerReferences?.find((one: OwnerReference) => one.controller);
  const annotations = Object.entries(template.metadata?.annotations ?? {});
  let digested: string | undefined;
  return {
    kind,
    name: metadata.name!,
    uid: metadata.uid!,
    resourceVersion: metadata.resourceVersion!,
    generation: metadata.generation ?? 0,
    uses: usesOf(template.spec ?? {}),
    // Only Revert asks for it.
    get template() {
      digested ??= templateDigest(template.metadata, annotations, template.spec);
      return digested;
    },
    marks: new Map(annotations.filter(([name]) => isMark(name))),
    owner: owner && `${owner.kind} ${owner.name}`,
    wanted: kind === "DaemonSet" ? (object.status?.desiredNumberScheduled ?? 1) : (spec.replicas ?? 1),
    isPaused: spec.paused === true || (kind === "Rollout" && object.status?.phase === "Paused"),
    isManual: spec.updateStrategy?.type === "OnDelete",
    progress: progressOf(kind, object),
    isReplacing: isReplacing(kind, object),
    isAvailable: isAvailable(kind, object),
    createdAt: Date.parse(metadata.creationTimestamp ?? "") || 0,
  };
}

function isMark(name: string): boolean {
  return name.startsWith(markPrefix);
}

function templateDigest(
  metadata: object | undefined,
  annotations: [string, string][],
  spec: object | undefined,
): string {
  const others = annotations.filter(([name]) => !isMark(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  return digest(JSON.stringify([{ ...metadata, annotations: others }, spec]));
}
