import { expect, it } from "vitest";
import { KubeError } from "../../../src/kube/errors.ts";
import { LeaderElector, type Term } from "../../../src/kube/leases/leader-elector.ts";
import { LeaseAccess } from "../../../src/kube/leases/lease-access.ts";
import { silent } from "../../../src/runtime/log.ts";
import { FakeClock } from "../../support/clock.ts";
import { seeded } from "../../support/service.ts";
import { LeaseServer } from "./lease-server.ts";

const timing = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
const where = { namespace: "ns", name: "keyferry" };

/** A candidate with its own wall clock; all share the monotonic clock and its timers. */
function candidate(server: LeaseServer, clock: FakeClock, identity: string, options: CandidateOptions = {}) {
  const { skewMs = 0, isWatching = true, seed = 1 } = options;
  const stop = new AbortController();
  const own = {
    now: () => clock.now() + skewMs + state.stepMs,
    monotonic: () => clock.monotonic(),
    setTimer: (fire: () => void, ms: number) => clock.setTimer(fire, ms),
  };
  const state = { stepMs: 0, terms: 0, drain: () => {}, isWorking: false, holdsDrain: false, isOver: true };
  const access = new LeaseAccess({ client: server.client(identity), clock: own, ...where });
  const elector = new LeaderElector({
    access,
    ...where,
    identity,
    timing,
    clock: own,
    random: seeded(seed),
    log: silent,
  });
  if (isWatching) server.watch((lease) => elector.changed(lease));
  const begin = (over: AbortSignal): Term => {
    state.terms++;
    state.isWorking = true;
    const drained = new Promise<void>((resolve) => {
      state.drain = resolve;
      over.addEventListener("abort", () => {
        state.isWorking = false;
        if (!state.holdsDrain) resolve();
      });
    });
    return { drained, ended: drained.then(() => state.isOver) };
  };
  const running = elector.run(stop.signal, begin);
  running.catch(() => {});
  return { elector, running, stop: () => stop.abort(), state };
}

interface CandidateOptions {
  /** Milliseconds by which the wall clock is ahead. */
  skewMs?: number;
  isWatching?: boolean;
  seed?: number;
}

const unreachable = () => Promise.reject(new KubeError("network", "no answer"));
const hanging = () => new Promise<void>(() => {});

it("the first candidate creates the Lease and leads, the second stands by without a request", async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const a = candidate(server, clock, "a");
  await clock.advance(100);
  expect([a.elector.isLeader, a.state.isWorking, server.holder]).toEqual([true, true, "a"]);
  const b = candidate(server, clock, "b");
  await clock.advance(100);
  server.requests.length = 0;
  await clock.advance(60_000);
  expect(b.state.terms).toBe(0);
  expect(new Set(server.requests)).toEqual(new Set(["update"]));
  expect(server.requests.length).toBeGreaterThanOrEqual(29);
  expect(server.lease?.spec?.leaseTransitions).toBe(0);
});

it("a standby takes a released Lease at once, and counts the transition", async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const a = candidate(server, clock, "a");
  await clock.advance(100);
  const b = candidate(server, clock, "b");
  await clock.advance(5_000);
  a.stop();
  await clock.advance(10);
  expect([a.state.isWorking, b.state.isWorking, server.holder]).toEqual([false, true, "b"]);
  expect(server.lease?.spec).toMatchObject({ leaseTransitions: 1, leaseDurationSeconds: 15 });
  await a.running;
});

it("the Lease is released only when no write is under way", async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const a = candidate(server, clock, "a");
  a.state.holdsDrain = true;
  await clock.advance(100);
  a.stop();
  await clock.advance(900);
  expect([a.state.isWorking, server.holder]).toEqual([false, "a"]);
  a.state.drain();
  await clock.advance(10);
  expect(server.lease?.spec).toMatchObject({ holderIdentity: "", leaseDurationSeconds: 1 });
});

it("a standby leads within half a second after the Lease of a killed leader has lapsed", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    server.put({ metadata: where, spec: { holderIdentity: "killed", leaseDurationSeconds: 15 } });
    const b = candidate(server, clock, "b", { seed });
    await clock.advance(14_900);
    expect(b.state.terms).toBe(0);
    await clock.advance(600);
    expect(b.elector.isLeader).toBe(true);
  }
});

it("a standby whose watch shows nothing reads the Lease before it takes it", async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const a = candidate(server, clock, "a");
  await clock.advance(100);
  const b = candidate(server, clock, "b", { isWatching: false });
  await clock.advance(300_000);
  expect([a.elector.isLeader, b.state.terms]).toEqual([true, 0]);
});

it("clocks that differ by ten minutes change neither who leads nor when a Lease lapses", async () => {
  for (const skewMs of [-600_000, 600_000]) {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const a = candidate(server, clock, "a");
    await clock.advance(100);
    const b = candidate(server, clock, "b", { skewMs });
    await clock.advance(120_000);
    expect([a.state.terms, b.state.terms]).toEqual([1, 0]);
    // Killed.
    server.before = (_, client) => (client === "a" ? hanging() : undefined);
    const renewedAt = clock.monotonic();
    await clock.advance(12_900);
    expect(b.state.terms).toBe(0);
    while (!b.elector.isLeader) await clock.advance(100);
    expect(clock.monotonic() - renewedAt).toBeLessThanOrEqual(15_500);
  }
});

