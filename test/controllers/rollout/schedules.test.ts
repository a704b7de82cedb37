import fc from "fast-check";
import { expect, it } from "vitest";
import { sharedCluster } from "../../cluster/shared.ts";
import { makeWorld } from "../world.ts";
import { runSchedules } from "./run-schedules.ts";
import { envOf, Workloads } from "./workloads.ts";

// ROLLOUT_SCHEDULES sets another number of schedules.
const runs = Number(process.env.ROLLOUT_SCHEDULES ?? 40);
const world = await makeWorld(await sharedCluster(), "schedules", { maxConcurrentRollouts: 2 });
const workloads = new Workloads(world.client, world.namespace);
const minute = 60_000;

/** What happens in a schedule; the numbers name one of two Secrets or three Deployments. */
type Step =
  | { do: "change"; secret: number; toEqualBytes: boolean }
  | { do: "undo" | "pause" | "resume" | "begin" | "rollOut" | "fail" | "edit"; workload: number }
  | { do: "undoEachTime"; workload: number; times: number }
  | { do: "handOver" }
  | { do: "jump"; ms: number }
  | { do: "pass"; ms: number };

const workload = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("change" as const), secret: fc.nat(1), toEqualBytes: fc.boolean() }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom(...(["undo", "pause", "resume", "begin", "rollOut", "rollOut", "fail", "edit"] as const)),
      workload,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("undoEachTime" as const), workload, times: fc.integer({ min: 2, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "handOver" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("jump" as const), ms: fc.integer({ min: -60 * minute, max: 60 * minute }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 1_000, max: 12 * minute }) }),
  },
);

/** Time passes, and everything that is due happens. */
async function pass(ms: number): Promise<void> {
  while (await world.rollOut()) await world.fill();
  await world.pass(ms, 1);
  while (await world.rollOut()) await world.sync();
}

/** The reason of the condition RolledOut of a SyncedSecret. */
async function rolledOutReason(name: string): Promise<string | undefined> {
  return (await world.synced(name)).status?.conditions?.find(({ type }) => type === "RolledOut")?.reason;
}

let serial = 0;

/** One schedule with objects of its own. */
class Scene {
  readonly #id = `s${serial++}`;
  readonly secrets = [0, 1].map((index) => `${this.#id}-${index}`);
  /** The first uses one Secret, the second the other, the third both. */
  readonly deployments = [0, 1, 2].map((index) => `${this.#id}-d${index}`);
  readonly #values = ["", ""];
  #changes = 0;
  /** By Deployment and annotation: the last value seen, and how often each revision was set and taken away. */
  readonly #marks = new Map<string, Map<string, string>>();
  readonly #set = new Map<string, number>();
  readonly #undone = new Map<string, number>();
  /** By Deployment, annotation and revision: restarts that failed. */
  readonly #failed = new Set<string>();
  /** The revisions of restarts that failed and were then taken back: with Pause, nothing more is restarted for them. */
  readonly #halted = new Set<string>();
  /** The restart revisions at the end. */
  readonly #revisions = new Set<string>();

