import { describe, expect, it } from "vitest";
import type { Reason } from "../../src/api/reasons.ts";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import type { World } from "./world.ts";

const minute = 60_000;

/** A SyncedSecret's entry of one key from one parameter. */
export const one = (key: string, name: string) => ({ key, parameter: { name } });

/**
 * Expects a SyncedSecret to be refused for `reason`, in one condition whose message has every one of `says`.
 *
 * @returns the message
 */
export async function refused(world: World, name: string, reason: Reason, says: readonly string[] = []) {
  const { status } = await world.synced(name);
  const conditions = status?.conditions ?? [];
  const ready = conditions.filter(({ type }) => type === "Ready");
  expect(ready, JSON.stringify(conditions)).toHaveLength(1);
  expect(ready[0], ready[0]!.message).toMatchObject({ status: "False", reason });
  for (const text of says) expect(ready[0]!.message).toContain(text);
  return ready[0]!.message;
}

/**
 * Expects that another try, what falls due within eleven minutes, and a new process write nothing: neither Secret nor
 * status.
 */
export async function steady(world: World, name: string): Promise<void> {
  const before = await versions(world, name);
  const tries = await triesOf(world);
  world.engine.syncedSecrets.enqueue(`${world.namespace}/${name}`, "bulk");
  await world.pass(11 * minute);
  expect(await triesOf(world), "it is tried again").toBeGreaterThan(tries);
  expect(await versions(world, name), "no try writes").toEqual(before);
  await world.restart();
  await world.pass(minute, 1);
  expect(await versions(world, name), "a new process writes nothing").toEqual(before);
}

async function versions(world: World, name: string) {
  const [{ status, metadata }, secret] = await Promise.all([world.synced(name), world.secret(name)]);
  return { status, synced: metadata.resourceVersion, secret: secret?.metadata.resourceVersion };
}

async function triesOf(world: World): Promise<number> {
  const { values } = await world.metrics.syncs.get();
  return values.reduce((sum, { value }) => sum + value, 0);
}

/** One way to go wrong: a Secret that is good, how it breaks, what is said then, and how a person mends it. */
export interface Trial {
  /** The spec in the beginning; its sources are put by `setUp`. */
  spec: SyncedSecretSpec;
  setUp?: () => Promise<unknown>;
  /** What the Secret holds, from the beginning until it is mended. */
  holds: Record<string, string>;
  /** Breaks a source, or gives the spec to apply. */
  breaks: () => Promise<SyncedSecretSpec | unknown>;
  reason: Reason;
  says: string[];
  mends: () => Promise<SyncedSecretSpec | unknown>;
  /** What the Secret holds in the end; what it held before when left out. */
  becomes?: Record<string, string>;
}

const isSpec = (value: unknown): value is SyncedSecretSpec =>
  typeof value === "object" && value !== null && ("data" in value || "dataFrom" in value);

/** A test of each trial, by its sentence. Whatever of a value must not be said has `sesame` or `ses*me` in it. */
export function holdTrue(world: World, trials: Record<string, Trial>): void {
  const numbered = Object.entries(trials).map(
    ([sentence, trial], index) => [sentence, `trial-${index}`, trial] as const,
  );
  describe("one condition is said, and the last good Secret is kept until it is mended, after", () => {
    it.each(numbered)("%s", async (_, name, { setUp, spec, holds, breaks, reason, says, mends, becomes = holds }) => {
      await setUp?.();
      await world.apply(name, spec);
      await world.sync();
      expect(await world.ready(name)).toMatchObject({ status: "True" });
      expect(await world.data(name)).toEqual(holds);
      const good = await world.secret(name);

      const broken = await breaks();
      if (isSpec(broken)) await world.apply(name, broken);
      await world.pass(6 * minute);
      const message = await refused(world, name, reason, says);
      for (const value of ["sesame", "ses*me"]) expect(message).not.toContain(value);
      expect(await world.secret(name)).toEqual(good);
      await steady(world, name);

      const mended = await mends();
      if (isSpec(mended)) await world.apply(name, mended);
      await world.pass(11 * minute);
      expect(await world.ready(name)).toMatchObject({ status: "True", reason: "Synced" });
      expect(await world.data(name)).toEqual(becomes);
    });
  });
}
