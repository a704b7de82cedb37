import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideLeases, type ReplicaSnapshot, weight } from "../../../src/kube/leases/balance.ts";

const free = undefined;
const snapshot = (part: Partial<ReplicaSnapshot>): ReplicaSnapshot => ({
  identity: "a",
  shards: 4,
  agreed: 4,
  isOtherNumberAtWork: false,
  members: ["a", free, free, free],
  holders: [free, free, free, free],
  ...part,
});
const shardsOf = (part: Partial<ReplicaSnapshot>) => [...decideLeases(snapshot(part)).shards].sort();

describe("a replica", () => {
  it("announces itself by the first free member Lease, and takes no shard before it has it", () => {
    const wanted = decideLeases(snapshot({ members: ["b", free, "c", free] }));
    expect([wanted.common, wanted.member, [...wanted.shards]]).toEqual([true, 1, []]);
  });

  it("keeps one member Lease if it got two", () => {
    expect(decideLeases(snapshot({ members: ["b", "a", "a", free] })).member).toBe(1);
  });

  it("stands by without a member Lease when there are as many replicas as shards", () => {
    const wanted = decideLeases(snapshot({ members: ["b", "c", "d", "e"], holders: ["b", "c", "d", free] }));
    expect([wanted.member, [...wanted.shards]]).toEqual([undefined, []]);
  });

  it("takes one free shard at a time", () => {
    expect(shardsOf({})).toHaveLength(1);
    expect(shardsOf({ holders: ["a", free, free, free] })).toHaveLength(2);
  });

  it("takes no free shard while another replica holds fewer", () => {
    expect(shardsOf({ members: ["a", "b", free, free], holders: ["a", free, free, free] })).toEqual([0]);
    expect(shardsOf({ members: ["a", "b", free, free], holders: ["a", "b", free, free] })).toHaveLength(2);
  });

  it("gives the last of its shards back only while another replica holds at least two fewer", () => {
    expect(shardsOf({ members: ["a", "b", free, free], holders: ["a", "a", "a", "b"] })).toEqual([0, 1]);
    expect(shardsOf({ members: ["a", "b", "c", free], holders: ["a", "a", "b", "c"] })).toEqual([0, 1]);
    expect(shardsOf({ members: ["a", "b", free, free], holders: ["a", "a", "a", free] })).toEqual([0, 1, 2]);
  });

  it("does not give back what another replica with as many gives back already", () => {
    const both = { members: ["a", "b", "c", free], holders: ["a", "a", "b", "b"] };
    expect(shardsOf({ ...both, identity: "a" })).toEqual([0, 1]);
    expect(shardsOf({ ...both, identity: "b" })).toEqual([2]);
  });

  it("keeps its shards and begins nothing while nobody holds the common Lease", () => {
    const wanted = decideLeases(snapshot({ agreed: undefined, holders: ["a", free, free, free] }));
    expect([wanted.common, wanted.member, [...wanted.shards]]).toEqual([true, 0, [0]]);
    expect(decideLeases(snapshot({ agreed: undefined, members: [free, free, free, free] })).member).toBeUndefined();
  });

  it("wants nothing while replicas with another number of shards work, and gives back what it holds", () => {
    const nothing = { common: false, member: undefined, shards: new Set() };
    expect(decideLeases(snapshot({ agreed: 8, holders: ["a", free, free, free] }))).toEqual(nothing);
    expect(decideLeases(snapshot({ agreed: undefined, isOtherNumberAtWork: true }))).toEqual(nothing);
    const late = decideLeases(snapshot({ isOtherNumberAtWork: true, holders: ["a", "b", free, free] }));
    expect([late.common, late.member, late.shards.size]).toEqual([true, undefined, 0]);
  });
});

/** Replicas that take turns: each sees all Leases, and one write of each turn takes effect. */
class Fleet {
  readonly alive: string[] = [];
  members: (string | undefined)[];
  holders: (string | undefined)[];
  moves = 0;
  readonly shards: number;

