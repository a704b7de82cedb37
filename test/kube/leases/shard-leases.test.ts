import { expect, it } from "vitest";
import { KubeError } from "../../../src/kube/errors.ts";
import type { Term } from "../../../src/kube/leases/leader-elector.ts";
import { ShardLeases } from "../../../src/kube/leases/shard-leases.ts";
import { aborted } from "../../../src/runtime/cancellation.ts";
import { silent } from "../../../src/runtime/log.ts";
import { FakeClock } from "../../support/clock.ts";
import { seeded } from "../../support/service.ts";
import { LeaseNamespace } from "./lease-namespace.ts";

const timing = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
const where = { namespace: "ns", name: "keyferry" };

/** A replica that shares the monotonic clock and its timers with the others. */
function replica(server: LeaseNamespace, clock: FakeClock, identity: string, shards = 4) {
  const stop = new AbortController();
  const leases = new ShardLeases({
    ...{ client: server.client(identity), ...where, shards, identity, timing, clock, log: silent },
    random: seeded(identity.charCodeAt(0)),
  });
  const terms = new Map<number, number>();
  const state = { holdsDrain: false, note: "", hasFailed: false };
  const begin = (shard: number, over: AbortSignal): Term => {
    terms.set(shard, (terms.get(shard) ?? 0) + 1);
    const drained = aborted(over).then(async () => {
      while (state.holdsDrain) await new Promise((resolve) => clock.setTimer(() => resolve(undefined), 100));
    });
    return { drained, ended: drained.then(() => true) };
  };
  const unwatch = server.watch((name, lease) => leases.changed(name, lease));
  const annotations = () => ({ "keyferry.io/note": state.note });
  const running = leases.run(stop.signal, { begin, annotations, changed: () => {} });
  running.catch(() => {
    state.hasFailed = true;
  });
  /** As kill -9: no request of it arrives, and it sees nothing. */
  const kill = () => {
    unwatch();
    killed.add(identity);
  };
  return { leases, terms, state, running, stop: () => stop.abort(), kill, identity };
}
type Replica = ReturnType<typeof replica>;
const killed = new Set<string>();

function world() {
  killed.clear();
  const server = new LeaseNamespace();
  server.before = (_, client) => {
    if (killed.has(client)) throw new KubeError("network", "no answer");
  };
  return { server, clock: new FakeClock(Date.UTC(2026, 10, 24)) };
}

/** Lets time pass in small steps, and checks that nobody shares a shard. */
async function pass(clock: FakeClock, replicas: readonly Replica[], ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 100) {
    await clock.advance(100);
    for (let shard = 0; shard < 4; shard++) {
      expect(replicas.filter(({ leases }) => leases.holds(shard)).length).toBeLessThanOrEqual(1);
    }
  }
}

const counts = (...replicas: Replica[]) => replicas.map(({ leases }) => leases.held.length);

it("a replica alone holds all shards, and shards are balanced within seconds of each replica that comes", async () => {
  const { server, clock } = world();
  const a = replica(server, clock, "a");
  await pass(clock, [a], 2_000);
  expect(counts(a)).toEqual([4]);
  const b = replica(server, clock, "b");
  await pass(clock, [a, b], 10_000);
  expect(counts(a, b)).toEqual([2, 2]);
  const c = replica(server, clock, "c");
  await pass(clock, [a, b, c], 10_000);
  expect(counts(a, b, c).sort()).toEqual([1, 1, 2]);
  // Nothing moved that did not have to.
  expect([...a.terms.values()]).toEqual([1, 1, 1, 1]);
});

it("a replica that stops releases its shards at once, and they are balanced among the others", async () => {
  const { server, clock } = world();
  const [a, b, c] = [replica(server, clock, "a"), replica(server, clock, "b"), replica(server, clock, "c")];
  await pass(clock, [a, b, c], 15_000);
  b.stop();
  await pass(clock, [a, b, c], 5_000);
  await b.running;
  expect(counts(a, b, c)).toEqual([2, 0, 2]);
  for (const index of [0, 1, 2, 3]) expect(server.holderOf(`keyferry-member-${index}`)).not.toBe("b");
});

it("the shards of a killed replica are held by others within 30 s", async () => {
  const { server, clock } = world();
  const [a, b, c] = [replica(server, clock, "a"), replica(server, clock, "b"), replica(server, clock, "c")];
  await pass(clock, [a, b, c], 15_000);
  c.kill();
  await pass(clock, [a, b, c], 30_000);
  expect(counts(a, b)).toEqual([2, 2]);
});

it("a shard is given back only when its work has ended, and is renewed until then", async () => {
  const { server, clock } = world();
  const a = replica(server, clock, "a");
  await pass(clock, [a], 2_000);
  a.state.holdsDrain = true;
  const b = replica(server, clock, "b");
  await pass(clock, [a, b], 20_000);
  expect(counts(a, b)).toEqual([4, 0]);
  a.state.holdsDrain = false;
  await pass(clock, [a, b], 10_000);
  expect(counts(a, b)).toEqual([2, 2]);
});

it("replicas with another number of shards stand by until every shard of the old number is free", async () => {
  const { server, clock } = world();
  const old = replica(server, clock, "a", 4);
  await pass(clock, [old], 2_000);
  const fresh = replica(server, clock, "b", 8);
  await pass(clock, [old, fresh], 40_000);
  expect(counts(old, fresh)).toEqual([4, 0]);
  old.state.holdsDrain = true;
  old.stop();
  await pass(clock, [old, fresh], 5_000);
  expect(counts(fresh)).toEqual([0]);
  old.state.holdsDrain = false;
  await pass(clock, [old, fresh], 10_000);
  expect(counts(fresh)).toEqual([8]);
  expect(server.leases.get("keyferry")?.metadata.annotations?.["keyferry.io/shards"]).toBe("8");
});

it("a fifth replica of four shards stands by, and takes the place of one that stops", async () => {
  const { server, clock } = world();
  const all = ["a", "b", "c", "d", "e"].map((identity) => replica(server, clock, identity));
  await pass(clock, all, 30_000);
  expect(counts(...all).sort()).toEqual([0, 1, 1, 1, 1]);
  const idle = all.find(({ leases }) => leases.held.length === 0)!;
  all.find((one) => one !== idle)!.stop();
  await pass(clock, all, 10_000);
  expect(counts(idle)).toEqual([1]);
});

it("writes a shard's annotations at once when they change", async () => {
  const { server, clock } = world();
  const a = replica(server, clock, "a");
  await pass(clock, [a], 2_000);
  a.state.note = "new";
  a.leases.renew(2);
  await clock.advance(1);
  const noteOf = (shard: number) => server.leases.get(`keyferry-shard-${shard}`)?.metadata.annotations;
  expect(noteOf(2)).toMatchObject({ "keyferry.io/note": "new", "keyferry.io/shards": "4" });
  expect(noteOf(1)).toMatchObject({ "keyferry.io/note": "" });
});

it("a replica that may not update Leases names the verb, and holds nothing", async () => {
  const { server, clock } = world();
  server.before = (verb) => {
    if (verb === "create") throw new KubeError("forbidden", "POST: 403", { status: 403 });
  };
  const a = replica(server, clock, "a");
  await pass(clock, [a], 10_000);
  expect(a.leases.refusal).toContain("may not create leases.coordination.k8s.io in namespace ns");
  expect(counts(a)).toEqual([0]);
});
