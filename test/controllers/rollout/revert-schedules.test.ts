import fc from "fast-check";
import { expect, it } from "vitest";
import { sharedCluster } from "../../cluster/shared.ts";
import { makeWorld } from "../world.ts";
import { runSchedules } from "./run-schedules.ts";
import { envOf, Workloads } from "./workloads.ts";

// REVERT_SCHEDULES sets another number of schedules.
const runs = Number(process.env.REVERT_SCHEDULES ?? 20);
const world = await makeWorld(await sharedCluster(), "revert-schedules", { maxConcurrentRollouts: 2 });
const workloads = new Workloads(world.client, world.namespace);
const minute = 60_000;

/** What happens in a schedule; the number names one of two Deployments. */
type Step =
  | { do: "change"; toEqualBytes: boolean; next: "nothing" | "fail" | "rollOut"; workload: number }
  | { do: "begin" | "rollOut" | "fail" | "edit"; workload: number }
  | { do: "approve" | "drift" | "deleteSecret" | "handOver" | "loseStatus" }
  | { do: "pass"; ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("change" as const),
      toEqualBytes: fc.integer({ min: 0, max: 4 }).map((n) => n === 4),
      next: fc.constantFrom(...(["nothing", "fail", "fail", "rollOut"] as const)),
      workload: fc.nat(1),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom(...(["begin", "rollOut", "rollOut", "fail", "fail", "fail", "edit"] as const)),
      workload: fc.nat(1),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom(...(["approve", "drift", "deleteSecret", "handOver", "loseStatus"] as const)),
    }),
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

let serial = 0;

/** One schedule: a SyncedSecret of one parameter with two Deployments. */
class Scene {
  readonly name = `s${serial++}`;
  readonly deployments = [0, 1].map((index) => `${this.name}-d${index}`);
  /** Every value that the parameter ever had; the last one is the current one. */
  readonly #values = ["0"];
  /** Values with which a rollout was made to fail. */
  readonly #failed = new Set<string>();
  /** Values that a look found in the Secret, one after the other. */
  readonly #seen: string[] = [];
  #edits = 0;
  #approvals = 0;
  #losses = 0;

  async begin(): Promise<void> {
    workloads.bytesOf = async () => JSON.stringify(await world.data(this.name));
    await world.aws.putParameter({ name: `/${this.name}`, value: "0" });
    const data = [{ key: "A", parameter: { name: `/${this.name}` } }];
    const rollout = { mode: "Auto", onFailure: "Revert", minInterval: "30s" } as const;
    await world.apply(this.name, { data, refresh: { pollInterval: "10s" }, rollout } as never);
    await world.sync();
    for (const name of this.deployments) await workloads.create(name, envOf(this.name));
    await pass(1_000);
  }

  async run(step: Step): Promise<void> {
    const name = "workload" in step ? this.deployments[step.workload]! : "";
    switch (step.do) {
      case "change":
        await this.#change(step.toEqualBytes);
        if (step.next === "fail") await this.#fail(name);
        if (step.next === "rollOut") for (const one of this.deployments) await workloads.rollOut(one);
        return step.next === "rollOut" ? pass(minute) : undefined;
      case "begin":
        return workloads.begin(name);
      case "rollOut":
        return workloads.rollOut(name);
      case "fail":
        return this.#fail(name);
      case "edit":
        return workloads.patch(name, {
          spec: { template: { metadata: { annotations: { edit: `${++this.#edits}` } } } },
        });
      case "approve":
        return this.#approve();
      case "drift":
        await world.kubectl(["patch", "secret", this.name, "--type", "merge", "--patch", '{"data":{"A":"ZWRpdGVk"}}']);
        return world.sync();
      case "deleteSecret":
        // Without a Secret and a status, nothing tells that a restart was still to be made.
        if ((await world.synced(this.name)).status?.rolledOutRevision === undefined) return;
        await world.kubectl(["delete", "secret", this.name]);
        return world.sync();
      case "handOver":
        await world.restart();
        return world.sync();
      case "loseStatus":
        this.#losses++;
        await world.kubectl([
          "patch",
          "kss",
          this.name,
          "--subresource",
          "status",
          "--type",
          "merge",
          "--patch",
          '{"status":null}',
        ]);
        await world.restart();
        return world.sync();
      case "pass":
        return pass(step.ms);
    }
  }

