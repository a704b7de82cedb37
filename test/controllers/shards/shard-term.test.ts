import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AnyConnection } from "../../../src/api/any-connection.ts";
import type { SyncedSecret } from "../../../src/api/types.ts";
import { Groups } from "../../../src/controllers/shards/groups.ts";
import { ShardCaches } from "../../../src/controllers/shards/shard-caches.ts";
import { ShardTerm, type Work } from "../../../src/controllers/shards/shard-term.ts";
import type { ChangeListener, TermCaches } from "../../../src/controllers/watch-caches.ts";
import type { KubeObject } from "../../../src/kube/resource.ts";
import { aborted } from "../../../src/runtime/cancellation.ts";
import { settle } from "../../support/clock.ts";

type Resource = SyncedSecret & KubeObject;
const names = ["a", "b", "c", "d"];
const keyOf = (name: string) => `ClusterAWSConnection//${name}`;
const connectionOf = (resource: SyncedSecret) => keyOf(resource.spec.connectionRef!.name);

function connection(name: string): AnyConnection & KubeObject {
  const spec = { region: "eu-west-1" };
  return {
    apiVersion: "keyferry.io/v1alpha1",
    kind: "ClusterAWSConnection",
    metadata: { name },
    spec,
  } as AnyConnection & KubeObject;
}

/** The SyncedSecret of a connection's name. */
function resource(name: string, of = name): Resource {
  const metadata = { namespace: "ns", name, uid: name };
  return { metadata, spec: { connectionRef: { name: of } } } as Resource;
}

/** Caches with a connection of each name, and a SyncedSecret for each. */
function caches() {
  const listeners = new Set<ChangeListener>();
  const syncedSecrets = new Map(names.map((name) => [`ns/${name}`, resource(name)]));
  const clusterConnections = new Map(names.map((name) => [name, connection(name)]));
  const none = new Map<string, never>();
  const all: TermCaches = {
    views: { syncedSecrets, clusterConnections, connections: none, secrets: none, namespaces: none },
    everySyncedSecret: syncedSecrets,
    listen(listener, signal) {
      for (const one of clusterConnections.values()) {
        listener.connectionChanged("ClusterAWSConnection", { key: one.metadata.name!, before: undefined, after: one });
      }
      for (const [key, after] of syncedSecrets) listener.syncedSecretChanged({ key, before: undefined, after });
      listeners.add(listener);
      signal.addEventListener("abort", () => listeners.delete(listener));
    },
    watchOne: () => {
      throw new Error("not watched");
    },
  };
  const put = (after: Resource) => {
    const key = `ns/${after.metadata.name}`;
    const before = syncedSecrets.get(key);
    syncedSecrets.set(key, after);
    for (const listener of listeners) listener.syncedSecretChanged({ key, before, after });
  };
  return { all, put };
}

/** A shard's owner, whose work ends a SyncedSecret's reconcile only when `drain` is called. */
function owner(shard: number, shards: number, world: Pick<ReturnType<typeof caches>, "all">, isApplied: IsApplied) {
  const over = new AbortController();
  /** SyncedSecrets and connections that the work knows. */
  const known = new Set<string>();
  /** SyncedSecrets whose last reconcile is under way. */
  const leaving = new Set<string>();
  const moved: string[] = [];
  const reconsidered: string[] = [];
  let wake: (() => void)[] = [];
  const begin = (term: ShardTerm): Work => {
    term.caches.listen(
      {
        secretChanged: () => {},
        namespaceChanged: () => {},
        connectionChanged: (_, { after, before }) => {
          const key = keyOf((after ?? before)!.metadata.name!);
          if (after) known.add(key);
          else known.delete(key);
        },
        syncedSecretChanged: ({ key, after }, hasMoved) => {
          if (hasMoved) moved.push(`${after ? "to" : "from"} ${shard}: ${key}`);
          if (after) known.add(key);
          else if (known.delete(key)) leaving.add(key);
        },
      },
      over.signal,
    );
    const drained = aborted(over.signal);
    return {
      drained,
      ended: drained.then(() => true),
      settled: async (keys) => {
        while (keys.some((key) => leaving.has(key))) await new Promise<void>((resolve) => wake.push(resolve));
      },
      reconsider: (key) => void reconsidered.push(key),
    };
  };
  const drain = () => {
    leaving.clear();
    for (const one of wake.splice(0)) one();
    wake = [];
  };
  const state = { isLeftOut: false, sharesQueue: false, changes: 0 };
  const term = new ShardTerm(
    {
      ...{ shard, shards, begin },
      makeCaches: (owns) => new ShardCaches({ all: world.all, owns, connectionOf }),
      isAppliedEverywhere: isApplied,
      isLeftOut: () => state.isLeftOut,
      sharesQueueElsewhere: () => state.sharesQueue,
      changed: () => void state.changes++,
    },
    over.signal,
  );
  return { term, known, leaving, moved, reconsidered, drain, state, end: () => over.abort() };
}
type IsApplied = (digest: string) => boolean;

