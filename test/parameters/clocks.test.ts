import { describe, expect, it } from "vitest";
import { isExpired } from "../../src/parameters/cache/cache-entry.ts";
import { Failure } from "../../src/runtime/failure.ts";
import type { FakeClock } from "../support/clock.ts";
import { type ObserverRig, observerRig, parameterOf, subscription } from "../support/observer.ts";

const second = 1_000;
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
/** Milliseconds within which a jump is noticed and the due entries are looked at. */
const noticed = 95 * second;

const jumps: Record<string, (clock: FakeClock) => void> = {
  "a step of 10 minutes ahead": (clock) => clock.setAhead(10 * minute),
  "a step of 10 minutes back": (clock) => clock.setAhead(-10 * minute),
  "a step of a day ahead": (clock) => clock.setAhead(day),
  "a step of a day back": (clock) => clock.setAhead(-day),
  "10 minutes of suspension": (clock) => clock.suspend(10 * minute),
  "a day of suspension": (clock) => clock.suspend(day),
};

interface Scene extends ObserverRig {
  version: () => number | undefined;
  stage: () => string | undefined;
}

async function scene(actsOnExpiry = false): Promise<Scene> {
  const rig = observerRig();
  const identity = rig.aws.identity();
  const reference = parameterOf(identity, "/a");
  rig.aws.put("/a", "1");
  rig.observer.depend("ns/one", [{ ...subscription(reference), actsOnExpiry }]);
  const state = () => rig.observer.entry(reference)!.state;
  return { ...rig, version: () => state().stamp?.version, stage: () => state().missing?.stage };
}
const seen = async (rig: Scene) => {
  await rig.observer.look([parameterOf(rig.aws.identity(), "/a")], "bulk");
  await rig.clock.advance(2 * second);
};
const unheard = () => {
  throw new Failure("Unreachable", "retry", "no answer");
};

/** Brings a parameter's entry into the named state. */
const states: Record<string, (rig: Scene) => Promise<void>> = {
  unknown: async () => {},
  fresh: seen,
  due: async (rig) => {
    await seen(rig);
    await rig.clock.advance(5 * minute - second);
  },
  failing: async (rig) => {
    await seen(rig);
    rig.aws.fault = unheard;
    await rig.clock.advance(20 * minute);
    rig.aws.fault = undefined;
  },
  suspect: async (rig) => {
    await seen(rig);
    rig.aws.delete("/a");
    await seen(rig);
    expect(rig.stage()).toBe("suspect");
  },
  held: async (rig) => {
    const others = Array.from({ length: 6 }, (_, n) => parameterOf(rig.aws.identity(), `/o${n}`));
    for (const { name } of others) rig.aws.put(name, "1");
    rig.observer.depend("ns/others", others.map((reference) => subscription(reference))); // biome-ignore format: one line
    await rig.observer.look(others, "bulk");
    await seen(rig);
    for (const { name } of [...others, { name: "/a" }]) rig.aws.delete(name);
    await rig.clock.advance(20 * minute);
    expect(rig.stage()).toBe("held");
  },
  gone: async (rig) => {
    await seen(rig);
    rig.aws.delete("/a");
    await rig.clock.advance(20 * minute);
    expect(rig.stage()).toBe("gone");
  },
  expired: async (rig) => {
    const Attributes = { Timestamp: new Date(rig.clock.now() + minute).toISOString() };
    rig.aws.policies("/a", { Type: "Expiration", Version: "1.0", Attributes });
    await seen(rig);
    await rig.clock.advance(5 * minute);
  },
  "stale answer": async (rig) => {
    await rig.clock.advance(second);
    rig.aws.put("/a", "2");
    await seen(rig);
    const stored = rig.aws.parameters.get("/a")!;
    stored.versions.delete(2);
    stored.latest = 1;
    await seen(rig);
  },
  "waiting for the second look of a hint": async (rig) => {
    await seen(rig);
    const { account } = await rig.aws.identity().caller();
    await rig.observer.announced(rig.aws.identity(), account, "/a");
  },
};

