import { afterEach, beforeEach, expect, it } from "vitest";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import { EngineRig } from "../support/engine.ts";

const parameter = (name: string): SyncedSecretSpec => ({
  connectionRef: { kind: "ClusterAWSConnection", name: "c" },
  data: [{ key: "V", parameter: { name } }],
});

let rig: EngineRig;
beforeEach(() => {
  rig = new EngineRig();
  for (const namespace of ["a", "b"]) rig.namespace(namespace);
  rig.credentials.set("a/aws", "AKIAA");
  rig.connection(undefined, "c", {
    region: "eu-west-1",
    auth: { secretRef: { name: "aws", namespace: "a" } },
    allow: { namespaces: { names: ["a", "b"] }, parameters: ["/*"] },
  });
});
afterEach(() => rig.stop());

/** The API server takes so long to answer each write, in milliseconds. */
const slowly = (ms: number) => () => new Promise<void>((resolve) => rig.clock.setTimer(resolve, ms));
const kinds = (kind: string) => rig.writes.filter((write) => write.kind === kind);

it("all Secrets of a first sync are written before nearly all statuses, in every namespace", async () => {
  rig.aws.put("/p", "value");
  // Quick enough that the limit of writes rises to its maximum early.
  rig.holdWrite = slowly(50);
  for (let n = 0; n < 1_000; n++) rig.synced(n % 2 ? "a" : "b", `s${n}`, parameter("/p"));
  rig.start();
  await rig.pass(60_000);
  expect([kinds("secret").length, kinds("status").length]).toEqual([1_000, 1_000]);
  const last = rig.writes.findLastIndex(({ kind }) => kind === "secret");
  expect(last).toBeLessThan(1.02 * 1_000);
  // A few statuses come early, so that none waits forever for a stream of Secrets.
  expect(last).toBeGreaterThan(1.001 * 1_000);
  const [first, final] = [rig.writes[0]!.at, rig.writes.at(-1)!.at];
  expect((rig.writes[last]!.at - first) / (final - first)).toBeLessThan(0.6);
});

it("statuses that hang hold no slot: more reconciles than a connection has slots write their Secrets", async () => {
  rig.aws.put("/p", "value");
  rig.holdWrite = ({ kind }) => (kind === "status" ? new Promise(() => {}) : undefined);
  for (let n = 0; n < 600; n++) rig.synced("a", `s${n}`, parameter("/p"));
  rig.start();
  await rig.pass(10_000);
  expect(kinds("secret")).toHaveLength(600);
  const { syncedSecrets } = rig.engine.queues;
  expect(syncedSecrets.inWork).toBe(600);
  expect(syncedSecrets.isInWork("a/s0")).toBe(true);
});

it("a SyncedSecret is settled only when its status is written", async () => {
  rig.aws.put("/p", "value");
  let answer = () => {};
  rig.holdWrite = ({ kind }) => {
    if (kind === "status") return new Promise((resolve) => (answer = resolve));
    return undefined;
  };
  rig.synced("a", "s", parameter("/p"));
  rig.start();
  await rig.pass(1_000);
  let isSettled = false;
  void rig.engine.syncedSecrets.settled(["a/s"]).then(() => {
    isSettled = true;
  });
  await rig.pass(1_000);
  expect([kinds("secret").length, kinds("status").length, isSettled]).toEqual([1, 1, false]);
  answer();
  await rig.pass(100);
  expect(isSettled).toBe(true);
});

it("a status under way delays the next reconcile of its SyncedSecret, and is written again after it", async () => {
  rig.aws.put("/p", "value");
  const answers: (() => void)[] = [];
  rig.holdWrite = ({ kind }) => (kind === "status" ? new Promise((resolve) => answers.push(resolve)) : undefined);
  rig.synced("a", "s", parameter("/p"));
  rig.start();
  await rig.pass(1_000);
  rig.aws.put("/p", "changed");
  rig.aws.put("/q", "value");
  rig.synced("a", "s", parameter("/q"));
  await rig.pass(1_000);
  expect(rig.writes.map(({ kind }) => kind)).toEqual(["secret", "status"]);
  answers[0]!();
  await rig.pass(1_000);
  expect(rig.writes.map(({ kind }) => kind)).toEqual(["secret", "status", "secret", "status"]);
});

it("an urgent change passes the status that still waits behind a first sync", async () => {
  rig.aws.put("/p", "value");
  rig.aws.put("/q", "value");
  rig.holdWrite = slowly(1_000);
  for (let n = 0; n < 5; n++) rig.synced("a", `s${n}`, parameter("/p"));
  rig.synced("a", "mine", parameter("/q"));
  for (let n = 0; n < 500; n++) rig.synced("b", `s${n}`, parameter("/p"));
  rig.start();
  await rig.pass(3_000);
  const of = (kind: string) => kinds(kind).filter(({ key }) => key === "a/mine").length;
  expect([of("secret"), of("status")]).toEqual([1, 0]);
  rig.engine.syncedSecrets.triggers.enqueue("a/mine", "event");
  await rig.pass(3_000);
  expect([of("secret"), of("status")]).toEqual([1, 1]);
  expect(kinds("secret").length).toBeLessThan(400);
});
