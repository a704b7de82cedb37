import { isPassedThrough } from "../../../parameters/read/reference.ts";
import type { Failure } from "../../../runtime/failure.ts";
import type { RevisionSource } from "../trust/revision.ts";
import { revisionSourcesOf } from "../trust/status-sources.ts";
import { type Decision, refuse } from "./decision.ts";
import type { HeldBack, LastGood } from "./held-back.ts";
import { approvalOf, asksForRevert, type Held, heldOf, heldSince, lastGoodOf, lostAt, tokenFor } from "./last-good.ts";
import { readPlaintexts, write } from "./make.ts";
import { pendingChangeOf } from "./pending-change.ts";
import { pinnedAssessment, pinnedOf } from "./pinned.ts";
import { presentRestartRevision } from "./restart-revision.ts";
import { isIntact, madeFrom, type Snapshot } from "./snapshot.ts";
import { changesBetween, type SourceChange } from "./source-changes.ts";

/** What follows from a rollout that has failed. */
export type Revert =
  /** The Secret is set back to the last good revision, or stays there. */
  | { state: "back"; lastGood: LastGood; held: Held; report: HeldBack }
  /** It cannot be set back: the failed version stays. */
  | { state: "stuck"; report: HeldBack };

/** Changes that a status lists. */
const changesListed = 10;
/** Characters of a problem that a status has room for. */
const problemAtMost = 1_000;
const unknownCause = "a workload did not become available with it";

/**
 * What a failed rollout demands; undefined if nothing. A version is held back until the sources change again, or until an
 * approval names it; a version that failed after such an approval is not taken back again.
 */
export function revertOf(snapshot: Snapshot): Revert | undefined {
  const { resource, assessment } = snapshot;
  const { unknown, problems, staleSources, deleteSecret } = assessment;
  const isUnclear = unknown.length + problems.length + staleSources.length > 0 || deleteSecret !== undefined;
  if (!asksForRevert(resource) || isUnclear) return undefined;
  return heldBack(snapshot) ?? failed(snapshot);
}

/** The Secret has been set back, and the version that failed is still the current one. */
function heldBack(snapshot: Snapshot): Revert | undefined {
  const { resource, revisions, assessment, unseen } = snapshot;
  const held = heldOf(snapshot);
  const lastGood = held && lastGoodOf(snapshot);
  const revision = snapshot.revision ?? resource.status?.revision;
  if (!held || !lastGood || revision !== lastGood.revision || approvalOf(resource) === held.token) return undefined;
  const current = madeFrom(snapshot, assessment.sources);
  // Until AWS has answered to this process, the sources are those of the status: the last good ones.
  const isUnheard = unseen.length > 0 && revisions.isOf(revision, current);
  if (!isUnheard && !revisions.isOf(held.revision, current)) return undefined;
  const { cause = unknownCause, changes = [] } = resource.status?.heldBack ?? {};
  const listed = changes.map(({ name, from, to }) => ({ name, from, to }));
  const report = {
    ...{ revision: held.token, cause, problem: undefined },
    changes: isUnheard ? listed : changesFrom(snapshot, lastGood, assessment.sources).slice(0, changesListed),
  };
  return { state: "back", lastGood, held: heldSince(held, snapshot), report };
}

/** The rollout of the present version has failed, and the sources have no newer one that may be applied. */
function failed(snapshot: Snapshot): Revert | undefined {
  const { resource, revision, revisions, assessment, done } = snapshot;
  const { failedRollout, heldBack: reported } = resource.status ?? {};
  const restartRevision = presentRestartRevision(snapshot);
  if (revision === undefined || !failedRollout || failedRollout.restartRevision !== restartRevision) return undefined;
  const current = madeFrom(snapshot, assessment.sources);
  const isCurrent = revisions.isOf(revision, current);
  const held = heldOf(snapshot)?.revision;
  if (held === revision || (isCurrent && revisions.isOf(held, current))) return undefined;
  if (!isCurrent && !pendingChangeOf(snapshot)) return undefined;
  const lastGood = lastGoodOf(snapshot);
  if (lastGood?.revision === revision) return undefined;
  const applied = isCurrent ? assessment.sources : pinnedOf(snapshot).sources;
  const changes = lastGood ? changesFrom(snapshot, lastGood, applied) : [];
  const token = tokenFor(resource, revision);
  const since = lastGood && lostAt(lastGood, snapshot);
  const report = { revision: token, cause: failedRollout.cause, changes: changes.slice(0, changesListed) };
  const known = reported?.revision === revision ? reported.problem : undefined;
  const found = known ?? obstacleOf(lastGood, changes) ?? done.pinned?.problems.find(isFinal)?.message;
  const problem = found?.slice(0, problemAtMost);
  if (!lastGood || problem !== undefined) return { state: "stuck", report: { ...report, revision, problem } };
  return {
    state: "back",
    lastGood,
    held: { revision, token, restartRevision, since, until: undefined },
    report: { ...report, problem },
  };
}

/** Whether a version can never be read again; anything else is tried again. */
function isFinal({ reason }: Failure): boolean {
  return reason === "SourceGone";
}

/** Why there is no way back. */
function obstacleOf(lastGood: LastGood | undefined, changes: readonly SourceChange[]): string | undefined {
  if (!lastGood) return "no last good version of the current spec is known";
  const passed = changes.find(({ name }) => isPassedThrough(name));
  return passed && `a reference to Secrets Manager is not set back: ${passed.name}`;
}

/** The differences between the last good sources and others. */
function changesFrom({ plan }: Snapshot, lastGood: LastGood, sources: readonly RevisionSource[]): SourceChange[] {
  return changesBetween(revisionSourcesOf(plan, lastGood.sources), sources);
}

/** Decides while the Secret is set back, or stays so: the last good versions are read by number. */
export function decideRevert(snapshot: Snapshot, back: Extract<Revert, { state: "back" }>): Decision {
  const { assessment, done, isOthers, plan, revision } = snapshot;
  const { lastGood, report } = back;
  // Another leader may have written the Secret from newer versions than this process knows.
  if (isOthers && !done.looked) return { kind: "look", references: plan.references };
  const good = pinnedAssessment(plan, lastGood.sources);
  if (revision === lastGood.revision && isIntact(snapshot))
    return { kind: "keep", sources: good.sources, assessment, heldBack: report };
  if (!done.pinned) return { kind: "read", what: "lastGoodVersions" };
  const unread = readPlaintexts({ ...snapshot, assessment: good });
  if (unread) return unread;
  if (done.pinned.problems.length > 0) return refuse(snapshot, assessment, done.pinned.problems);
  const decision = write(snapshot, good, done.pinned.values, back);
  const pending = pendingChangeOf(snapshot);
  return decision.kind === "apply" ? { ...decision, heldBack: report, ...(pending ? { pending } : {}) } : decision;
}
