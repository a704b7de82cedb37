import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { annotations } from "../../src/api/annotations.ts";
import { openStage, type Stage } from "../e2e/stage.ts";
import { Release } from "../helm/release.ts";
import { until } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { Fleet, type Member } from "./fleet.ts";
import { Load } from "./load.ts";
import { Pods } from "./pods.ts";
import { eventsOf, type Seen, type Snapshot, secretValue, snapshotOf, versionsOf } from "./snapshot.ts";
import { present, previous, type Version, versionAt, withNextFormat } from "./versions.ts";

/** Upgrades and rollbacks with real processes, under changes of parameters. `make upgrade` runs the long form. */
const isCampaign = Boolean(process.env.CAMPAIGNS);
const size = isCampaign ? 198 : 44;
/** Changes go on for this long before and after the processes are replaced. */
const loadMs = isCampaign ? 10_000 : 1_500;
/**
 * A change is in its Secret within this time, also if it came while nobody led. The emulator gives a message to a long poll of
 * the old leader that has been ended, and then hides it for a minute. In the short form polls find such a change sooner.
 */
const withinMs = 65_000;
const names = (isCampaign ? Object.keys(previous) : ["two-replicas"]) as (keyof typeof previous)[];
const values = { allowInsecureEndpoints: true };
const decrypting = ["GetParameters", "GetParameter", "GetParametersByPath"];

