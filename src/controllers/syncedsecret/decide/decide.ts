import { readyOf } from "../../../api/conditions.ts";
import { referenceKey } from "../../../parameters/read/reference.ts";
import type { Failure } from "../../../runtime/failure.ts";
import { isFromParameters } from "../plan/plan.ts";
import { reportedMissing } from "../trust/previous-status.ts";
import { type Decision, type Finding, firstOf, type Refuse, refuse } from "./decision.ts";
import { readPlaintexts, write } from "./make.ts";
import { decideOnce, keepsVersions } from "./once.ts";
import { conflict } from "./ownership.ts";
import { decidePending, hasTooManyToHold, pendingChangeOf } from "./pending-change.ts";
import { mayHaveToRetain } from "./retained-keys.ts";
import { losses, missedSinceDeletion, staleSourceProblems } from "./retention.ts";
import { decideRevert, revertOf } from "./revert.ts";
import { isIntact, madeFrom, type Snapshot } from "./snapshot.ts";
import { labelled } from "./sources.ts";

/** Decides the next step of a reconcile. Pure: the same snapshot always gives the same decision. */
export function decide(snapshot: Snapshot): Decision {
  const refused = conflict(snapshot.standing, snapshot.target);
  if (refused) return { kind: "refuse", problems: [refused], hasGoodSecret: false };
  if (keepsVersions(snapshot)) return decideOnce(snapshot);
  const tooMany = hasTooManyToHold(snapshot);
  if (tooMany) return tooMany;
  const revert = revertOf(snapshot);
  if (revert?.state === "unclear") return { kind: "look", references: revert.references };
  // Once the last good versions were read, they are applied.
  const isBack = revert?.state === "back" || (revert?.state === "otherwise" && snapshot.done.lastGood !== undefined);
  if (isBack) return decideRevert(snapshot, revert);
  const decision = decideForward(snapshot);
  switch (revert?.state) {
    case undefined:
      return decision;
    case "otherwise":
      return isRefusedForGood(decision) ? decideRevert(snapshot, revert) : decision;
    case "waiting":
      return decision.kind !== "refuse" && "pending" in decision ? { ...decision, heldBack: revert.report } : decision;
    case "stuck": {
      const isEnd = decision.kind === "keep" || decision.kind === "apply" || decision.kind === "refuse";
      return isEnd ? { ...decision, heldBack: revert.report } : decision;
    }
  }
}

/** Whether a decision leaves the Secret as it is, and trying again would not change that. */
function isRefusedForGood(decision: Decision): boolean {
  if (decision.kind !== "refuse") return false;
  return decision.problems.every(({ next }) => next !== "retry" && next !== "refused");
}

/** Decides on the sources as they are now. */
function decideForward(snapshot: Snapshot): Decision {
  const pending = pendingChangeOf(snapshot);
  if (pending) return decidePending(snapshot, pending);
  if (!snapshot.done.read) return firstOf(beforeTheRead, snapshot) ?? { kind: "read", what: "sources" };
  return firstOf(afterTheRead, snapshot) ?? write(snapshot, snapshot.assessment, snapshot.done.read.values);
}

const beforeTheRead: readonly Finding[] = [
  versionsAreUnknown,
  unlessReadIsForced(sourcesFail),
  unlessReadIsForced(sourceDeletesSecret),
  unlessReadIsForced(secretIsCurrent),
  unlessReadIsForced(secretWasTooLarge),
];

const afterTheRead: readonly Finding[] = [
  sourcesAreTooLarge,
  sourcesFail,
  sourceDeletesSecret,
  answersAreStale,
  lostSourcesHaveNoKeys,
  sourceIsMissingSinceDeletion,
  readPlaintexts,
  keysMustBeRetained,
];

/**
 * Makes sure that a refresh request reads everything, and that a source whose last look failed is read for a new Secret:
 * only a read clears the failure of a read.
 */
function isReadForced({ refresh, done, hasFailedLook, revision }: Snapshot): boolean {
  return refresh !== undefined || (!done.looked && hasFailedLook && revision === undefined);
}

function unlessReadIsForced(finding: Finding): Finding {
  return (snapshot) => (isReadForced(snapshot) ? undefined : finding(snapshot));
}

/**
 * Makes sure that a look, which decrypts nothing, comes before a read: if the Secret exists, it may be current; if a
 * source was missing, it may still be. Everything for a new Secret is read at once. What another process has written is
 * not set back to the versions that this one knew before.
 */
