import type { VersionStamp } from "../read/version-stamp.ts";
import type { Entry, Missing, ParameterState, StaleAnswer } from "./cache-entry.ts";

/** What dependents act on of one parameter, at one moment. The values are never changed, so it holds the values. */
export interface Observed {
  readonly stamp: VersionStamp | undefined;
  readonly missing: Missing | undefined;
  readonly staleAnswer: StaleAnswer | undefined;
  /** Whether only a previous status names it, as a member of a path. */
  readonly isClaimed: boolean;
}

/** What dependents act on of an entry's parameter; undefined if the path has no such member. */
export function observe({ reference, state, members, claimed }: Entry, name: string): Observed | undefined {
  if (reference.kind === "parameter") return observedOf(state, false);
  const member = members.get(name);
  if (member) return observedOf(member, false);
  const claim = claimed?.get(name);
  return claim && observedOf(claim, true);
}

function observedOf({ stamp, missing, staleAnswer }: ParameterState, isClaimed: boolean): Observed {
  return { stamp, missing, staleAnswer, isClaimed };
}

/** The failure that dependents act on; "" if there is none, or if a retry may succeed. */
export function lastingFailure({ failure }: Pick<Entry, "failure">): string {
  return failure && failure.next !== "retry" ? failure.message : "";
}

/** Whether the difference, if any, is nothing that dependents act on. */
export function isSameToDependents(a: Observed | undefined, b: Observed | undefined): boolean {
  if (!a || !b) return a === b;
  return (
    isSameStamp(a.stamp, b.stamp) &&
    a.missing?.stage === b.missing?.stage &&
    a.missing?.reason === b.missing?.reason &&
    isDoubted(a) === isDoubted(b)
  );
}

/** Whether AWS serves the same version, or nothing, in both. AWS announces only such changes: no failures, no stages. */
export function isSameServed(a: Observed | undefined, b: Observed | undefined): boolean {
  if (!isServed(a) || !isServed(b)) return isServed(a) === isServed(b);
  return isSameStamp(a!.stamp, b!.stamp);
}

function isServed(one: Observed | undefined): boolean {
  return one !== undefined && !one.missing && !one.isClaimed;
}

/** One older answer is a replica that lags for a moment; only the second is reported. */
function isDoubted({ staleAnswer }: Observed): boolean {
  return staleAnswer !== undefined && staleAnswer.times > 1;
}

/** Unlike `isEqual`, takes a modification time that could not be parsed (NaN) as equal to itself. */
function isSameStamp(a: VersionStamp | undefined, b: VersionStamp | undefined): boolean {
  if (!a || !b || a === b) return a === b;
  return a.version === b.version && isSameTime(a.modified, b.modified) && a.versionId === b.versionId;
}

function isSameTime(a: number, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}
