import type { Failure } from "../runtime/failure.ts";
import type { Seed, Sighted } from "./entry.ts";
import type { Reference } from "./reference.ts";

/** What a SyncedSecret depends on. */
export interface Want {
  reference: Reference;
  /** Milliseconds between polls; Infinity for a reference that is never polled. */
  pollIntervalMs: number;
  /** What an earlier process knew, where the Secret itself vouches for it; by parameter name. */
  seed?: ReadonlyMap<string, Seed>;
}

/** A reference's values, by parameter name. What is missing is not among them. */
export type Values = { state: "values"; values: ReadonlyMap<string, Sighted> } | { state: "failed"; failure: Failure };

/** What came of an announcement. */
export interface Announced {
  /** namespace/name of every SyncedSecret that it concerns, whether or not something has changed. */
  dependants: readonly string[];
  /** Whether what AWS serves differs from before. */
  changed: boolean;
  /** False where a look failed, so that it is to be repeated. */
  isHeard: boolean;
}

/** Whom a read is for. */
export interface ReadFor {
  /** Asks AWS again whatever the wave holds. */
  fresh?: boolean;
  /** Of the SyncedSecret: within a lane, namespaces take turns. */
  namespace?: string;
}
