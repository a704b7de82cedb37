import { Failure } from "../../../runtime/failure.ts";
import { isFromParameters } from "../plan/plan.ts";
import { compose, finish, type Values } from "./compose.ts";
import { type Decision, type Intent, refuse } from "./decision.ts";
import { failoverMessage, madeElsewhere } from "./failover.ts";
import type { Opened } from "./material.ts";
import { mustCompare, restartRevisionOf } from "./restart-revision.ts";
import { retain } from "./retained-keys.ts";
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

/** Decides on a Secret whose values have all been read: assembles it, then applies it. */
export function write(snapshot: Snapshot, assessment: Assessment, values: Values): Decision {
  const { plan, granted, resource, done, readOnly, target } = snapshot;
  if (!done.live && mustCompare(snapshot, assessment.sources)) return { kind: "read", what: "secret" };
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
  return { kind: "apply", intent: intentOf(snapshot, { data, retained, sources, assessment }, modified) };
}

function intentOf(
  snapshot: Snapshot,
  made: Pick<Intent, "data" | "retained" | "sources" | "assessment">,
  modified: number,
): Intent {
  const { resource, granted, revisions, revision, damage, standing, target, refresh, done } = snapshot;
  const { keyIds, elsewhere } = done.opened ?? nothingOpened;
  const from = madeFrom(snapshot, made.sources);
  const isUnchanged = revisions.isOf(revision, from);
  const isNewVersion = revisions.isOfSpec(revision, resource.spec) && !isUnchanged && refresh === undefined;
  // A read at home after a failover is not a new version, so its age is not measured.
  const isMeasured = isNewVersion && modified > 0 && madeElsewhere(snapshot) === undefined;
  const home = (granted.blobsBy ?? granted.identity).region;
  return {
    ...made,
    revision: revisions.of(from),
    restartRevision: restartRevisionOf(snapshot, made),
    kmsKeys: [...keyIds].sort(),
    changed: !revisions.isOf(resource.status?.revision, from),
    isRepair: damage !== undefined && (damage.data || damage.metadata) && isUnchanged,
    restoresRecord: damage?.unrecorded === true && standing.state === "ours" && target.policy !== "Merge",
    ...(isMeasured ? { modified } : {}),
    ...(elsewhere === undefined ? {} : { failedOver: failoverMessage("blobs", home, elsewhere) }),
  };
}
