import type { Failure } from "../../runtime/failure.ts";
import type { Applied } from "./applied.ts";
import type { SourcesMetadata } from "./expiry-conditions.ts";
import type { RevisionSource } from "./revision.ts";

/** How one reconcile came out; summarize turns it into status, event, metrics and the next look. */
export type Outcome = Common &
  (
    | {
        kind: "current";
        secret: string;
        revision: string;
        keyCount: number;
        /** What the Secret was made from; where left out, it is no better known than the status says. */
        sources?: RevisionSource[];
        /** The ARNs of the KMS keys that made its blobs, sorted; where left out, they were not opened. */
        kmsKeys?: string[];
        /** Names of parameters that the Secret goes without, because they are gone. */
        left: string[];
        /** What the API server answered to an apply of the Secret, where there was one. */
        applied?: Applied;
        /** The last apply as it was found; for the status where that is written anyway. */
        found?: Applied;
        /** Whether the Secret is made from something else than the status says. */
        changed?: boolean;
        /** What was done to the Secret, if anything was. */
        wrote?: "created" | "updated" | "repaired" | "adopted";
        /** Field managers that had set keys of ours to something else, where it is known; sorted. */
        editors?: string[];
        /** Keys of others in the Secret, which a repair leaves as they are; sorted. */
        foreignKeys?: string[];
        /** Where a new version alone was the cause of a write: milliseconds since the epoch when it was made. */
        modified?: number;
      }
    | {
        kind: "failed";
        problems: Failure[];
        /** Whether the Secret that is there was made from the present spec, so that it is still good. */
        hasGoodSecret: boolean;
        /** What was done to the Secret, if anything was. */
        wrote?: "deleted" | "updated";
        /** What the Secret was made from, where that is known. */
        made?: {
          secret: string;
          revision: string;
          keyCount: number;
          sources: RevisionSource[];
          kmsKeys?: string[];
          changed?: boolean;
          applied?: Applied;
        };
      }
    | { kind: "suspended" }
    /** A write was refused, or a cache is behind: the same again in a moment. */
    | { kind: "again" }
    /** There is nothing to say: the resource or its namespace is going away. */
    | { kind: "nothing" }
  );

interface Common {
  /** Milliseconds, as `ClockWatch.elapsed` counts them, when AWS was last heard of the source that has been silent for longest. */
  heardAt?: number;
  /** Why a source has not been heard of since. */
  unheard?: Failure;
  /** Names of parameters of which AWS tells with an older version than before, which is not believed yet; sorted. */
  staleSources?: readonly string[];
  /** What is said where the Secret holds what was read in a region that stood in. */
  failedOver?: string;
  /** Whether a path has not been listed by this process, so that what is left out of it is not known. */
  isFromStatus?: true;
  /** What is known of the sources' policies and keys. */
  sourcesMetadata?: SourcesMetadata;
  /** Whether no event is made of it: a namespace that is being deleted takes none. */
  isQuiet?: true;
  /** The value of the refresh annotation that this reconcile honoured. */
  handledRefresh?: string;
}
