import { describe, expect, it } from "vitest";
import type { Reason } from "../../src/api/reasons.ts";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import type { World } from "./world.ts";

const minute = 60_000;

/** An entry with one key from one parameter. */
export const one = (key: string, name: string) => ({ key, parameter: { name } });

/**
 * Expects that a SyncedSecret is refused for `reason`, in one condition whose message contains all of `says`.
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

/** Expects that a retry, everything due within eleven minutes, and a new process write neither Secret nor status. */
export async function steady(world: World, name: string): Promise<void> {
  const before = await versions(world, name);
  const tries = await triesOf(world);
  world.engine.syncedSecrets.triggers.enqueue(`${world.namespace}/${name}`, "bulk");
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

/** One failure: a good Secret, how it breaks, the expected message, and how a person fixes it. */
export interface Trial {
  /** The initial spec; `setUp` creates its sources. */
  spec: SyncedSecretSpec;
  setUp?: () => Promise<unknown>;
  /** The Secret's data from the beginning until the fix. */
  holds: Record<string, string>;
  /** Breaks a source, or returns a spec to apply. */
  breaks: () => Promise<SyncedSecretSpec | unknown>;
  reason: Reason;
  says: string[];
  mends: () => Promise<SyncedSecretSpec | unknown>;
  /** The Secret's data in the end. Default: `holds`. */
  becomes?: Record<string, string>;
}

const isSpec = (value: unknown): value is SyncedSecretSpec =>
  typeof value === "object" && value !== null && ("data" in value || "dataFrom" in value);

/**
 * Declares a test of each trial, named by its key. Parts of values that must not be reported contain `sesame` or
 * `ses*me`.
 */
export function holdTrue(world: World, trials: Record<string, Trial>): void {
  const numbered = Object.entries(trials).map(
    ([sentence, trial], index) => [sentence, `trial-${index}`, trial] as const,
  );
  describe("reports one condition, and keeps the last good Secret until the fix, after", () => {
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
