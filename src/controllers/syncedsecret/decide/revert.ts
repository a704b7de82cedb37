import { isPassedThrough, type Reference } from "../../../parameters/read/reference.ts";
import type { Failure } from "../../../runtime/failure.ts";
import type { RevisionSource } from "../trust/revision.ts";
import { revisionSourcesOf } from "../trust/status-sources.ts";
import { type Decision, refuse } from "./decision.ts";
import type { HeldBack, LastGood } from "./held-back.ts";
import { approvalOf, asksForRevert, heldOf, lastGoodOf, lostAt, tokenFor, withUntil } from "./last-good.ts";
import { readPlaintexts, write } from "./make.ts";
import { pendingChangeOf } from "./pending-change.ts";
import { pinnedAssessment, pinnedOf } from "./pinned.ts";
import { presentRestartRevision } from "./restart-revision.ts";
import { mayHaveToRetain } from "./retained-keys.ts";
import { formatHeld, type Held } from "./revert-records.ts";
import { isIntact, madeFrom, type Snapshot } from "./snapshot.ts";
import { changesAtMost, changesBetween, type SourceChange } from "./source-changes.ts";

/** The way back to the last good revision. */
export interface WayBack {
  lastGood: LastGood;
  held: Held;
  report: HeldBack;
}

/** What follows from a rollout that has failed. */
export type Revert =
  /** The Secret is set back to the last good revision, or stays there. */
  | ({ state: "back" } & WayBack)
  /** The Secret is set back if no newer version can be applied. */
  | ({ state: "otherwise" } & WayBack)
  /** It cannot be set back: the failed version stays. */
  | { state: "stuck"; report: HeldBack }
  /** The Secret stays set back while a newer version waits. */
  | { state: "waiting"; report: HeldBack }
  /** AWS must be asked first: some sources are known from the status only. */
  | { state: "unclear"; references: readonly Reference[] };

/** Characters of a problem that a status has room for. */
const problemAtMost = 1_000;
const unknownCause = "a workload did not become available with it";
/** Milliseconds for which a reported failure counts: a look at the workloads renews it. */
const failureCountsMs = 600_000;

/**
 * What a failed rollout demands; undefined if nothing. A version is held back until the sources change again, or until an
 * approval names it; a version that failed after such an approval is not taken back again.
 */
export function revertOf(snapshot: Snapshot): Revert | undefined {
  const { resource, assessment } = snapshot;
  const { unknown, problems, staleSources, deleteSecret } = assessment;
  const isUnclear = unknown.length + problems.length + staleSources.length > 0 || deleteSecret !== undefined;
  if (!asksForRevert(resource) || isUnclear) return undefined;
  return staysBack(snapshot) ?? failed(snapshot);
}

/** The Secret has been set back; the version that failed is the current one, or a newer one waits. */
function staysBack(snapshot: Snapshot): Revert | undefined {
  const { resource, revisions, assessment, unseen, done } = snapshot;
  const { heldBack, failedRollout, revision: reported } = resource.status ?? {};
  const held = heldOf(snapshot);
  const lastGood = held && lastGoodOf(snapshot);
  const revision = snapshot.revision ?? reported;
  if (!held || !lastGood || revision !== lastGood.revision || approvalOf(resource) === held.token) return undefined;
  const current = madeFrom(snapshot, assessment.sources);
  const isHeld = revisions.isOf(held.revision, current);
  const isGood = revisions.isOf(revision, current);
  if (unseen.length > 0 && !isHeld && !isGood && !done.looked) return { state: "unclear", references: unseen };
  const cause = heldBack?.cause ?? failedRollout?.cause ?? unknownCause;
  const changes = isHeld
    ? changesFrom(snapshot, lastGood, assessment.sources).slice(0, changesAtMost)
    : (heldBack?.changes ?? []).map(({ name, from, to }) => ({ name, from, to }));
  const kept = withUntil(held, snapshot);
  const report = { revision: held.token, record: formatHeld(kept), cause, problem: undefined, changes };
  // Until AWS has answered to this process, the sources are those of the status: the last good ones.
  if (isHeld || (isGood && unseen.length > 0)) return { state: "back", lastGood, held: kept, report };
  return isGood ? undefined : { state: "waiting", report };
}

