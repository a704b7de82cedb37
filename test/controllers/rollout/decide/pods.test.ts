import { expect, it } from "vitest";
import { podOf } from "../../../../src/controllers/rollout/decide/pods.ts";
import type { ObjectMeta } from "../../../../src/kube/resource.ts";

const created = "2026-01-01T12:00:00Z";
const owner = (kind: string, name: string, controller = true) => ({
  ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid: "1", controller }],
});
const labels = (name: string, hash: string) => ({ labels: { [name]: hash } });
const pod = (metadata: Partial<ObjectMeta>) =>
  podOf({ metadata: { name: "pod", creationTimestamp: created, ...metadata } });

it.each<[what: string, metadata: Partial<ObjectMeta>, workload: string]>([
  [
    "a Deployment, by its ReplicaSet's name without the hash",
    { ...owner("ReplicaSet", "shop-web-6f7c"), ...labels("pod-template-hash", "6f7c") },
    "Deployment/shop-web",
  ],
  [
    "an Argo Rollout, by the hash of its label",
    { ...owner("ReplicaSet", "shop-5b4d"), ...labels("rollouts-pod-template-hash", "5b4d") },
    "Rollout/shop",
  ],
  ["a StatefulSet", owner("StatefulSet", "db"), "StatefulSet/db"],
  ["a DaemonSet", owner("DaemonSet", "agent"), "DaemonSet/agent"],
])("gives a pod to %s", (_what, metadata, workload) => {
  expect(pod(metadata)).toEqual({ name: "pod", workload, createdAt: Date.parse(created), annotations: {} });
});

it.each<[what: string, metadata: Partial<ObjectMeta>]>([
  ["without an owner", {}],
  ["whose owner does not control it", owner("StatefulSet", "db", false)],
  ["that is being deleted", { ...owner("StatefulSet", "db"), deletionTimestamp: created }],
  ["of a ReplicaSet without a hash", owner("ReplicaSet", "shop-6f7c")],
  [
    "of a ReplicaSet that is not named after its hash",
    { ...owner("ReplicaSet", "shop"), ...labels("pod-template-hash", "6f7c") },
  ],
])("passes over a pod %s", (_what, metadata) => {
  expect(pod(metadata)).toBeUndefined();
});

it("keeps the annotations, and takes a pod without a time for old", () => {
  const annotations = { "restart.keyferry.io/db": "r2" };
  const metadata = { name: "pod", ...owner("StatefulSet", "db"), annotations };
  expect(podOf({ metadata })).toEqual({ name: "pod", workload: "StatefulSet/db", createdAt: 0, annotations });
});
