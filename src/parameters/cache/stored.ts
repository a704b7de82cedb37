import { isEqual, type VersionStamp } from "../read/version-stamp.ts";
import type { At, Entry, ParameterState, Stored } from "./cache-entry.ts";
import { changeEntry } from "./reducer.ts";

/** Members of one path that only previous statuses name, at most: bounds the memory that statuses can use. */
const claimedAtMost = 1_000;

/** The version that a previous status records of a parameter or a member of a path. */
export function stampIn(stored: Stored | undefined, name: string): VersionStamp | undefined {
  if (stored === undefined || stored === "left") return undefined;
  return stored instanceof Map ? stored.get(name) : (stored as VersionStamp);
}

/**
 * Sets the previous status of a dependent. After AWS has answered, only parameters that the answer lacks are kept.
 *
 * @returns names of a path's members that AWS has not returned to this process
 */
export function remember(entry: Entry, dependent: string, stored: Stored | undefined): string[] {
  const { reference, looked, state } = entry;
  if (stored === undefined) {
    forgetStored(entry, dependent);
    return [];
  }
  const keep = () => changeEntry(entry, { type: "statusKept", dependent, stored });
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

/** Drops the previous status of a dependent, and the claimed members that no other status names. */
export function forgetStored(entry: Entry, dependent: string): void {
  if (entry.stored?.get(dependent) === undefined) return;
  changeEntry(entry, { type: "statusForgotten", dependent });
  forgetClaims(entry);
}

/** Drops previous statuses that an answer of AWS has made unnecessary. */
export function forgetAnswered(entry: Entry): void {
  const { reference, stored, state, claimed } = entry;
  if (!stored) return;
  if (reference.kind === "path") {
    if (!claimed) changeEntry(entry, { type: "statusesForgotten" });
  } else if (!state.missing || state.stamp) {
    changeEntry(entry, { type: "statusesForgotten" });
  }
}

/**
 * Claims the members that previous statuses name and AWS has not returned, up to a limit: they are missing. Drops the
 * claims that no status names any more.
 *
 * @param at when AWS answered without them
 */
export function claim(entry: Entry, at: At): void {
  for (const stored of entry.stored?.values() ?? []) {
    if (!(stored instanceof Map)) continue;
    for (const name of stored.keys()) {
      if ((entry.claimed?.size ?? 0) >= claimedAtMost) break;
      if (!entry.members.has(name)) changeEntry(entry, { type: "claimed", name, at });
    }
  }
  forgetClaims(entry);
}

function forgetClaims(entry: Entry): void {
  for (const name of entry.claimed?.keys() ?? []) {
    if (!isClaimed(entry, name)) changeEntry(entry, { type: "claimForgotten", name });
  }
}

/** Whether a dependent's previous status names a parameter or a member of a path. */
export function isClaimed(entry: Entry, name: string): boolean {
  for (const stored of entry.stored?.values() ?? []) if (stampIn(stored, name)) return true;
  return false;
}

/** Whether the previous statuses of all these dependents, at least one, name a parameter. */
export function isStoredByAll(entry: Entry, name: string, dependents: Iterable<string>): boolean {
  let isStored = false;
  for (const dependent of dependents) {
    if (!stampIn(entry.stored?.get(dependent), name)) return false;
    isStored = true;
  }
  return isStored;
}

/** The dependents whose previous status differs from AWS's answer. */
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

/** The parameters of an entry that AWS has served, or that a previous status names. */
export function* atStake(entry: Entry): Iterable<{ state: ParameterState; isClaimed: boolean }> {
  const { reference, state, members, claimed } = entry;
  if (state.stamp) yield { state, isClaimed: false };
  else if (reference.kind === "parameter" && isClaimed(entry, reference.name)) yield { state, isClaimed: true };
  for (const member of members.values()) if (member.stamp) yield { state: member, isClaimed: false };
  for (const member of claimed?.values() ?? []) yield { state: member, isClaimed: true };
}
