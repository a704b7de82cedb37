import type { ObjectMeta } from "../../../kube/resource.ts";
import type { Reference } from "../../../parameters/read/reference.ts";
import type { Failure } from "../../../runtime/failure.ts";
import type { RevisionSource } from "../trust/revision.ts";
import type { Composed } from "./compose.ts";
import type { HeldBack, LastGood } from "./held-back.ts";
import type { PendingChange } from "./pending.ts";
import { isGood, type Snapshot } from "./snapshot.ts";
import type { Assessment, Proof } from "./sources.ts";

/**
 * The next step of a reconcile. After `look`, `read` and `assemble` a new snapshot is taken and decided on again; every
 * other step ends the reconcile.
 */
export type Decision = Refuse | Look | Read | Assemble | Keep | Apply | Delete;

/** Leave the Secret as it is, and report problems. */
export interface Refuse {
  kind: "refuse";
  problems: readonly Failure[];
  /** Whether the existing Secret was made from the current spec and is still good. */
  hasGoodSecret: boolean;
  /** Undefined if the sources do not matter. */
  assessment?: Assessment;
  /** A version that failed in a rollout. */
  heldBack?: HeldBack;
  /** A Secret that is too large, so that nothing is read again for this revision. */
  tooLarge?: { revision: string; failure: Failure };
}

/** Look at the versions of references, without decryption. */
export interface Look {
  kind: "look";
  references: readonly Reference[];
}

/** Read what is missing: values of the sources, the versions of a Secret under Once, plaintexts, or the Secret. */
export interface Read {
  kind: "read";
  what: "sources" | "pinnedVersions" | "lastGoodVersions" | "ciphertexts" | "secret";
}

/** Assemble the Secret's data. */
export interface Assemble {
  kind: "assemble";
  composed: Composed;
}

/** The Secret is current. */
export interface Keep {
  kind: "keep";
  /** Undefined if the sources are not known, so that the status keeps its list. */
  sources: RevisionSource[] | undefined;
  /** Undefined under Once, where the current sources do not matter. */
  assessment: Assessment | undefined;
  /** A change of the sources that waits. */
  pending?: PendingChange;
  /** A version that failed in a rollout. */
  heldBack?: HeldBack;
}

/** Write the Secret. */
export interface Apply {
  kind: "apply";
  intent: Intent;
  /** A change of the sources that waits while the Secret is repaired. */
  pending?: PendingChange;
  /** A version that failed in a rollout. */
  heldBack?: HeldBack;
}

/** Delete the Secret. */
export interface Delete {
  kind: "delete";
  metadata: ObjectMeta;
  problems: readonly Failure[];
  assessment: Assessment;
  /** AWS's answer to this process that a source is deleted or expired: without it nothing is deleted. */
  proof: Proof;
}

/** A Secret to write, with what its status and its event report. */
export interface Intent {
  data: ReadonlyMap<string, Uint8Array>;
  revision: string;
  /** Keys that no source produces any more and that keep their bytes. */
  retained: ReadonlySet<string>;
  /** The revision whose bytes differed last; undefined without a rollout, and before the first difference. */
  restartRevision: string | undefined;
  /** The last good revision, with rollout.onFailure Revert. */
  lastGood: LastGood | undefined;
  /** The annotations that record it, and what is held back. */
  revertRecords: Readonly<Record<string, string>>;
  sources: RevisionSource[];
  /** ARNs of the KMS keys that encrypted its blobs, sorted. */
  kmsKeys: string[];
  assessment: Assessment;
  /** Whether the sources differ from those in the status. */
  changed: boolean;
  /** Whether the write only repairs the Secret. */
  isRepair: boolean;
  /** Modification time of the new version, in milliseconds since the epoch, if it alone causes the write. */
  modified?: number;
  /** Whether our managedFields entry must be restored first. */
  restoresRecord: boolean;
  /** The message of FailedOver, if blobs were decrypted in a failover region. */
  failedOver?: string;
}

/** Refuses because of problems with the sources that were assessed. */
export function refuse(snapshot: Snapshot, assessment: Assessment, problems: readonly Failure[]): Refuse {
  return { kind: "refuse", problems, hasGoodSecret: isGood(snapshot), assessment };
}

/** A rule of a decision. @returns undefined if the rule does not apply */
export type Finding = (snapshot: Snapshot) => Decision | undefined;

/** The decision of the first rule that applies. */
export function firstOf(findings: readonly Finding[], snapshot: Snapshot): Decision | undefined {
  for (const finding of findings) {
    const decision = finding(snapshot);
    if (decision) return decision;
  }
  return undefined;
}
