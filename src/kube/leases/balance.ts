import { createHash } from "node:crypto";

/** What a replica decides from which Leases it wants to hold. */
export interface ReplicaSnapshot {
  identity: string;
  /** The number of shards that this replica is set to. */
  shards: number;
  /** The number of shards that the common Lease carries while it is held; undefined while it is free. */
  agreed: number | undefined;
  /** Whether a shard's Lease is held by a replica that is set to another number of shards. */
  isOtherNumberAtWork: boolean;
  /** The holder of each member Lease; undefined if it is free. */
  members: readonly (string | undefined)[];
  /** The holder of each shard's Lease; undefined if it is free. */
  holders: readonly (string | undefined)[];
}

/** The Leases that a replica takes when they are free, and keeps. It gives back all others that it holds. */
export interface WantedLeases {
  /** The Lease that carries the number of shards. */
  common: boolean;
  /** The index of the member Lease that announces this replica; undefined for none. */
  member: number | undefined;
  shards: ReadonlySet<number>;
}

/**
 * Decides which Leases a replica wants. A replica that is set to another number of shards than those at work wants
 * nothing. Otherwise it announces itself by a member Lease, keeps the shards that it holds, and moves at most one shard
 * at a time: it takes a free shard only while no other member holds fewer, and gives one back only while another member
 * holds at least two fewer.
 */
export function decideLeases(snapshot: ReplicaSnapshot): WantedLeases {
  const { identity, shards, agreed, isOtherNumberAtWork, members, holders } = snapshot;
  const common = agreed === shards || (agreed === undefined && !isOtherNumberAtWork);
  const held = indexesOf(holders, identity);
  const own = indexesOf(members, identity)[0];
  if (!common || isOtherNumberAtWork) return { common, member: undefined, shards: new Set() };
  // While nobody holds the common Lease, another number may become the agreed one: begin nothing new.
  if (agreed === undefined) return { common, member: own, shards: new Set(held) };
  const free = indexesOf(members, undefined)[0];
  const member = own ?? free;
  return { common, member, shards: new Set(own === undefined ? held : balanced(snapshot, held)) };
}

/** The shards that a member wants: those that it holds, and one more or one fewer. */
function balanced({ identity, members, holders }: ReplicaSnapshot, held: readonly number[]): number[] {
  const counts = new Map<string, number>();
  for (const member of members) if (member !== undefined) counts.set(member, indexesOf(holders, member).length);
  const fewest = Math.min(...counts.values());
  const free = indexesOf(holders, undefined);
  if (free.length > 0) {
    const [first] = free.sort((a, b) => weight(identity, b) - weight(identity, a));
    return held.length <= fewest ? [...held, first!] : [...held];
  }
  // One member gives at a time, so that no more is given back than is missing.
  const most = [...counts].filter(([, count]) => count === Math.max(...counts.values())).map(([member]) => member);
  const gives = held.length >= fewest + 2 && most.sort().at(-1) === identity;
  return gives ? held.slice(0, -1) : [...held];
}

function indexesOf(holders: readonly (string | undefined)[], wanted: string | undefined): number[] {
  return holders.flatMap((holder, index) => (holder === wanted ? [index] : []));
}

/** A number that orders the pairs of a name and a shard at random, but always in the same way. */
export function weight(name: string, shard: number): number {
  return createHash("sha256").update(`${name}\n${shard}`).digest().readUIntBE(0, 6);
}