/** Groups that put each connection on a shard of 2. */
function placed(of: Record<string, 0 | 1>): Groups {
  return Groups.from(new Map(Object.entries(of).map(([name, shard]) => [keyOf(name), on[shard]])));
}
const on = ["", "4/eu-west-1"] as const;
const everyone: IsApplied = () => true;

it("the group of the tests is on shard 1", () => {
  expect(placed({ a: 1 }).shardOf(keyOf("a"), 2)).toBe(1);
});

describe("the owner of a shard", () => {
  it("begins with what the groups assign to it", () => {
    const { term, known } = owner(1, 2, caches(), everyone);
    expect(term.isAtWork).toBe(false);
    term.observe(placed({ a: 1, b: 0, c: 1 }));
    expect([...known].sort()).toEqual([keyOf("a"), keyOf("c"), "ns/a", "ns/c"]);
    expect(term.isAtWork).toBe(true);
  });

  it("begins nothing before every owner works by the same groups", () => {
    let isApplied = false;
    const { term, known } = owner(1, 2, caches(), () => isApplied);
    const groups = placed({ a: 1 });
    term.observe(groups);
    expect([known.size, term.applied]).toEqual([0, groups.digest]);
    isApplied = true;
    term.observe(groups);
    expect(known.has("ns/a")).toBe(true);
  });

  it("stops at once what other groups take from it, and says so when its last reconcile has ended", async () => {
    const { term, known, leaving, drain, moved } = owner(1, 2, caches(), everyone);
    const before = placed({ a: 1, b: 1 });
    term.observe(before);
    const after = placed({ a: 0, b: 1 });
    term.observe(after);
    expect([...known].sort()).toEqual([keyOf("b"), "ns/b"]);
    expect([[...leaving], term.applied]).toEqual([["ns/a"], before.digest]);
    drain();
    await settle();
    expect(term.applied).toBe(after.digest);
    expect(moved).toEqual(["from 1: ns/a"]);
  });

  it("does not take back at once what newer groups return to it", async () => {
    let isApplied = true;
    const { term, known, drain } = owner(1, 2, caches(), () => isApplied);
    term.observe(placed({ a: 1 }));
    isApplied = false;
    term.observe(placed({ a: 0 }));
    term.observe(placed({ a: 1 }));
    drain();
    await settle();
    expect(known.has("ns/a")).toBe(false);
    isApplied = true;
    term.observe(placed({ a: 1 }));
    expect(known.has("ns/a")).toBe(true);
  });

  it("passes a SyncedSecret that names another connection on, as neither deleted nor created", () => {
    const world = caches();
    const first = owner(0, 2, world, everyone);
    const second = owner(1, 2, world, everyone);
    for (const { term } of [first, second]) term.observe(placed({ a: 0, b: 1 }));
    world.put(resource("a", "b"));
    expect(first.moved).toEqual(["from 0: ns/a"]);
    expect(second.moved).toEqual(["to 1: ns/a"]);
  });

  it("works on a connection only when its published group is the one that was found", () => {
    const { term, state, reconsidered } = owner(0, 2, caches(), everyone);
    term.observe(placed({}));
    const to = { account: "4", region: "eu-west-1" };
    expect(term.settle(keyOf("a"), to)).toBe(false);
    expect([[...term.found], state.changes > 0]).toEqual([[[keyOf("a"), on[1]]], true]);
    // It belongs to the other shard now.
    term.observe(placed({ a: 1 }));
    expect([term.found.size, reconsidered]).toEqual([0, []]);
    const tenants = { account: undefined, region: "eu-west-1" };
    expect(term.settle(keyOf("b"), tenants)).toBe(false);
    term.observe(placed({ a: 1, b: 0 }));
    expect(reconsidered).toEqual([keyOf("b")]);
    expect([term.settle(keyOf("b"), tenants), term.found.size]).toEqual([true, 0]);
  });

  it("works on a connection that had no room in the groups, and not on one whose queue another shard receives from", () => {
    const { term, state } = owner(0, 2, caches(), everyone);
    term.observe(placed({ b: 0 }));
    const to = { account: "4", region: "eu-west-1" };
    state.isLeftOut = true;
    expect(term.settle(keyOf("a"), to)).toBe(true);
    [state.isLeftOut, state.sharesQueue] = [false, true];
    expect(term.settle(keyOf("b"), { account: undefined, region: "eu-west-1" })).toBe(false);
    expect(term.found.has(keyOf("b"))).toBe(false);
  });

  it("ends with its work, and takes nothing after", async () => {
    const { term, end, known } = owner(1, 2, caches(), everyone);
    term.observe(placed({ a: 1 }));
    end();
    expect(await term.ended).toBe(true);
    term.observe(placed({ a: 1, b: 1 }));
    expect(known.has("ns/b")).toBe(false);
    const early = owner(1, 2, caches(), () => false);
    early.term.observe(placed({ a: 1 }));
    early.end();
    expect(await early.term.ended).toBe(true);
  });
});

