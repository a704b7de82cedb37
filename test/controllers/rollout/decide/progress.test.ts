import { expect, it } from "vitest";
import { type Progress, progressOf } from "../../../../src/controllers/rollout/decide/progress.ts";
import type { WorkloadObject } from "../../../../src/controllers/rollout/decide/workload-object.ts";

type Status = NonNullable<WorkloadObject["status"]>;

/** A workload of generation 3 that its controller has observed. */
const object = (spec: WorkloadObject["spec"], status: Status = {}): WorkloadObject => ({
  metadata: { name: "app", generation: 3 },
  spec: spec ?? {},
  status: { observedGeneration: 3, ...status },
});
const reason = (text: string) => ({ conditions: [{ type: "Progressing", reason: text }] });
const done = { replicas: 2, updatedReplicas: 2, availableReplicas: 2 };
const onDelete = { updateStrategy: { type: "OnDelete" } };
const partition = (number: number) => ({ updateStrategy: { rollingUpdate: { partition: number } } });
const daemons = { desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 2 };

it.each<[what: string, spec: WorkloadObject["spec"], status: Status, progress: Progress]>([
  ["all pods new and available", { replicas: 2 }, done, "complete"],
  ["one replica by default", {}, { replicas: 1, updatedReplicas: 1, availableReplicas: 1 }, "complete"],
  ["one replica by default, not made yet", {}, {}, "progressing"],
  ["no replicas", { replicas: 0 }, {}, "complete"],
  ["a generation that is not observed", { replicas: 2 }, { ...done, observedGeneration: 2 }, "progressing"],
  ["too few new pods", { replicas: 2 }, { ...done, updatedReplicas: 1 }, "progressing"],
  ["old pods left", { replicas: 2 }, { ...done, replicas: 3 }, "progressing"],
  ["a new pod that is not available", { replicas: 2 }, { ...done, availableReplicas: 1 }, "progressing"],
  [
    "a pod lost after the rollout ended",
    { replicas: 2 },
    { ...done, availableReplicas: 1, ...reason("NewReplicaSetAvailable") },
    "complete",
  ],
  [
    "new pods missing, with the reason of the previous rollout",
    { replicas: 2 },
    { ...done, updatedReplicas: 0, ...reason("NewReplicaSetAvailable") },
    "progressing",
  ],
  [
    "its deadline exceeded",
    { replicas: 2 },
    { ...done, replicas: 3, updatedReplicas: 1, ...reason("ProgressDeadlineExceeded") },
    "failed",
  ],
  [
    "a new generation after its deadline was exceeded",
    { replicas: 2 },
    { ...done, observedGeneration: 2, ...reason("ProgressDeadlineExceeded") },
    "progressing",
  ],
  [
    "another condition with that reason",
    { replicas: 2 },
    { ...done, conditions: [{ type: "Available", reason: "ProgressDeadlineExceeded" }] },
    "complete",
  ],
])("reads a Deployment with %s", (_what, spec, status, progress) => {
  expect(progressOf("Deployment", object(spec, status))).toBe(progress);
});

it.each<[what: string, spec: WorkloadObject["spec"], status: Status, progress: Progress]>([
  ["all pods new and available", { replicas: 2 }, done, "complete"],
  ["a generation that is not observed", { replicas: 2 }, { ...done, observedGeneration: 2 }, "progressing"],
  ["too few new pods", { replicas: 2 }, { ...done, updatedReplicas: 1 }, "progressing"],
  ["a pod that is not available", { replicas: 2 }, { ...done, availableReplicas: 1 }, "progressing"],
  ["a partition that keeps a pod old", { replicas: 2, ...partition(1) }, { ...done, updatedReplicas: 1 }, "complete"],
  ["a partition above its replicas", { replicas: 2, ...partition(9) }, { ...done, updatedReplicas: 0 }, "complete"],
  ["OnDelete, whatever its pods", { replicas: 2, ...onDelete }, { updatedReplicas: 0 }, "complete"],
  ["OnDelete, not observed", { replicas: 2, ...onDelete }, { ...done, observedGeneration: 2 }, "progressing"],
  ["no replicas", { replicas: 0 }, {}, "complete"],
])("reads a StatefulSet with %s", (_what, spec, status, progress) => {
  expect(progressOf("StatefulSet", object(spec, status))).toBe(progress);
});

it.each<[what: string, spec: WorkloadObject["spec"], status: Status, progress: Progress]>([
  ["all pods new and available", {}, daemons, "complete"],
  ["no node for it", {}, {}, "complete"],
  ["a generation that is not observed", {}, { ...daemons, observedGeneration: 2 }, "progressing"],
  ["too few new pods", {}, { ...daemons, updatedNumberScheduled: 1 }, "progressing"],
  ["a pod that is not available", {}, { ...daemons, numberAvailable: 1 }, "progressing"],
  ["OnDelete, whatever its pods", onDelete, { ...daemons, updatedNumberScheduled: 0 }, "complete"],
])("reads a DaemonSet with %s", (_what, spec, status, progress) => {
  expect(progressOf("DaemonSet", object(spec, status))).toBe(progress);
});

it.each<[what: string, status: Status, progress: Progress]>([
  ["Healthy", { phase: "Healthy" }, "complete"],
  ["Progressing", { phase: "Progressing" }, "progressing"],
  ["Paused", { phase: "Paused" }, "progressing"],
  ["Degraded", { phase: "Degraded" }, "failed"],
  ["unknown", {}, "progressing"],
  ["Healthy by a text as generation", { phase: "Healthy", observedGeneration: "3" }, "complete"],
  ["Healthy of an older generation", { phase: "Healthy", observedGeneration: "2" }, "progressing"],
  ["Healthy of an older controller's hash", { phase: "Healthy", observedGeneration: "7c9f" }, "progressing"],
])("reads an Argo Rollout whose phase is %s", (_what, status, progress) => {
  expect(progressOf("Rollout", object({}, status))).toBe(progress);
});

it("takes a CronJob for complete, and a workload without a status for progressing", () => {
  expect(progressOf("CronJob", { metadata: { name: "job", generation: 3 } })).toBe("complete");
  for (const kind of ["Deployment", "StatefulSet", "DaemonSet", "Rollout"]) {
    expect(progressOf(kind, { metadata: { name: "app", generation: 1 } })).toBe("progressing");
  }
});