describe.each(Object.entries(jumps))("after %s", (_, jump) => {
  it.each(Object.entries(states))('an entry in the state "%s" follows AWS by the next poll', async (_, bring) => {
    const rig = await scene();
    await bring(rig);
    jump(rig.clock);
    // AWS's clock did not jump.
    await rig.clock.advance(second);
    rig.aws.put("/a", "next");
    const next = rig.aws.parameters.get("/a")!;
    next.versions.get(next.latest)!.modified = Math.max(rig.clock.now(), Date.UTC(2026, 0, 1) + day);
    await rig.clock.advance(7 * minute);
    expect(rig.version()).toBe(next.latest);
    expect(rig.stage()).toBeUndefined();
    rig.observer.stop();
  });

  it("the grace of a missing parameter keeps its length", async () => {
    const rig = await scene();
    await states.suspect!(rig);
    jump(rig.clock);
    await rig.clock.advance(5 * minute - 3 * second);
    expect(rig.stage()).toBe("suspect");
    await rig.clock.advance(minute);
    expect(rig.stage()).toBe("gone");
  });

  it("the extra looks do not shorten the grace of a missing parameter", async () => {
    const rig = await scene();
    await states.suspect!(rig);
    for (let n = 0; n < 4; n++) {
      jump(rig.clock);
      await rig.clock.advance(minute);
      expect(rig.stage()).toBe("suspect");
    }
  });

  it("a parameter does not expire before its Expiration by AWS's clock", async () => {
    const rig = await scene(true);
    const start = rig.clock.now();
    const Attributes = { Timestamp: new Date(start + 10 * hour).toISOString() };
    rig.aws.policies("/a", { Type: "Expiration", Version: "1.0", Attributes });
    const { describeParameters } = rig.aws.identity().ssm;
    const monotonic = rig.clock.monotonic();
    const { entry } = { entry: rig.observer.entry(parameterOf(rig.aws.identity(), "/a"))! };
    entry.reference.identity.ssm.describeParameters = async (...call) => {
      const aws = start + rig.clock.monotonic() - monotonic;
      return { ...(await describeParameters(...call)), clockAheadMs: aws - rig.clock.now() };
    };
    await seen(rig);
    rig.clock.setAhead(day);
    await rig.clock.advance(hour);
    expect(isExpired(entry.state)).toBe(false);
    rig.observer.stop();
  });
});

it.each(["10 minutes of suspension", "a day of suspension"])(
  "after %s the due entries are looked at within 95 s, spread over that time",
  async (name) => {
    const rig = observerRig({ random: randoms() });
    const identity = rig.aws.identity();
    const references = Array.from({ length: 200 }, (_, n) => parameterOf(identity, `/p${n}`));
    for (const { name } of references) rig.aws.put(name, "1");
    rig.observer.depend("ns/one", references.map((reference) => subscription(reference))); // biome-ignore format: one line
    await rig.observer.look(references, "bulk");
    await rig.clock.advance(15 * second);
    rig.aws.calls.length = 0;
    jumps[name]!(rig.clock);
    const slices: number[] = [];
    for (let n = 0; n < 10; n++) {
      const before = rig.aws.calls.length;
      await rig.clock.advance(noticed / 10);
      slices.push(rig.aws.calls.length - before);
    }
    const looked = new Set(rig.aws.calls.flatMap(({ names }) => names));
    expect(looked.size).toBe(200);
    expect(Math.max(...slices)).toBeLessThan(15);
  },
);

it("ClockWatch.elapsed counts a suspension and ignores steps of the wall clock", async () => {
  const { ClockWatch } = await import("../../src/runtime/clock-watch.ts");
  const { clock } = observerRig();
  const watch = new ClockWatch(clock);
  const told: object[] = [];
  watch.onJump((jump) => told.push(jump));
  watch.start();
  await clock.advance(minute);
  clock.setAhead(day);
  await clock.advance(minute);
  clock.setAhead(-2 * day);
  await clock.advance(minute);
  clock.suspend(hour);
  await clock.advance(minute);
  expect(watch.elapsed()).toBe(4 * minute + hour);
  expect(told).toEqual([
    { wallMs: day, suspendedMs: 0 },
    { wallMs: -2 * day, suspendedMs: 0 },
    { wallMs: hour, suspendedMs: hour },
  ]);
  watch.stop();
  expect(clock.pending).toBe(0);
});

/** Evenly spread numbers, the same in every run. */
function randoms(): () => number {
  let n = 0;
  return () => (n++ * 0.618033988749895) % 1;
}