  constructor(shards: number) {
    this.shards = shards;
    this.members = Array.from({ length: shards }, () => free);
    this.holders = Array.from({ length: shards }, () => free);
  }

  leave(identity: string): void {
    this.alive.splice(this.alive.indexOf(identity), 1);
    this.members = this.members.map((one) => (one === identity ? free : one));
    this.holders = this.holders.map((one) => (one === identity ? free : one));
  }

  /** @returns whether the replica wrote a Lease */
  turn(identity: string): boolean {
    const { shards, members, holders } = this;
    const wanted = decideLeases(snapshot({ identity, shards, agreed: shards, members, holders }));
    const given = holders.findIndex((holder, shard) => holder === identity && !wanted.shards.has(shard));
    const taken = [...wanted.shards].find((shard) => holders[shard] === free);
    if (wanted.member !== undefined && members[wanted.member] === free) members[wanted.member] = identity;
    else if (given >= 0) holders[given] = free;
    else if (taken !== undefined) holders[taken] = identity;
    else return false;
    if (given >= 0) this.moves++;
    return true;
  }

  /** Lets replicas take turns until nobody writes. */
  settle(pick: (count: number) => number): void {
    let quiet = new Set<string>();
    for (let turns = 0; quiet.size < this.alive.length; turns++) {
      expect(turns).toBeLessThan(2_000);
      const identity = this.alive[pick(this.alive.length)]!;
      quiet = this.turn(identity) ? new Set() : quiet.add(identity);
    }
  }
}

it("replicas that come and go in any order end with all shards held, and no two differ by more than one", () => {
  const change = fc.record({ leaves: fc.boolean(), which: fc.nat(7), early: fc.nat(6) });
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 12 }),
      fc.array(change, { maxLength: 10 }),
      fc.nat(),
      (shards, changes, seed) => {
        const fleet = new Fleet(shards);
        // From 1 to the modulus - 1: 0 would stay 0.
        let [state, joined] = [(seed % 2_147_483_646) + 1, 0];
        const pick = (count: number) => {
          state = (state * 48_271) % 2_147_483_647;
          return state % count;
        };
        for (const { leaves, which, early } of changes) {
          if (leaves && fleet.alive.length > 0) fleet.leave(fleet.alive[which % fleet.alive.length]!);
          else fleet.alive.push(`replica-${joined++}`);
          // The next replica may come before the fleet is balanced.
          for (let turn = 0; turn < early && fleet.alive.length > 0; turn++)
            fleet.turn(fleet.alive[pick(fleet.alive.length)]!);
        }
        if (fleet.alive.length === 0) return;
        fleet.settle(pick);
        expect(fleet.holders).not.toContain(free);
        const counts = fleet.alive
          .filter((identity) => fleet.members.includes(identity))
          .map((identity) => fleet.holders.filter((holder) => holder === identity).length);
        expect(counts).toHaveLength(Math.min(shards, fleet.alive.length));
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      },
    ),
  );
});

it("a replica that joins a balanced fleet moves its own share of shards, and no more", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 12 }), fc.integer({ min: 1, max: 8 }), (shards, replicas) => {
      const fleet = new Fleet(shards);
      let state = 0;
      const pick = (count: number) => state++ % count;
      fleet.alive.push(...Array.from({ length: replicas }, (_, index) => `replica-${index}`));
      fleet.settle(pick);
      fleet.moves = 0;
      fleet.alive.push("new");
      fleet.settle(pick);
      const share = fleet.holders.filter((holder) => holder === "new").length;
      expect(share).toBe(fleet.members.includes("new") ? Math.floor(shards / (replicas + 1)) : 0);
      expect(fleet.moves).toBe(share);
    }),
  );
});

it("weights differ by name and by shard, and are always the same", () => {
  expect(weight("a", 0)).toBe(weight("a", 0));
  const all = ["a", "b"].flatMap((name) => [0, 1, 2].map((shard) => weight(name, shard)));
  expect(new Set(all).size).toBe(6);
});