function versionsAreUnknown(snapshot: Snapshot): Decision | undefined {
  const { resource, revision, assessment, lookAgain, unseen, staleSources, done } = snapshot;
  if (done.looked || isReadForced(snapshot)) return undefined;
  if (revision === undefined && !reportedMissing(resource)) return undefined;
  // A warm start trusts the previous status only if it was Ready: otherwise a restart would hide failures.
  const untrusted = readyOf(resource.status)?.status === "True" ? [] : unseen;
  const others = snapshot.isOthers ? snapshot.plan.references : [];
  const references = [...new Set([...assessment.unknown, ...lookAgain, ...untrusted, ...staleSources, ...others])];
  return references.length > 0 ? { kind: "look", references } : undefined;
}

/** Makes sure that no Secret is made from a part of its sources. */
function sourcesFail(snapshot: Snapshot): Decision | undefined {
  return refusal(snapshot, [...snapshot.assessment.problems, ...readFailures(snapshot)]);
}

function readFailures({ plan, done }: Snapshot): Failure[] {
  return plan.entries.flatMap((entry) => {
    const failure = isFromParameters(entry) ? done.read?.failures.get(referenceKey(entry.reference)) : undefined;
    return failure ? [labelled(entry, failure)] : [];
  });
}

/** Makes sure that DeleteSecret deletes only what AWS has confirmed to this process, and only a Secret of ours. */
function sourceDeletesSecret({ assessment, present, readOnly, target }: Snapshot): Decision | undefined {
  const { deleteSecret: proof } = assessment;
  if (!proof) return undefined;
  const problems = losses(assessment);
  if (!present || readOnly || target.policy === "Merge") {
    return { kind: "refuse", problems, hasGoodSecret: false, assessment };
  }
  return { kind: "delete", metadata: present, problems, assessment, proof };
}

/** Makes sure that a current Secret costs no decryption and no write. */
function secretIsCurrent(snapshot: Snapshot): Decision | undefined {
  const { assessment, revisions, revision } = snapshot;
  if (assessment.unknown.length > 0 || !isIntact(snapshot)) return undefined;
  if (!revisions.isOf(revision, madeFrom(snapshot, assessment.sources))) return undefined;
  return { kind: "keep", sources: assessment.sources, assessment };
}

/** Makes sure that a Secret that the API server has rejected as too large is not read again until something changes. */
function secretWasTooLarge(snapshot: Snapshot): Decision | undefined {
  const { assessment, revisions, tooLarge } = snapshot;
  if (assessment.unknown.length > 0 || !tooLarge) return undefined;
  const isSame = revisions.isOf(tooLarge.revision, madeFrom(snapshot, assessment.sources));
  return isSame ? refusal(snapshot, [tooLarge.failure]) : undefined;
}

/** Makes sure that sources that are too large together are read only once for each set of versions. */
function sourcesAreTooLarge(snapshot: Snapshot): Decision | undefined {
  const failure = snapshot.done.read?.tooLarge;
  if (!failure) return undefined;
  const revision = snapshot.revisions.of(madeFrom(snapshot, snapshot.assessment.sources));
  return { ...refused(snapshot, [failure]), tooLarge: { revision, failure } };
}

/** Makes sure that no Secret is made from an answer that is older than an earlier one. */
function answersAreStale(snapshot: Snapshot): Decision | undefined {
  return refusal(snapshot, staleSourceProblems(snapshot.assessment));
}

/** Makes sure that a lost source keeps its keys only where they can be told from others: without a template, unedited. */
function lostSourcesHaveNoKeys(snapshot: Snapshot): Decision | undefined {
  const { assessment, damage, resource } = snapshot;
  const areKeysKnown = damage !== undefined && !damage.data && !resource.spec.target?.template;
  return assessment.lost.length === 0 || areKeysKnown ? undefined : refused(snapshot, losses(assessment));
}

/** Makes sure that a Secret that DeleteSecret deleted stays deleted while the source is missing. */
function sourceIsMissingSinceDeletion(snapshot: Snapshot): Decision | undefined {
  const missed = missedSinceDeletion(snapshot);
  return missed && refused(snapshot, [missed]);
}

/** Makes sure that the bytes of keys without a source are known before the Secret is written. */
function keysMustBeRetained(snapshot: Snapshot): Decision | undefined {
  const isNeeded = snapshot.assessment.lost.length > 0 || mayHaveToRetain(snapshot);
  return isNeeded && !snapshot.done.live ? { kind: "read", what: "secret" } : undefined;
}

function refusal(snapshot: Snapshot, problems: readonly Failure[]): Decision | undefined {
  return problems.length > 0 ? refused(snapshot, problems) : undefined;
}

function refused(snapshot: Snapshot, problems: readonly Failure[]): Refuse {
  return refuse(snapshot, snapshot.assessment, problems);
}
