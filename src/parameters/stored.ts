import { OneOrManyMap } from "../runtime/one-or-many-map.ts";
import { type Entry, isEqual, type ParameterState, type Stored, type VersionStamp } from "./cache-entry.ts";

/** Members of one path that are remembered for statuses alone, at most: what a status says costs no more than that. */
const claimedAtMost = 1_000;

/** The version of a parameter, or of a member of a path, that a status tells of. */
export function stampIn(stored: Stored | undefined, name: string): VersionStamp | undefined {
  if (stored === undefined || stored === "left") return undefined;
  return stored instanceof Map ? stored.get(name) : (stored as VersionStamp);
}

/**
 * Takes note of what the status of a dependent says; it replaces what it said before. Once AWS has answered, only what
 * the answer left out is of any use.
 *
 * @returns names of a path's members that AWS has not shown to this process
 */
export function remember(entry: Entry, dependent: string, stored: Stored | undefined): string[] {
  const { reference, looked, state } = entry;
  if (stored === undefined) {
    forgetStored(entry, dependent);
    return [];
  }
  const keep = () => {
    entry.stored ??= new OneOrManyMap();
    entry.stored.set(dependent, stored);
  };
  if (!looked) {
    keep();
    return [];
  }
  if (reference.kind === "parameter") {
    const isMissed = state.missing !== undefined && state.stamp === undefined && stored !== "left";
    if (isMissed) keep();
    else forgetStored(entry, dependent);
    return [];
  }
  const unseen = stored instanceof Map ? [...stored.keys()].filter((name) => !entry.members.has(name)) : [];
  if (unseen.length > 0) keep();
  else forgetStored(entry, dependent);
  return unseen;
}

/** Forgets what the status of a dependent said, and what is remembered for it alone. */
export function forgetStored(entry: Entry, dependent: string): void {
  if (entry.stored?.get(dependent) === undefined) return;
  entry.stored.delete(dependent);
  if (entry.stored.size === 0) delete entry.stored;
  if (!entry.claimed) return;
  for (const name of entry.claimed.keys()) if (!isClaimed(entry, name)) entry.claimed.delete(name);
  if (entry.claimed.size === 0) delete entry.claimed;
}

/** Lets go of what an answer of AWS has made needless. */
export function forgetAnswered(entry: Entry): void {
  const { reference, stored, state, claimed } = entry;
  if (!stored) return;
  if (reference.kind === "path") {
    if (!claimed) delete entry.stored;
  } else if (!state.missing || state.stamp) {
    delete entry.stored;
  }
}

/** The member of a path that only statuses tell of, made where there is none; undefined where there are too many. */
export function claim(entry: Entry, name: string): ParameterState | undefined {
  entry.claimed ??= new Map();
  const known = entry.claimed.get(name);
  if (known || entry.claimed.size >= claimedAtMost) return known;
  const state: ParameterState = {};
  entry.claimed.set(name, state);
  return state;
}

/** Whether a dependent's status says that a parameter, or a member of a path, was there. */
export function isClaimed(entry: Entry, name: string): boolean {
  for (const stored of entry.stored?.values() ?? []) if (stampIn(stored, name)) return true;
  return false;
}

/** Whether the statuses of all these dependents, and of one at least, say that a parameter was there. */
export function isStoredByAll(entry: Entry, name: string, dependents: Iterable<string>): boolean {
  let isStored = false;
  for (const dependent of dependents) {
    if (!stampIn(entry.stored?.get(dependent), name)) return false;
    isStored = true;
  }
  return isStored;
}

/** The dependents whose own status says otherwise than AWS. */
export function differing(entry: Entry): string[] {
  const found: string[] = [];
  for (const dependent of entry.stored?.keys() ?? []) {
    if (differs(entry, entry.stored!.get(dependent)!)) found.push(dependent);
  }
  return found;
}

function differs({ reference, state, members }: Entry, stored: Stored): boolean {
  const isThere = ({ stamp, missing }: ParameterState) => stamp !== undefined && !missing;
  if (stored === "left") return isThere(state);
  if (reference.kind === "parameter") return !isThere(state) || !isEqual(stored as VersionStamp, state.stamp!);
  const stamps = stored as ReadonlyMap<string, VersionStamp>;
  let there = 0;
  for (const [name, member] of members) {
    if (!isThere(member)) continue;
    const stamp = stamps.get(name);
    if (!stamp || !isEqual(stamp, member.stamp!)) return true;
    there += 1;
  }
  return there !== stamps.size;
}

/** Everything of an entry that AWS has served, or that a status says was there. */
export function* atStake(entry: Entry): Iterable<{ state: ParameterState; isClaimed: boolean }> {
  const { reference, state, members, claimed } = entry;
  if (state.stamp) yield { state, isClaimed: false };
  else if (reference.kind === "parameter" && isClaimed(entry, reference.name)) yield { state, isClaimed: true };
  for (const member of members.values()) if (member.stamp) yield { state: member, isClaimed: false };
  for (const member of claimed?.values() ?? []) yield { state: member, isClaimed: true };
}
