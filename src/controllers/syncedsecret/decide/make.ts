import { Failure } from "../../../runtime/failure.ts";
import { isFromParameters } from "../plan/plan.ts";
import { compose, finish, type Values } from "./compose.ts";
import { type Decision, type Intent, refuse } from "./decision.ts";
import { failoverMessage, madeElsewhere } from "./failover.ts";
import type { LastGood } from "./held-back.ts";
import { heldAfter, lastGoodAfter, revertRecordsOf } from "./last-good.ts";
import type { Opened } from "./material.ts";
import { mustCompare, restartRevisionOf } from "./restart-revision.ts";
import { retain } from "./retained-keys.ts";
import type { Held } from "./revert-records.ts";
import { madeFrom, type Snapshot } from "./snapshot.ts";
import type { Assessment } from "./sources.ts";

const nothingOpened: Opened = { blobs: new Map(), keyIds: new Set(), problems: [] };

/** Makes sure that ciphertexts are decrypted last, and that no Secret is made without one of them. */
export function readPlaintexts(snapshot: Snapshot): Decision | undefined {
  const { plan, done, assessment } = snapshot;
  if (plan.entries.every(isFromParameters)) return undefined;
  if (!done.opened) return { kind: "read", what: "ciphertexts" };
  const { problems } = done.opened;
  return problems.length > 0 ? refuse(snapshot, assessment, problems) : undefined;
}

/** The way back to the last good revision. */
export interface Back {
  lastGood: LastGood;
  /** What is held back. */
  held: Held;
}

/**
 * Decides on a Secret whose values have all been read: assembles it, then applies it.
 *
 * @param back set if these are the last good values
 */
export function write(snapshot: Snapshot, assessment: Assessment, values: Values, back?: Back): Decision {
  const { plan, granted, resource, done, readOnly, target } = snapshot;
  if (!back && !done.live && mustCompare(snapshot, assessment.sources)) return { kind: "read", what: "secret" };
  const { blobs } = done.opened ?? nothingOpened;
  if (!done.assembly) {
    const composed = compose({ spec: resource.spec, plan, assessment, values, blobs });
    return composed.problems.length > 0
      ? refuse(snapshot, assessment, composed.problems)
      : { kind: "assemble", composed };
  }
  const { composed, assembled } = done.assembly;
  const finished = finish(assembled, { plan, granted, assessment }, done.live?.keys);
  if (!finished.ok) return refuse(snapshot, assessment, finished.problems);
  const { data, retained } = retain(snapshot, finished.data, done.live?.keys);
  if (readOnly) {
    const message = `read-only: Secret ${target.name} would be written with ${data.size} keys`;
    return refuse(snapshot, assessment, [new Failure("Pending", "wait", message)]);
  }
  const { sources, modified } = composed;
  return { kind: "apply", intent: intentOf(snapshot, { data, retained, sources, assessment }, modified, back) };
}

function intentOf(
  snapshot: Snapshot,
  made: Pick<Intent, "data" | "retained" | "sources" | "assessment">,
  modified: number,
  back: Back | undefined,
): Intent {
  const { resource, granted, revisions, revision, damage, standing, target, refresh, done } = snapshot;
  const { keyIds, elsewhere } = done.opened ?? nothingOpened;
  const from = madeFrom(snapshot, made.sources);
  const isUnchanged = revisions.isOf(revision, from);
  const isNewVersion = !back && revisions.isOfSpec(revision, resource.spec) && !isUnchanged && refresh === undefined;
  // A read at home after a failover is not a new version, so its age is not measured.
  const isMeasured = isNewVersion && modified > 0 && madeElsewhere(snapshot) === undefined;
  const home = (granted.blobsBy ?? granted.identity).region;
  const isBack = back !== undefined && standing.state !== "absent";
  const restartRevision = isBack ? back.lastGood.restartRevision : restartRevisionOf(snapshot, made);
  // In the written format: it is compared with the Secret's revision.
  const lastGood = back
    ? { ...back.lastGood, restartRevision, revision: revisions.of(from), until: undefined }
    : lastGoodAfter(snapshot, restartRevision);
  const held = back?.held ?? heldAfter(snapshot, { from, restartRevision });
  return {
    ...made,
    ...{ revision: revisions.of(from), restartRevision, lastGood },
    revertRecords: revertRecordsOf(snapshot, lastGood, held),
    kmsKeys: [...keyIds].sort(),
    changed: !revisions.isOf(resource.status?.revision, from),
    isRepair: damage !== undefined && (damage.data || damage.metadata) && isUnchanged,
    restoresRecord: damage?.unrecorded === true && standing.state === "ours" && target.policy !== "Merge",
    ...(isMeasured ? { modified } : {}),
    ...(elsewhere === undefined ? {} : { failedOver: failoverMessage("blobs", home, elsewhere) }),
  };
}