describe.each(await Promise.all(names.map(async (name) => ({ name, found: await versionAt(previous[name]) }))))(
  "from $name",
  ({ name, found }) => {
    const before = typeof found === "string" ? undefined : found;
    const isWithChart = name === "two-replicas";
    let stage: Stage;
    let release: Release;
    let pods: Pods;
    let fleet: Fleet;
    let edited: Member;

    beforeAll(async () => {
      if (!before) return;
      stage = await openStage({ crds: isWithChart ? undefined : before.crds });
      const { cluster, aws } = stage;
      release = new Release(cluster, "keyferry-system");
      pods = new Pods(stage, release);
      await cluster.run(["create", "namespace", release.namespace]);
      await install(before);
      const queueUrl = await aws.createQueue("keyferry");
      aws.eventsTo(queueUrl);
      const endpoints = { ssm: aws.url, kms: aws.url, sts: aws.url, sqs: aws.url };
      await stage.connect({ pollInterval: isCampaign ? "1h" : "10s", endpoints, events: { queueUrl } });
      fleet = new Fleet("fleet", size, aws);
      edited = fleet.quiet.find(({ kind }) => kind === "plain")!;
      await fleet.create(cluster);
      await pods.roll(before);
      await until(async () => fleet.synced.every(isReadyIn(await snapshot())), 60_000, "the first sync");
      // What is learnt of keys and policies comes later.
      await settled();
      // An announced change proves the queue.
      await measure(async () => {});
    }, 240_000);

    afterAll(async () => {
      await pods?.stop();
      await stage?.close();
    });

    const install = async (version: Version) => {
      if (isWithChart) return release.install(values, version.chart);
      await stage.cluster.run(["apply", "--server-side", "--filename", version.crds]);
      return release.install({ ...values, crds: { install: false } }, version.chart);
    };
    const snapshot = () => snapshotOf(stage.cluster, fleet.namespace);
    /** Resolves when no status has changed for three seconds. */
    const settled = async () => {
      const versions = async () => JSON.stringify(versionsOf((await snapshot()).syncedSecrets, nameOfAll));
      const nameOfAll = fleet.members.map((member) => member.name);
      const isQuiet = async () => {
        const before = await versions();
        await sleep(3_000);
        return before === (await versions());
      };
      await until(isQuiet, 60_000, "an end of the status writes");
    };

    /** Runs `work` while parameters change, and checks that nothing but the changed parameters cost anything. */
    async function measure(work: () => Promise<unknown>): Promise<void> {
      const { aws, audit, cluster } = stage;
      wasEdited = false;
      const start = await snapshot();
      const events = await eventsOf(cluster, fleet.namespace);
      aws.resetCalls();
      await audit.take();
      const load = new Load(fleet, 200);
      await sleep(loadMs);
      await work();
      await sleep(loadMs);
      const stoppedAt = await load.stop();
      const isCurrent = (now: Snapshot) => (member: Member) =>
        secretValue(now, member.secret, member.key) ===
        (load.values.get(member.name) ?? secretValue(start, member.secret, member.key));
      let missing: string[] = [];
      await until(
        async () => {
          const now = await snapshot();
          missing = fleet.synced.filter((member) => !isCurrent(now)(member)).map((member) => member.name);
          return missing.length === 0;
        },
        90_000,
        () => `the change of ${missing}`,
      );
      const lateMs = performance.now() - stoppedAt;
      if (isCampaign) console.log(`${name}: the last change was in its Secret after ${Math.round(lateMs)} ms`);
      expect(lateMs).toBeLessThan(withinMs);

      const end = await snapshot();
      const quiet = fleet.quiet.filter((member) => !wasEdited || member !== edited);
      const secrets = quiet.filter(({ kind }) => kind !== "missing").map(({ secret }) => secret);
      expect(versionsOf(end.secrets, secrets)).toEqual(versionsOf(start.secrets, secrets));
      const resources = quiet.map((member) => member.name);
      expect(versionsOf(end.syncedSecrets, resources)).toEqual(versionsOf(start.syncedSecrets, resources));
      for (const [secret, { metadata }] of start.secrets)
        expect(end.secrets.get(secret)?.metadata.uid).toBe(metadata.uid);

      const mayRead = [...fleet.changing, ...(wasEdited ? [edited] : [])].flatMap(({ parameters }) => parameters);
      const read = aws.log({ decrypt: true }).filter(({ operation }) => decrypting.includes(operation));
      const names = new Set(read.flatMap((call) => call.names ?? []).map((one) => one.split(":")[0]!));
      const isOf = (one: string) => (parameter: string) =>
        parameter === one || parameter.startsWith(one.replace(/\/?$/, "/"));
      const unexpected = [...names].filter((one) => !mayRead.some(isOf(one)));
      expect(unexpected).toEqual([]);
      expect(aws.count({ service: "kms", operation: "Decrypt", via: "client" })).toBe(0);

      const writes = new Map<string, number>();
      for (const { verb, resource, namespace, name: of, code, user } of await audit.take()) {
        if (user !== release.user || resource !== "secrets" || namespace !== fleet.namespace) continue;
        if (["patch", "create", "update", "delete"].includes(verb) && code < 300) {
          writes.set(of, (writes.get(of) ?? 0) + 1);
        }
      }
      for (const member of fleet.changing) {
        expect(writes.get(member.secret) ?? 0, member.name).toBeLessThanOrEqual(load.puts.get(member.name) ?? 0);
      }
      const repaired = wasEdited ? [`${edited.name} Repaired × 1`] : [];
      expect(await eventsOf(cluster, fleet.namespace)).toEqual([...events, ...repaired].sort());
    }

    let wasEdited = false;
    /** Somebody edits a Secret: its repair has one Event, whoever leads. */
    const edit = async () => {
      wasEdited = true;
      const patch = JSON.stringify({ data: { [edited.key]: Buffer.from("edited").toString("base64") } });
      await stage.cluster.run(["patch", "secret", edited.secret, "-n", fleet.namespace, "--type=merge", "-p", patch]);
    };

    const upgrade = async (version: Version, between?: () => Promise<unknown>) => {
      // As docs/upgrade.md says: a version without a Lease is stopped first.
      if (name === "one-replica") await pods.stop();
      await install(version);
      expect(await pods.roll(version, between)).toSatisfy(allZero);
    };

    it.skipIf(!before)(
      `an upgrade decrypts and writes nothing that has not changed${reason(found)}`,
      async () => {
        await measure(() => upgrade(present, edit));
      },
      180_000,
    );

    it.skipIf(!before)(
      `a rollback decrypts and writes nothing that has not changed${reason(found)}`,
      async () => {
        await measure(async () => {
          await release.rollback();
          expect(await pods.roll(before!)).toSatisfy(allZero);
        });
      },
      180_000,
    );

    it.skipIf(!before || !isCampaign)(
      `a rollback from a new revision format writes only Secrets that have that format, once${reason(found)}`,
      async () => {
        const folder = await mkdtemp(join(tmpdir(), "keyferry-next-"));
        removeAtEnd(folder);
        const next = await withNextFormat(folder);
        await measure(() => upgrade(next));
        const start = await snapshot();
        const events = await eventsOf(stage.cluster, fleet.namespace);
        // Under Merge the annotation's name ends with a uid.
        const isNew = ({ metadata }: Seen) =>
          Object.entries(metadata.annotations ?? {}).some(
            ([annotation, text]) => annotation.startsWith(annotations.revision) && text.startsWith("2."),
          );
        expect([...start.secrets.values()].filter(isNew).length).toBeGreaterThan(fleet.changing.length / 2);
        await release.rollback();
        await pods.roll(before!);
        await until(async () => [...(await snapshot()).secrets.values()].every((one) => !isNew(one)), 30_000);
        const end = await snapshot();
        const quiet = fleet.quiet.filter(({ kind }) => kind !== "missing").map(({ secret }) => secret);
        expect(versionsOf(end.secrets, quiet)).toEqual(versionsOf(start.secrets, quiet));
        for (const [secret, { data }] of start.secrets) expect(end.secrets.get(secret)?.data).toEqual(data);
        expect(fleet.synced.filter((member) => !isReadyIn(end)(member))).toEqual([]);
        expect(await eventsOf(stage.cluster, fleet.namespace)).toEqual(events);
      },
      180_000,
    );
  },
);

const isReadyIn = (now: Snapshot) => (member: Member) =>
  now.syncedSecrets.get(member.name)?.status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";
const allZero = (codes: (number | null)[]) => codes.every((code) => code === 0);
const reason = (found: Version | string) => (typeof found === "string" ? ` (skipped: ${found})` : "");