/** What replicas write to the Leases of two shards, in the order of the API server. */
interface Event {
  groups?: Groups;
  shard?: number;
  applied?: string | undefined;
}

it("no SyncedSecret is ever worked on by two owners, whatever they see late and in whatever order they end", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("publish" as const), of: fc.record({ a: bit(), b: bit(), c: bit() }) }),
    fc.record({ kind: fc.constant("see" as const), shard: bit() }),
    fc.record({ kind: fc.constant("drain" as const), shard: bit() }),
    fc.record({ kind: fc.constant("restart" as const), shard: bit() }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const world = caches();
      const log: Event[] = [];
      /** What each owner has seen: as many events of the log. */
      const seen = [0, 0];
      const viewOf = (shard: number) => {
        const view = { groups: placed({}), applied: [undefined, undefined] as (string | undefined)[] };
        for (const event of log.slice(0, seen[shard])) {
          if (event.groups) view.groups = event.groups;
          else view.applied[event.shard!] = event.applied;
        }
        return view;
      };
      const start = (shard: 0 | 1) => {
        const one = owner(shard, 2, world, (digest) => viewOf(shard).applied.every((applied) => applied === digest));
        return { ...one, written: undefined as string | undefined };
      };
      const owners = [start(0), start(1)];
      // An owner begins when it has seen its own claim, which resets what its shard has applied.
      const claim = (shard: number) => {
        log.push({ shard, applied: undefined });
        seen[shard] = log.length;
      };
      for (const shard of [0, 1]) claim(shard);
      const run = async (shard: 0 | 1) => {
        owners[shard]!.term.observe(viewOf(shard).groups);
        await settle();
        const { applied } = owners[shard]!.term;
        if (applied !== owners[shard]!.written) log.push({ shard, applied });
        owners[shard]!.written = applied;
      };
      const check = () => {
        for (const name of names) {
          const at = owners.filter(({ known, leaving }) => known.has(`ns/${name}`) || leaving.has(`ns/${name}`));
          expect(at.length).toBeLessThanOrEqual(1);
        }
      };
      for (const one of steps) {
        if (one.kind === "publish") log.push({ groups: placed(one.of) });
        else if (one.kind === "see") seen[one.shard] = Math.min(log.length, seen[one.shard]! + 1);
        else if (one.kind === "drain") owners[one.shard]!.drain();
        else {
          owners[one.shard]!.end();
          owners[one.shard] = start(one.shard);
          claim(one.shard);
        }
        if (one.kind !== "publish") await run(one.shard);
        check();
      }
      // In the end all is seen and drained, and everything has its owner.
      for (let round = 0; round < 4; round++) {
        for (const shard of [0, 1] as const) {
          owners[shard]!.drain();
          seen[shard] = log.length;
          await run(shard);
          check();
        }
      }
      for (const name of names) expect(owners.filter(({ known }) => known.has(`ns/${name}`))).toHaveLength(1);
    }),
    { numRuns: 150 },
  );
});

function bit() {
  return fc.constantFrom(0 as const, 1 as const);
}
