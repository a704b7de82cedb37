import type { Failure } from "../../../runtime/failure.ts";
import type { Applied } from "../trust/applied.ts";
import type { RevisionSource } from "../trust/revision.ts";
import type { HeldBack, LastGood } from "./held-back.ts";
import type { PendingChange } from "./pending.ts";
import type { SourcesMetadata } from "./source-metadata.ts";

/** The outcome of one reconcile; `summarize` turns it into status, events, metrics and the next reconcile. */
export type Outcome = Common &
  (
    | {
        kind: "current";
        secret: string;
        revision: string;
        keyCount: number;
        /** The sources of the Secret; if absent, the status keeps its list. */
        sources?: RevisionSource[];
        /** ARNs of the KMS keys that encrypted its blobs, sorted; absent if no blob was decrypted. */
        kmsKeys?: string[];
        /** Names of deleted or expired parameters whose keys are dropped under DeleteKeys. */
        left: string[];
        /** The API server's response to an apply of the Secret, if there was one. */
        applied?: Applied;
        /** The last known apply, for a status that is written anyway. */
        found?: Applied;
        /** Whether the Secret's sources differ from those in the status. */
        changed?: boolean;
        /** The write of the Secret, if there was one. */
        wrote?: "created" | "updated" | "repaired" | "adopted";
        /** Field managers that had changed keys of ours, as far as known; sorted. */
        editors?: string[];
        /** Keys of other managers in the Secret, which a repair does not change; sorted. */
        foreignKeys?: string[];
        /** Modification time of the new version, in milliseconds since the epoch, if it alone caused the write. */
        modified?: number;
      }
    | {
        /** The Secret is there, and something is wrong with it: a source is missing, or garbage stays. */
        kind: "degraded";
        problems: readonly Failure[];
        secret: string;
        revision: string;
        keyCount: number;
        sources?: RevisionSource[];
        kmsKeys?: string[];
        changed?: boolean;
        applied?: Applied;
        /** The write of the Secret, if there was one. */
        wrote?: "updated";
      }
    | {
        kind: "failed";
        problems: readonly Failure[];
        /** Whether the existing Secret was made from the current spec and is still good. */
        hasGoodSecret: boolean;
        /** Set if the Secret was deleted. */
        wrote?: "deleted";
      }
    | { kind: "suspended" }
    /** A write conflicted, or a cache is stale: reconcile again soon. */
    | { kind: "again" }
    /** Nothing to report: the resource is being deleted, or its connection has not been checked yet. */
    | { kind: "nothing" }
  );

interface Common {
  /** The oldest last answer of all sources, in milliseconds of `ClockWatch.elapsed`. */
  heardAt?: number;
  /** Why AWS has not answered for a source since. */
  unheard?: Failure;
  /** Names of parameters with a stale answer that is not accepted yet; sorted. */
  staleSources?: readonly string[];
  /** The message of FailedOver, if the Secret holds values from a failover region. */
  failedOver?: string;
  /** Set if this process has not yet listed a path, so that its left-out members are unknown. */
  isFromStatus?: true;
  /** The known policies and keys of the sources. */
  sourcesMetadata?: SourcesMetadata;
  /** A change of the sources that waits. */
  pending?: PendingChange;
  /** A version that failed in a rollout. */
  heldBack?: HeldBack;
  /** The last good revision, with rollout.onFailure Revert. */
  lastGood?: LastGood;
  /** Set if no event is emitted: a terminating namespace accepts none. */
  isQuiet?: true;
  /** The mark of the refresh request that this reconcile has handled. */
  handledRefresh?: string;
}

/** Whether an outcome reports problems. */
export function hasFailed(outcome: Outcome): outcome is Extract<Outcome, { kind: "failed" | "degraded" }> {
  return outcome.kind === "failed" || outcome.kind === "degraded";
}

/** The write of the Secret in a reconcile; undefined if there was none. */
export function writeOf(outcome: Outcome): "created" | "updated" | "repaired" | "adopted" | "deleted" | undefined {
  return "wrote" in outcome ? outcome.wrote : undefined;
}

/** Whether an outcome settles a refresh request, which stays pending if AWS did not answer or with --read-only. */
export function handles(outcome: Outcome, readOnly: boolean): boolean {
  if (outcome.kind === "current") return true;
  if (!hasFailed(outcome)) return false;
  return !readOnly && outcome.problems.every(({ next }) => next !== "retry" && next !== "refused");
}
