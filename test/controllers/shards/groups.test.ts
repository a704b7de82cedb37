import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Groups, groupName, rendezvous } from "../../../src/controllers/shards/groups.ts";
import { nextGroups } from "../../../src/controllers/shards/next-groups.ts";

const keyOf = (name: string) => `ClusterAWSConnection//${name}`;
const groups = (of: Record<string, string>, ties: Record<string, string> = {}) =>
  Groups.from(new Map(Object.entries(of).map(([name, group]) => [keyOf(name), group])), new Map(Object.entries(ties)));
const [west, east, other] = ["111111111111/eu-west-1", "111111111111/us-east-1", "222222222222/eu-west-1"];

describe("groups", () => {
  it("are read as they were written, whatever the order", () => {
    const written = groups({ b: west, a: east, c: west }, { [east]: west });
    const read = Groups.parse(written.text);
    expect([...read.all].sort()).toEqual([...written.all].sort());
    expect([read.text, read.digest]).toEqual([written.text, written.digest]);
    expect(groups({ c: west, a: east, b: west }, { [east]: west }).digest).toBe(written.digest);
  });

  it.each([undefined, "", "{}", "x", "[]", "null", '{"a":1}', '{"a":{"of":5}}'])("of the text %s are none", (text) => {
    expect(Groups.parse(text).all.size).toBe(0);
    expect(Groups.parse(text).text).toBe("");
  });

  it("put a connection whose account is not known, or that has none, on shard 0", () => {
    const some = groups({ a: west, tenants: groupName(undefined, "eu-west-1") });
    for (const shards of [2, 4, 64]) {
      expect(some.shardOf(keyOf("unknown"), shards)).toBe(0);
      expect(some.shardOf(keyOf("tenants"), shards)).toBe(0);
      expect(some.shardOf(keyOf("a"), shards)).toBe(rendezvous(west!, shards));
    }
  });

  it("that share a queue are on one shard, and several accounts count as tied", () => {
    const tied = groups({ a: west, b: other, c: east }, { [other]: west });
    for (let shards = 2; shards <= 16; shards++) {
      expect(tied.shardOf(keyOf("b"), shards)).toBe(tied.shardOf(keyOf("a"), shards));
    }
    expect(["a", "b", "c", "d"].map((name) => tied.isTied(keyOf(name)))).toEqual([true, true, false, false]);
    expect(groups({ a: west, c: east }, { [east]: west }).isTied(keyOf("a"))).toBe(false);
  });
});

it("another number of shards moves groups to the new shard only, and about their share", () => {
  const names = Array.from({ length: 500 }, (_, index) => `${100_000_000_000 + index}/eu-west-1`);
  for (const shards of [2, 4, 8]) {
    const moved = names.filter((name) => rendezvous(name, shards) !== rendezvous(name, shards + 1));
    for (const name of moved) expect(rendezvous(name, shards + 1)).toBe(shards);
    expect(moved.length).toBeGreaterThan((0.5 * names.length) / (shards + 1));
    expect(moved.length).toBeLessThan((1.5 * names.length) / (shards + 1));
  }
});

describe("the groups to publish", () => {
  const next = (part: Partial<Parameters<typeof nextGroups>[0]>) =>
    nextGroups({ current: groups({}), found: new Map(), queues: new Map(), maxLength: 10_000, ...part });
  const queuesOf = (of: Record<string, string | undefined>) =>
    new Map(Object.entries(of).map(([name, queue]) => [keyOf(name), queue]));

  it("keep what is known, take what was found, and forget connections that do not exist", () => {
    const { groups: all } = next({
      current: groups({ a: west, b: west, gone: west }),
      found: new Map([
        [keyOf("b"), east],
        [keyOf("c"), other],
        [keyOf("gone"), other],
      ] as [string, string][]),
      queues: queuesOf({ a: undefined, b: undefined, c: undefined, unknown: undefined }),
    });
    expect(Object.fromEntries(all.all)).toEqual({ [keyOf("a")]: west, [keyOf("b")]: east, [keyOf("c")]: other });
  });

  it("tie groups through any chain of common queues, and untie them when the queues differ", () => {
    const current = groups({ a: west, b: other, c: east, d: east });
    const tied = next({ current, queues: queuesOf({ a: "q1", b: "q1", c: "q2", d: "q2" }) }).groups;
    expect(tied.shardOf(keyOf("b"), 16)).toBe(tied.shardOf(keyOf("a"), 16));
    const chained = next({ current: tied, queues: queuesOf({ a: "q1", b: "q1", c: "q2", d: "q1" }) }).groups;
    for (const name of ["b", "c", "d"]) expect(chained.shardOf(keyOf(name), 64)).toBe(chained.shardOf(keyOf("a"), 64));
    const apart = next({ current: chained, queues: queuesOf({ a: "q1", b: "q2", c: "q3", d: "q3" }) }).groups;
    expect(apart.isTied(keyOf("b"))).toBe(false);
    expect(apart.shardOf(keyOf("b"), 64)).toBe(rendezvous(other!, 64));
  });

  it("tie a group to shard 0 by a queue of a connection without an account", () => {
    const current = groups({ a: west, tenants: "" });
    const { groups: tied } = next({ current, queues: queuesOf({ a: "q", tenants: "q" }) });
    expect(tied.shardOf(keyOf("a"), 64)).toBe(0);
  });

  it("leave out the last connections that do not fit, which shard 0 keeps", () => {
    const names = Array.from({ length: 500 }, (_, index) => `connection-${String(index).padStart(3, "0")}`);
    const current = groups(Object.fromEntries(names.map((name) => [name, west!])));
    const queues = queuesOf(Object.fromEntries(names.map((name) => [name, undefined])));
    const { groups: some, leftOut } = next({ current, queues });
    expect(some.text.length).toBeLessThanOrEqual(10_000);
    expect(some.text.length).toBeGreaterThan(8_000);
    expect(some.all.size + leftOut.size).toBe(500);
    expect(leftOut.has(keyOf("connection-499"))).toBe(true);
    expect(some.shardOf(keyOf("connection-499"), 64)).toBe(0);
    expect(next({ current: some, found: current.all, queues }).groups.text).toBe(some.text);
  });

  it("are the same whoever computes them from the same input, and again from their own result", () => {
    const connection = fc.record({
      group: fc.constantFrom("", west!, east!, other!),
      queue: fc.constantFrom(undefined, "p", "q", "r"),
    });
    fc.assert(
      fc.property(fc.array(connection, { maxLength: 12 }), (all) => {
        const found = new Map(all.map(({ group }, index) => [keyOf(`c${index}`), group]));
        const queues = new Map(all.map(({ queue }, index) => [keyOf(`c${index}`), queue]));
        const { groups: one } = next({ found, queues });
        expect(next({ current: Groups.parse(one.text), queues: new Map([...queues].reverse()) }).groups.text).toBe(
          one.text,
        );
        for (const [index, { queue }] of all.entries()) {
          for (const [second, { queue: same }] of all.entries()) {
            if (queue === undefined || queue !== same) continue;
            expect(one.shardOf(keyOf(`c${index}`), 16)).toBe(one.shardOf(keyOf(`c${second}`), 16));
          }
        }
      }),
    );
  });
});
