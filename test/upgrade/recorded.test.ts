import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { AuditReader } from "../cluster/audit.ts";
import { startCluster } from "../cluster/cluster.ts";
import { connectionTo } from "../e2e/stage.ts";
import { startEmulator } from "../emulator/emulator.ts";
import { type RunningOperator, startOperator, until } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { putIntoEtcd } from "./etcd.ts";
import { Fleet } from "./fleet.ts";
import { putRecorded, readRecorded } from "./recorded.ts";
import { secretValue, snapshotOf, versionsOf } from "./snapshot.ts";
import { previous } from "./versions.ts";

/** This version starts with what a previous version has left: its Secrets, statuses and Leases, recorded. */

const own = "keyferry-system";
const names = Object.keys(previous) as (keyof typeof previous)[];
let time: number | undefined;
const clock: Clock = { ...systemClock, now: () => time ?? systemClock.now() };
const [cluster, aws, folder] = await Promise.all([
  startCluster({ audit: true, crds: "crds" }),
  startEmulator({ reads: "memory", quota: "none", clock }),
  mkdtemp(join(tmpdir(), "keyferry-recorded-")),
]);
removeAtEnd(folder);
const fleets = names.map((name) => new Fleet(name, 22, aws));
const members = fleets.flatMap(({ members }) => members);
let audit: AuditReader;
let operator: RunningOperator;

const snapshots = () => Promise.all(fleets.map(({ namespace }) => snapshotOf(cluster, namespace)));
/** Every Secret and SyncedSecret with its uid and resourceVersion. */
const versions = async () =>
  (await snapshots()).map(({ secrets, syncedSecrets }) => ({
    secrets: versionsOf(secrets, [...secrets.keys()]),
    // The health of keys is checked later, and may change a status.
    syncedSecrets: versionsOf(
      syncedSecrets,
      [...syncedSecrets.keys()].filter((name) => !name.startsWith("blob-")),
    ),
  }));
const writes = async () =>
  (await audit.take())
    .filter(({ userAgent, verb }) => userAgent.startsWith("keyferry/") && !["get", "list", "watch"].includes(verb))
    .filter(({ resource }) => resource !== "leases")
    .map(({ verb, resource, namespace, name }) => `${verb} ${resource} ${namespace}/${name}`);

beforeAll(async () => {
  audit = await AuditReader.from(cluster.auditLogPath);
  aws.deny({ action: "kms:DescribeKey" });
  await cluster.run(["apply", "-f", "-"], connectionTo(aws.url, { pollInterval: "10s" }));
  for (const name of [own, ...names]) await cluster.run(["create", "namespace", name]);
  const states = names.map(readRecorded);
  for (const { parameters } of states) {
    await putRecorded(aws, parameters, (ms) => {
      time = ms;
    });
  }
  // Owners first: the garbage collector deletes a Secret whose owner does not exist.
  const objects = states.flatMap((state) => state.objects).sort((a, b) => (a.kind < b.kind ? 1 : -1));
  await putIntoEtcd(cluster.etcdUrl, objects);
  const isThere = async () =>
    (await snapshots()).every(({ secrets, syncedSecrets }, index) => {
      return secrets.size === fleets[index]!.synced.length && syncedSecrets.size === fleets[index]!.members.length;
    });
  await until(isThere, 20_000, "the recorded state");
}, 120_000);

afterAll(async () => {
  await operator?.stop();
  await cluster.stop();
  await aws.stop();
});

it("the state of previous versions costs no decryption and no write", async () => {
  const before = await versions();
  await audit.take();
  operator = await startOperator({
    kubeconfig: cluster.kubeconfigPath,
    folder,
    args: ["--leader-elect"],
    env: { POD_NAMESPACE: own },
  });
  const isSeen = async () => (await operator.metric("keyferry_syncs_total")) >= members.length;
  await until(isSeen, 30_000, "a reconcile of each");
  await sleep(1_000);
  expect(await versions()).toEqual(before);
  const isOfKeys = (write: string) => /^patch syncedsecrets\S* \S+\/blob-/.test(write);
  const others = (await writes()).filter((write) => !write.includes("awsconnections") && !isOfKeys(write));
  expect(others).toEqual([]);
  expect(aws.log({ decrypt: true })).toEqual([]);
  expect(aws.count({ service: "kms", operation: "Decrypt" })).toBe(0);
});

it("a change of a parameter then writes its Secret once, and no other", async () => {
  await writes();
  const changing = fleets.flatMap((fleet) => fleet.changing.map((member) => ({ fleet, member })));
  for (const { fleet, member } of changing) await fleet.put(member, "third");
  const isChanged = async () => {
    const now = await snapshots();
    return changing.every(({ fleet, member }) => {
      return secretValue(now[fleets.indexOf(fleet)]!, member.secret, member.key) === "third";
    });
  };
  await until(isChanged, 60_000, "the changes");
  const secrets = changing.map(({ fleet, member }) => `patch secrets ${fleet.namespace}/${member.secret}`);
  expect((await writes()).filter((write) => write.includes(" secrets ")).sort()).toEqual(secrets.sort());
});