/** The rollout of the present version has failed. */
function failed(snapshot: Snapshot): Revert | undefined {
  const { resource, revision, revisions, assessment, wall } = snapshot;
  const { failedRollout } = resource.status ?? {};
  const restartRevision = presentRestartRevision(snapshot);
  if (revision === undefined || !failedRollout || failedRollout.restartRevision !== restartRevision) return undefined;
  // A failure that nobody has seen for long may be over.
  if (!(Math.abs(wall - Date.parse(failedRollout.observedTime)) <= failureCountsMs)) return undefined;
  const current = madeFrom(snapshot, assessment.sources);
  const isCurrent = revisions.isOf(revision, current);
  const approved = heldOf(snapshot)?.revision;
  if (approved === revision || (isCurrent && revisions.isOf(approved, current))) return undefined;
  const lastGood = lastGoodOf(snapshot);
  if (lastGood?.revision === revision) return undefined;
  const applied = isCurrent ? assessment.sources : pinnedOf(snapshot).sources;
  const changes = lastGood ? changesFrom(snapshot, lastGood, applied) : [];
  const listed = { cause: failedRollout.cause, changes: changes.slice(0, changesAtMost) };
  const problem = obstacleTo(snapshot, lastGood, changes);
  if (!lastGood || problem !== undefined)
    return { state: "stuck", report: { ...listed, revision, record: undefined, problem } };
  const token = tokenFor(resource, revision);
  const held = { revision, token, restartRevision, since: lostAt(lastGood, snapshot), until: undefined };
  const report = { ...listed, revision: token, record: formatHeld(held), problem: undefined };
  const isNewest = isCurrent || pendingChangeOf(snapshot) !== undefined;
  return { state: isNewest ? "back" : "otherwise", lastGood, held, report };
}

/** Why there is no way back; undefined if there is one. */
function obstacleTo(
  { resource, revision, assessment, done }: Snapshot,
  lastGood: LastGood | undefined,
  changes: readonly SourceChange[],
): string | undefined {
  if (!lastGood) return "no last good version of the current spec is known";
  const { heldBack } = resource.status ?? {};
  if (heldBack?.problem !== undefined && heldBack.revision === revision) return heldBack.problem;
  const passed = changes.find(({ name }) => isPassedThrough(name));
  if (passed) return `a reference to Secrets Manager is not set back: ${passed.name}`;
  const expired = lastGood.sources.find(({ name }) => assessment.expired.includes(name));
  if (expired) return `${expired.name} has expired since`;
  return done.lastGood?.problems.find(isFinal)?.message.slice(0, problemAtMost);
}

/** Whether a version can never be read again; anything else is tried again. */
function isFinal({ reason }: Failure): boolean {
  return reason === "SourceGone";
}

/** The differences between the last good sources and others. */
function changesFrom({ plan }: Snapshot, lastGood: LastGood, sources: readonly RevisionSource[]): SourceChange[] {
  return changesBetween(revisionSourcesOf(plan, lastGood.sources), sources);
}

/** Decides while the Secret is set back, or stays so: the last good versions are read by number. */
export function decideRevert(snapshot: Snapshot, back: WayBack): Decision {
  const { assessment, done, isOthers, plan, revision, revisions } = snapshot;
  const { lastGood, held, report } = back;
  // Another leader may have written the Secret from newer versions than this process knows.
  if (isOthers && !done.looked) return { kind: "look", references: plan.references };
  const good = pinnedAssessment(plan, lastGood.sources);
  if (revision === lastGood.revision && isIntact(snapshot))
    return { kind: "keep", sources: good.sources, assessment, heldBack: report };
  if (!done.lastGood) return { kind: "read", what: "lastGoodVersions" };
  const unread = readPlaintexts({ ...snapshot, assessment: good });
  if (unread) return unread;
  if (done.lastGood.problems.length > 0)
    return {
      ...refuse(snapshot, assessment, done.lastGood.problems),
      ...(revision === lastGood.revision ? { heldBack: report } : {}),
    };
  if (mayHaveToRetain(snapshot) && !done.live) return { kind: "read", what: "secret" };
  const decision = write(withOwnAssembly(snapshot, lastGood), good, done.lastGood.values, back);
  if (decision.kind !== "apply") return decision;
  const isHeld = revisions.isOf(held.revision, madeFrom(snapshot, assessment.sources));
  const pending = isHeld ? undefined : pendingChangeOf(snapshot);
  return { ...decision, heldBack: report, ...(pending ? { pending } : {}) };
}

/** The snapshot without an assembly of other versions, which could not be applied. */
function withOwnAssembly(snapshot: Snapshot, lastGood: LastGood): Snapshot {
  const { assembly, ...done } = snapshot.done;
  const isOwn = assembly && snapshot.revisions.isOf(lastGood.revision, madeFrom(snapshot, assembly.composed.sources));
  return isOwn ? snapshot : { ...snapshot, done };
}