it.each([
  ["refuses connections", unreachable],
  ["answers nothing", hanging],
])(
  "the leader stops its work at the renew deadline while the API server %s, and leads again later",
  async (_, fault) => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const a = candidate(server, clock, "a");
    await clock.advance(100);
    server.before = fault;
    await clock.advance(9_000);
    expect(a.state.isWorking).toBe(true);
    await clock.advance(3_000);
    expect([a.state.isWorking, a.elector.isLeader]).toEqual([false, false]);
    await clock.advance(600_000);
    expect([a.elector.isStuck, a.state.isWorking]).toEqual([false, false]);
    server.before = () => {};
    await clock.advance(15_000);
    expect([a.state.isWorking, a.state.terms]).toEqual([true, 2]);
  },
);

it("a lost answer does not end the term", async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const a = candidate(server, clock, "a");
  await clock.advance(100);
  let lost = 0;
  server.before = async (verb) => {
    if (verb !== "update" || lost++ > 0) return;
    // The write takes effect, and its answer is lost.
    server.put({ ...server.lease!, metadata: { ...server.lease!.metadata } });
    throw new KubeError("network", "ECONNRESET");
  };
  await clock.advance(30_000);
  expect([a.elector.isLeader, a.state.terms]).toEqual([true, 1]);
});

it("may not write as soon as either clock has passed the renew deadline, before any timer fires", async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const a = candidate(server, clock, "a");
  await clock.advance(100);
  expect(a.elector.isLeader).toBe(true);
  // As after a suspension, in which the monotonic clock stood still.
  a.state.stepMs = 11_000;
  expect(a.elector.isLeader).toBe(false);
  await clock.advance(5_000);
  // No other candidate has taken the Lease.
  expect([a.elector.isLeader, a.state.terms]).toEqual([true, 2]);
});

it("the leader stands by when the Lease names another holder, and leads again when that one lapses", async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const a = candidate(server, clock, "a");
  await clock.advance(5_000);
  server.put({ ...server.lease!, spec: { holderIdentity: "b", leaseDurationSeconds: 15 } });
  await clock.advance(10);
  expect([a.state.isWorking, a.elector.isLeader]).toEqual([false, false]);
  await clock.advance(16_000);
  expect([a.state.isWorking, a.state.terms]).toEqual([true, 2]);
});

it("the leader keeps its term when a person deletes the Lease", async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const a = candidate(server, clock, "a");
  await clock.advance(5_000);
  server.remove();
  await clock.advance(10);
  expect([server.holder, a.state.terms, a.state.isWorking]).toEqual(["a", 1, true]);
});

it("a candidate that may not create Leases says so, and never leads", async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  server.before = (verb) => {
    if (verb === "create") throw new KubeError("forbidden", "POST leases: 403", { status: 403 });
  };
  const a = candidate(server, clock, "a");
  await clock.advance(120_000);
  expect(a.state.terms).toBe(0);
  expect(a.elector.refusal).toContain("may not create leases.coordination.k8s.io in namespace ns");
  expect(a.elector.isStuck).toBe(false);
});

it("fails if the work of a lost term does not end", async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const a = candidate(server, clock, "a");
  a.state.isOver = false;
  await clock.advance(100);
  server.before = unreachable;
  await clock.advance(15_000);
  await expect(a.running).rejects.toThrow("work goes on although the Lease is lost");
});

it("is stuck if a step takes longer than the lease and 20 s", async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const a = candidate(server, clock, "a");
  a.state.holdsDrain = true;
  await clock.advance(100);
  server.before = unreachable;
  await clock.advance(12_000);
  expect(a.elector.isStuck).toBe(false);
  await clock.advance(36_000);
  expect(a.elector.isStuck).toBe(true);
});

it("three candidates whose requests fail, are lost and are late never lead at once", async () => {
  for (let seed = 1; seed <= 15; seed++) {
    const [server, clock, random] = [new LeaseServer(), new FakeClock(), seeded(seed)];
    server.before = async () => {
      const dice = random();
      if (dice < 0.2) throw new KubeError("unavailable", "503");
      if (dice < 0.3) await hanging();
      if (dice < 0.6) await new Promise<void>((resolve) => clock.setTimer(resolve, 3_000 * random()));
    };
    const all = ["a", "b", "c"].map((name, index) =>
      candidate(server, clock, name, { seed: seed + index, isWatching: random() < 0.7, skewMs: 600_000 * random() }),
    );
    let led = 0;
    for (let step = 0; step < 300; step++) {
      await clock.advance(500);
      const working = all.filter(({ state, elector }) => state.isWorking && elector.isLeader);
      expect(working.length, `seed ${seed}, step ${step}`).toBeLessThanOrEqual(1);
      led += working.length;
    }
    expect(led, `seed ${seed}`).toBeGreaterThan(100);
    for (const { stop } of all) stop();
    server.before = () => {};
  }
});