  #usedBy(deployment: number): string[] {
    return this.secrets.filter((_, secret) => deployment === 2 || deployment === secret);
  }

  async begin(): Promise<void> {
    workloads.bytesOf = async (name) => {
      const used = this.#usedBy(this.deployments.indexOf(name));
      return JSON.stringify(await Promise.all(used.map((secret) => world.data(secret))));
    };
    for (const [index, name] of this.secrets.entries()) {
      await this.#put(index, "0");
      const data = [{ key: "A", parameter: { name: `/${name}` } }];
      // The second Secret's restarts wait for a window in each hour, and for failed ones.
      const more =
        index === 1 ? { windows: [{ schedule: "0 * * * *", duration: "20m" }] } : { onFailure: "Continue" as const };
      const rollout = { mode: "Auto", minInterval: "30s", ...more } as const;
      await world.apply(name, { data, refresh: { pollInterval: "10s" }, rollout });
    }
    await world.sync();
    for (const [index, name] of this.deployments.entries()) {
      const env = this.#usedBy(index).map((secret) => ({ ...envOf(secret).env[0]!, name: secret.replace("-", "") }));
      await workloads.create(name, { env });
    }
    await pass(1_000);
  }

  async run(step: Step): Promise<void> {
    const name = "workload" in step ? this.deployments[step.workload]! : "";
    switch (step.do) {
      case "change":
        await this.#put(step.secret, step.toEqualBytes ? this.#values[step.secret]! : `${++this.#changes}`);
        return pass(20 * minute);
      case "undo":
        return workloads.undo(name);
      case "undoEachTime":
        return this.#undoEachTime(name, step.times);
      case "pause":
      case "resume":
        return workloads.patch(name, { spec: { paused: step.do === "pause" } });
      case "begin":
        return workloads.begin(name);
      case "rollOut":
        return workloads.rollOut(name);
      case "fail":
        return this.#fail(name);
      case "edit":
        return workloads.patch(name, {
          spec: { template: { metadata: { annotations: { edit: `${++this.#changes}` } } } },
        });
      case "handOver":
        await world.restart();
        return world.sync();
      case "jump":
        world.clock.setAhead(step.ms);
        return;
      case "pass":
        return pass(step.ms);
    }
  }

  /** Compares the templates with those after the last step: counts how often each revision was set and taken away. */
  async look(): Promise<void> {
    for (const name of this.deployments) {
      const { annotations = {} } = (await workloads.get(name)).spec.template.metadata;
      const now = new Map(Object.entries(annotations).filter(([key]) => key.startsWith("restart.keyferry.io/")));
      const before = this.#marks.get(name) ?? new Map<string, string>();
      for (const [mark, revision] of now) {
        if (before.get(mark) === revision) continue;
        const key = `${name} ${mark} ${revision}`;
        this.#set.set(key, (this.#set.get(key) ?? 0) + 1);
        const most = 1 + Math.min(this.#undone.get(key) ?? 0, 1);
        expect(this.#set.get(key), `restarts of ${key}`).toBeLessThanOrEqual(most);
      }
      for (const [mark, revision] of before) {
        const key = `${name} ${mark} ${revision}`;
        if (now.has(mark)) continue;
        this.#undone.set(key, (this.#undone.get(key) ?? 0) + 1);
        if (this.#failed.has(key)) this.#halted.add(revision);
      }
      this.#marks.set(name, now);
    }
  }

  /** Lets every rollout go on until nothing happens any more: then each pod has read the current bytes. */
  async settle(): Promise<void> {
    for (const name of this.deployments) await workloads.patch(name, { spec: { paused: false } });
    const revisions: string[] = [];
    for (const name of this.secrets) {
      revisions.push((await world.secret(name))!.metadata.annotations!["keyferry.io/restart-revision"] ?? "");
    }
    for (const revision of revisions) this.#revisions.add(revision);
    const isHalted = this.#halted.has(revisions[1]!);
    const ends = (index: number) => [
      ...["RolledOut", "RestartUndone"],
      ...(isHalted && index === 1 ? ["DeadlineExceeded"] : []),
    ];
    const reasons = () => Promise.all(this.secrets.map(rolledOutReason));
    // After the end, one more round shows that nothing follows.
    for (let round = 0, isOver = false; round < 6; round++) {
      for (const name of this.deployments) await workloads.rollOut(name);
      await pass(15 * minute);
      await this.look();
      if (isOver) break;
      isOver = (await reasons()).every((reason, index) => ends(index).includes(reason!));
    }
    for (const [index, name] of this.deployments.entries()) {
      // A restart that was taken back twice is left alone, also where the old pods were still running.
      if ([...this.#marksOfUndone(name)].some((times) => times >= 2)) continue;
      if (isHalted && this.#usedBy(index).includes(this.secrets[1]!)) continue;
      expect(await workloads.podBytes(name), `what the pods of ${name} have read`).toEqual([
        await workloads.bytesOf(name),
      ]);
    }
    for (const [index, reason] of (await reasons()).entries()) expect(ends(index)).toContain(reason);
  }

  /** How often the current restart revisions of a Deployment were taken away. */
  *#marksOfUndone(name: string): Generator<number> {
    for (const [key, times] of this.#undone) {
      const [of, , revision] = key.split(" ");
      if (of === name && this.#revisions.has(revision!)) yield times;
    }
  }

  async end(): Promise<void> {
    for (const name of this.deployments) await workloads.delete(name);
    for (const name of this.secrets) await world.deleteSynced(name);
    await world.sync();
  }

  async #put(secret: number, value: string): Promise<void> {
    this.#values[secret] = value;
    await world.aws.putParameter({ name: `/${this.secrets[secret]}`, value });
  }

  /** Somebody undoes whatever the operator does. */
  async #undoEachTime(name: string, times: number): Promise<void> {
    for (let time = 0; time < times; time++) {
      await workloads.rollOut(name);
      await workloads.undo(name);
      await this.look();
      await workloads.rollOut(name);
      await pass(12 * minute);
      await this.look();
    }
  }

  /** The rollout under way, if there is one, passes its deadline. */
  async #fail(name: string): Promise<void> {
    const { status, metadata } = await workloads.get(name);
    if (status?.observedGeneration === metadata.generation) return;
    await workloads.begin(name);
    await workloads.exceedDeadline(name);
    for (const [mark, revision] of this.#marks.get(name) ?? []) this.#failed.add(`${name} ${mark} ${revision}`);
  }
}

it(`restarts a workload at most once for each revision, and leaves none on old bytes, in ${runs} schedules`, async () => {
  await runSchedules(step, { minLength: 3, maxLength: 14 }, runs, () => new Scene());
}, 1_800_000);
