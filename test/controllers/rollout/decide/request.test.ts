import { expect, it } from "vitest";
import type { SyncedSecret } from "../../../../src/api/types.ts";
import { asksForRollout, sourceOf } from "../../../../src/controllers/rollout/decide/request.ts";
import { aSyncedSecret, secretOf } from "../secret.ts";

type Status = NonNullable<SyncedSecret["status"]>;

const time = "2026-01-01T12:00:00Z";
const requestOf = (status?: Status, rollout?: object, revision: string | undefined = "r2") => {
  const resource = aSyncedSecret(status, rollout);
  return sourceOf(resource, secretOf(resource, revision, time)).request;
};

it("takes the revision and the time of the last write from the Secret", () => {
  expect(requestOf()).toMatchObject({
    ...{ key: "shop/db", secret: "db", revision: "r2", changedAt: Date.parse(time), targets: undefined },
    ...{ minIntervalMs: 60_000, progressDeadlineMs: 600_000 },
  });
  const resource = aSyncedSecret();
  expect(sourceOf(resource, secretOf(resource, undefined, time))).toMatchObject({
    request: { revision: undefined },
    written: "written",
  });
});

it("takes every pod for older if the time of the last write is not known", () => {
  const resource = aSyncedSecret();
  expect(sourceOf(resource, secretOf(resource, "r2")).request.changedAt).toBe(Number.POSITIVE_INFINITY);
});

it("takes no revision from a Secret of somebody else, nor one that somebody else has written into ours", () => {
  const resource = aSyncedSecret();
  const { ownerReferences: _owner, ...foreign } = secretOf(resource, "r2", time);
  expect(sourceOf(resource, foreign)).toMatchObject({ request: { revision: undefined }, written: undefined });
  const secret = secretOf(resource, undefined, time);
  const forged = { ...secret, annotations: { ...secret.annotations, "keyferry.io/restart-revision": "forged" } };
  expect(sourceOf(resource, forged).request.revision).toBeUndefined();
  expect(sourceOf(resource, undefined).request.revision).toBeUndefined();
});

it("reads targets and durations, targets only with mode Listed", () => {
  const targets = [{ kind: "StatefulSet", name: "db" }];
  const listed = { mode: "Listed", targets, minInterval: "0s", progressDeadline: "1h30m" };
  expect(requestOf(undefined, listed)).toMatchObject({
    ...{ targets: ["StatefulSet/db"], minIntervalMs: 0, progressDeadlineMs: 5_400_000 },
  });
  expect(requestOf(undefined, { mode: "Auto", targets }).targets).toBeUndefined();
});

it("reads what the status records of each workload", () => {
  const workloads = [
    { kind: "Deployment", name: "a", state: "Current", restartedFor: "r1" },
    { kind: "Deployment", name: "b", state: "Undone", restartedFor: "r2", putBack: true },
    { kind: "Deployment", name: "c", state: "Current" },
  ];
  expect(Object.fromEntries(requestOf({ workloads }).records)).toEqual({
    "Deployment/a": { revision: "r1", putBack: false },
    "Deployment/b": { revision: "r2", putBack: true },
  });
});

it("takes workloads for current that the status calls so, if all ran with this revision then", () => {
  const workloads = ["Current", "Owned", "Waiting"].map((state) => ({ kind: "Deployment", name: state, state }));
  const currentOf = (rolledOutRevision?: string) => [
    ...requestOf({ workloads, ...(rolledOutRevision === undefined ? {} : { rolledOutRevision }) }).current,
  ];
  expect(currentOf("r2")).toEqual(["Deployment/Current"]);
  expect(currentOf("r1")).toEqual([]);
  expect(currentOf()).toEqual([]);
});

it("asks for nothing without a rollout, and with mode None", () => {
  const { spec: _spec, ...rest } = aSyncedSecret();
  expect(asksForRollout({ ...rest, spec: {} })).toBe(false);
  expect(asksForRollout(aSyncedSecret(undefined, { mode: "None" }))).toBe(false);
  expect(asksForRollout(aSyncedSecret(undefined, { mode: "Listed" }))).toBe(true);
});
