import type { IsWanted } from "../runtime/cancellation.ts";
import type { Failure } from "../runtime/failure.ts";
import type { Leaves, StampedValue, Stored } from "./cache-entry.ts";
import { isPassedThrough, passedThroughMs, type Reference } from "./reference.ts";

/** What a SyncedSecret depends on. */
export interface Subscription {
  reference: Reference;
  /** Milliseconds between polls; Infinity for a reference that is never polled. */
  pollIntervalMs: number;
  /** What the SyncedSecret's own status says, where its Secret vouches for it. It counts for nobody else. */
  stored?: Stored;
  /** Whether something is done when it expires, so that what comes anew is looked at for its expiry first. */
  actsOnExpiry?: boolean;
  /** Of a path: says which of its members that have gone are of no use any more. None where it is left out. */
  leaves?: Leaves;
}

/** Milliseconds between polls of what is wanted: what costs a decryption each time is polled no oftener than that. */
export function intervalOf({ reference, pollIntervalMs }: Subscription): number {
  const isDear = reference.kind === "parameter" && isPassedThrough(reference.name);
  return isDear ? Math.max(pollIntervalMs, passedThroughMs) : pollIntervalMs;
}

/** A reference's values, by parameter name. What is missing is not among them. */
export type Values =
  | { state: "values"; values: ReadonlyMap<string, StampedValue> }
  | { state: "failed"; failure: Failure };

/** What came of an announcement. */
export interface Announced {
  /** namespace/name of every SyncedSecret that it concerns, whether or not something has changed. */
  dependants: readonly string[];
  /** Whether what AWS serves differs from before. */
  changed: boolean;
  /** False where a look failed, so that it is to be repeated. */
  isHeard: boolean;
}

/** What is taken of a path, where it is not everything. */
export interface Picks {
  /** Equal for what takes the same. */
  key: string;
  /** Those of some names that are taken. */
  select: (names: readonly string[]) => readonly string[];
}

/** Whom a read is for. */
export interface ReadFor {
  /** Of a path: what is taken of it, so that one which is too large as a whole is listed for just that. */
  picks?: Picks;
  /** Asks AWS again whatever the wave holds. */
  fresh?: boolean;
  /** Of the SyncedSecret: within a lane, namespaces take turns. */
  namespace?: string;
  /** namespace/name of the SyncedSecret, for the audit. */
  resource?: string;
  /** A read that nobody wants when its turn comes is not made. Always wanted when left out. */
  isWanted?: IsWanted | undefined;
}
