import type { Source } from "../trust/status-sources.ts";
import type { SourceChange } from "./source-changes.ts";

/** The last revision whose rollout succeeded. */
export interface LastGood {
  revision: string;
  /** Undefined if the bytes had never changed. */
  restartRevision: string | undefined;
  /** When the Secret lost it, by the API server's clock; undefined while the Secret has it, or the version after it. */
  until: string | undefined;
  sources: readonly Source[];
}

/** A version of the sources that failed in a rollout. */
export interface HeldBack {
  /** What an approval names to apply it all the same. */
  revision: string;
  /** The annotation that records it; undefined if the Secret was not set back. */
  record: string | undefined;
  /** Which workload failed, and how. */
  cause: string;
  /** Why the Secret was not set back; undefined if it was. */
  problem: string | undefined;
  /** The sources that differ from the last good version, by name, at most ten. */
  changes: readonly SourceChange[];
}
