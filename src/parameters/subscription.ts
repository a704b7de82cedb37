import type { IsWanted } from "../runtime/cancellation.ts";
import type { Failure } from "../runtime/failure.ts";
import type { Span } from "../runtime/tracing.ts";
import type { Leaves, Stored } from "./cache/cache-entry.ts";
import type { Picks } from "./read/path-reader.ts";
import { isPassedThrough, passedThroughMs, type Reference } from "./read/reference.ts";
import type { StampedValue } from "./read/version-stamp.ts";

/** A SyncedSecret's interest in one reference. */
export interface Subscription {
  reference: Reference;
  /** Milliseconds between polls; Infinity for a reference that is never polled. */
  pollIntervalMs: number;
  /** The SyncedSecret's previous status, if its Secret is intact. Applies to this SyncedSecret only. */
  stored?: Stored;
  /** Whether the SyncedSecret acts on an expiry, so that a new parameter is described before it is used. */
  actsOnExpiry?: boolean;
  /** For a path: which gone members are no longer needed. Default: none. */
  leaves?: Leaves;
}

/** The poll interval of a subscription, in milliseconds. Secrets Manager secrets have a minimum: each poll decrypts. */
export function intervalOf({ reference, pollIntervalMs }: Subscription): number {
  const pollDecrypts = reference.kind === "parameter" && isPassedThrough(reference.name);
  return pollDecrypts ? Math.max(pollIntervalMs, passedThroughMs) : pollIntervalMs;
}

/** A reference's values, by parameter name, without missing parameters. */
export type Values =
  | { state: "values"; values: ReadonlyMap<string, StampedValue> }
  | { state: "failed"; failure: Failure };

/** The result of the looks that an announcement caused. */
export interface Announced {
  /** namespace/name of every SyncedSecret that it concerns, changed or not. */
  dependants: readonly string[];
  /** Whether AWS serves something else than before. */
  changed: boolean;
  /** False if a look failed and must be repeated. */
  isHeard: boolean;
}

/** The purpose and options of a read. */
export interface ReadFor {
  /** For a path: the part that is used, so that a path too large as a whole can still be read. */
  picks?: Picks;
  /** Reads from AWS even if the values are cached. */
  fresh?: boolean;
  /** The SyncedSecret's namespace: within a lane, namespaces take turns. */
  namespace?: string;
  /** namespace/name of the SyncedSecret, for the audit. */
  resource?: string;
  /** A read that nobody wants when it is about to be sent is canceled. Always wanted by default. */
  isWanted?: IsWanted | undefined;
  /** The span that the calls belong to. */
  span?: Span | undefined;
}
