import { describe, expect, it } from "vitest";
import { MutationCache } from "../../src/controllers/mutation-cache.ts";
import { StaleKeys } from "../../src/controllers/stale-keys.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { FakeClock } from "../support/clock.ts";
import { heldBytes, heldStrings } from "../support/heap.ts";
import { one } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const minute = 60_000;
const hour = 60 * minute;
const megabyte = 2 ** 20;

describe("an unused entry", () => {
  it("is not stale after an hour, and is removed", async () => {
    const clock = new FakeClock();
    const stale = new StaleKeys(clock);
    stale.add("ns/asked");
    stale.add("ns/forgotten");
    expect([stale.take("ns/asked"), stale.take("ns/asked")]).toEqual([true, false]);
    await clock.advance(2 * hour);
    expect(stale.take("ns/forgotten")).toBe(false);

    const before = await heldBytes();
    for (let n = 0; n < 50_000; n++) stale.add(`ns/${n}${"x".repeat(100)}`);
    expect((await heldBytes()) - before).toBeGreaterThan(5 * megabyte);
    await clock.advance(2 * hour);
    stale.add("ns/next");
    expect((await heldBytes()) - before).toBeLessThan(megabyte);
    expect(stale.take("ns/next")).toBe(true);
  });

  it("of a write that the watch never showed is removed", async () => {
    const clock = new FakeClock();
    const mutations = new MutationCache<string>(clock);
    const note = (key: string) => {
      mutations.begin(key, undefined);
      mutations.note(key, `${key} written`, "1", undefined);
    };
    const before = await heldBytes();
    for (let n = 0; n < 50_000; n++) note(`ns/${n}${"x".repeat(100)}`);
    expect((await heldBytes()) - before).toBeGreaterThan(5 * megabyte);
    await clock.advance(minute);
    note("ns/next");
    expect((await heldBytes()) - before).toBeLessThan(megabyte);
    expect(mutations.get("ns/next")?.value).toBe("ns/next written");
  });
});

describe("hours of creating, changing and deleting SyncedSecrets and parameters", async () => {
  const world = await makeWorld(cluster, "flat");
  const { aws, metrics } = world;
  const resources = 30;

  const sizes = async () => ({
    watched: (await metrics.watchedParameters.get()).values[0]?.value,
    held: world.engine.observer.valuesHeld,
    ready: (await metrics.ready.get()).values.length,
    succeeded: (await metrics.lastSuccess.get()).values.length,
    waiting: (await metrics.queueDepth.get()).values.reduce((sum, { value }) => sum + value, 0),
  });

  async function churn(round: number): Promise<void> {
    const names = Array.from({ length: resources }, (_, n) => `of-round-${round}-number-${n}`);
    const parameter = (name: string) => `/flat/${name}`;
    await Promise.all(
      names.map((name) => aws.putParameter({ name: parameter(name), type: "SecureString", value: "a" })),
    );
    await Promise.all(
      names.map((name, n) =>
        world.apply(name, {
          data: [one("V", parameter(name)), { ...one("N", `/none/${name}`), optional: true }],
          ...(n % 3 === 0 ? { refresh: { whenMissing: "DeleteSecret" } } : {}),
          ...(n % 3 === 1 ? { dataFrom: [{ path: { name: `/flat/${name}x` }, allowEmpty: true }] } : {}),
          ...(n % 5 === 0 ? { target: { creationPolicy: "Orphan" } } : {}),
        }),
      ),
    );
    await world.sync();
    await Promise.all(names.map((name) => aws.putParameter({ name: parameter(name), value: "b", overwrite: true })));
    // Drift, deletions of sources, and SyncedSecrets that fail while they are deleted.
    await world.kubectl(["delete", "secret", ...names.slice(0, 10), "--ignore-not-found"]);
    await world.pass(5 * minute, 2);
    await Promise.all(names.map((name) => aws.deleteParameter(parameter(name))));
    await world.pass(6 * minute, 2);
    await Promise.all(names.map((name) => world.deleteSynced(name)));
    await world.kubectl(["delete", "secret", "--all"]);
    await world.makeConnection();
    await world.pass(minute, 1);
  }

  it("leave nothing behind", { timeout: 120_000 }, async () => {
    await churn(0);
    await world.pass(hour, 4);
    const timers = world.clock.pending;
    const empty = await sizes();
    expect(empty).toEqual({ watched: 0, held: 0, ready: 0, succeeded: 0, waiting: 0 });
    await churn(1);
    // Longer than the event limits of an object are kept.
    await world.pass(3 * hour, 6);
    await churn(2);
    await world.pass(hour, 4);
    expect(await sizes()).toEqual(empty);
    expect(world.clock.pending).toBeLessThanOrEqual(timers);
    // The emulator and the test keep logs themselves.
    aws.resetCalls();
    world.lines.length = 0;
    world.audited.length = 0;
    expect(await heldStrings(/of-round-1-number-\d/)).toEqual([]);
  });
});