  /** The Secret has a value that AWS once had, and older ones only where a rollout has failed. */
  async look(): Promise<void> {
    const { A: value } = (await world.data(this.name))!;
    expect(this.#values, "a value that AWS never had").toContain(value);
    const before = this.#seen.at(-1);
    if (before === value) return;
    const isBack = before !== undefined && Number(value) < Number(before);
    const newest = Math.max(...[...this.#failed].map(Number));
    if (isBack)
      expect(newest, `the last value that failed, after ${before} and before ${value}`).toBeGreaterThan(Number(value));
    this.#seen.push(value!);
    const again = this.#seen.filter((one, index) => one === value && Number(this.#seen[index - 1] ?? -1) < Number(one));
    expect(again.length, `the value ${value} was tried again`).toBeLessThanOrEqual(
      1 + this.#approvals + this.#losses + this.#puts(value!) - 1,
    );
  }

  /** Every rollout goes well until nothing happens any more: the current value is there, or it is held back. */
  async settle(): Promise<void> {
    // After the end, one more round shows that nothing follows.
    for (let round = 0, isOver = false; round < 5; round++) {
      for (const name of this.deployments) await workloads.rollOut(name);
      await pass(15 * minute);
      await this.look();
      if (isOver) break;
      const { conditions: found = [] } = (await world.synced(this.name)).status ?? {};
      isOver = found.some(({ type, status }) => type === "RolledOut" && status === "True");
    }
    const { A: value } = (await world.data(this.name))!;
    const current = this.#values.at(-1)!;
    const { conditions = [] } = (await world.synced(this.name)).status ?? {};
    const heldBack = conditions.find(({ type }) => type === "HeldBack");
    expect(heldBack?.status === "True", `${value} of ${current}, HeldBack: ${heldBack?.status}`).toBe(
      value !== current,
    );
    if (value !== current) expect([...this.#failed]).toContain(current);
    for (const name of this.deployments) {
      expect(await workloads.podBytes(name), `what the pods of ${name} have read`).toEqual([
        JSON.stringify({ A: value }),
      ]);
    }
    expect(conditions.find(({ type }) => type === "RolledOut")).toMatchObject({ status: "True" });
  }

  async end(): Promise<void> {
    for (const name of this.deployments) await workloads.delete(name);
    await world.deleteSynced(this.name);
    await world.sync();
  }

  /** How often the parameter was given a value. */
  #puts(value: string): number {
    return this.#values.filter((one) => one === value).length;
  }

  async #change(toEqualBytes: boolean): Promise<void> {
    const last = this.#values.at(-1)!;
    const value = toEqualBytes ? last : `${Number(last) + 1}`;
    this.#values.push(value);
    await world.aws.putParameter({ name: `/${this.name}`, value });
    await pass(20 * minute);
    return pass(10_000);
  }

  /** The rollout under way, if there is one, passes its deadline. */
  async #fail(name: string): Promise<void> {
    const { status, metadata } = await workloads.get(name);
    if (status?.observedGeneration === metadata.generation) return;
    this.#failed.add((await world.data(this.name))!.A!);
    await workloads.begin(name);
    await workloads.exceedDeadline(name);
    return pass(5_000);
  }

  async #approve(): Promise<void> {
    const { heldBack } = (await world.synced(this.name)).status ?? {};
    if (heldBack === undefined || heldBack.problem !== undefined) return;
    this.#approvals++;
    await world.kubectl(["annotate", "--overwrite", "kss", this.name, `keyferry.io/approve=${heldBack.revision}`]);
    return world.sync();
  }
}

it(`has the current value, or holds it back because its rollout has failed, in ${runs} schedules`, async () => {
  await runSchedules(step, { minLength: 4, maxLength: 16 }, runs, () => new Scene());
}, 1_800_000);
