import { isEqual, stampOf, type VersionStamp } from "../read/version-stamp.ts";
import {
  type At,
  describedBefore,
  type Expired,
  isOfFuture,
  type Missing,
  type ParameterMetadata,
  type ParameterState,
  type StaleAnswer,
  staleAnswerMs,
} from "./cache-entry.ts";
import type { ConfirmedDeletion } from "./confirmed-deletion.ts";

/** A change of one parameter's state. */
export type ParameterChange =
  /** AWS served the parameter. `mayGoBack`: a label or a refresh request; an older version is then accepted at once. */
  | { type: "served"; stamp: VersionStamp; mayGoBack: boolean; at: At }
  /** AWS reported it missing. A parameter that was served before only becomes `suspect`. */
  | { type: "missing"; reason: Missing["reason"]; at: At }
  /** It is part of a mass deletion. */
  | { type: "held" }
  /** Its deletion is confirmed. */
  | { type: "gone"; confirmed: ConfirmedDeletion }
  /** Its deletion cannot be confirmed yet: the grace starts again at `now`, in monotonic milliseconds. */
  | { type: "graceRestarted"; now: number }
  /** All previous statuses know it: an earlier process described it, so the hourly resync suffices. */
  | { type: "describedBefore" }
  /** DescribeParameters answered. `expired`: undefined if its Expiration has not passed. */
  | { type: "described"; metadata: ParameterMetadata; expired: Expired | undefined }
  /** It was deleted at its Expiration. */
  | { type: "expired"; expired: Expired }
  /** Its metadata may be of another version, so it is described soon. */
  | { type: "markedUnsure" };

/** A parameter's state after a change: a field that it loses is undefined. */
export type NextState = { readonly [K in keyof ParameterState]?: ParameterState[K] | undefined };

/** The state after a change; the same object if nothing changes. */
export function afterChange(state: ParameterState, change: ParameterChange): NextState {
  const { missing, metadata } = state;
  switch (change.type) {
    case "served":
      return afterServed(state, change);
    case "missing":
      return afterMissing(state, change);
    case "held":
      return missing ? { ...state, missing: { ...factsOf(missing), stage: "held" } } : state;
    case "gone":
      if (!missing) return state;
      return { ...state, missing: { ...factsOf(missing), stage: "gone", confirmed: change.confirmed } };
    case "graceRestarted":
      return missing ? { ...state, missing: { ...missing, since: change.now } } : state;
    case "describedBefore":
      return metadata ? state : { ...state, metadata: describedBefore };
    case "described":
      return { ...state, metadata: change.metadata, expired: change.expired };
    case "expired":
      return { ...state, expired: change.expired };
    case "markedUnsure":
      return { ...state, metadata: { ...metadata, unsure: "changed" } };
  }
}

/**
 * An answer older than the last one, whatever its version, may be a stale read of an eventually consistent store: it is
 * believed after a minute.
 */
function afterServed(
  state: ParameterState,
  { stamp, mayGoBack, at }: Extract<ParameterChange, { type: "served" }>,
): NextState {
  const { stamp: before, missing, staleAnswer, metadata } = state;
  const there = { ...state, missing: undefined, staleAnswer: undefined };
  if (before && isEqual(before, stamp)) return missing || staleAnswer ? there : state;
  const isOlder =
    before !== undefined && !mayGoBack && stamp.modified < before.modified && !isOfFuture(before, at.wall);
  const stale = isOlder ? staleAnswerAfter(staleAnswer, stamp, at.now) : undefined;
  if (stale && at.now - stale.since < staleAnswerMs) return { ...there, staleAnswer: stale };
  const isReplaced = before !== undefined && metadata !== undefined;
  return {
    ...there,
    stamp: stampOf(stamp),
    since: stale?.since ?? at.now,
    ...(isReplaced ? { metadata: { ...metadata, unsure: "changed" } } : {}),
  };
}

/** Counts an older answer. One that is older still starts the minute again. */
function staleAnswerAfter(before: StaleAnswer | undefined, stamp: VersionStamp, now: number): StaleAnswer {
  const isContinued = before !== undefined && !(stamp.modified < before.stamp.modified);
  return { stamp: stampOf(stamp), since: isContinued ? before.since : now, times: (before?.times ?? 0) + 1 };
}

function afterMissing(state: ParameterState, { reason, at }: Extract<ParameterChange, { type: "missing" }>): NextState {
  const { missing, stamp, staleAnswer } = state;
  if (missing) {
    if (missing.reason === reason && !staleAnswer) return state;
    return { ...state, staleAnswer: undefined, missing: { ...missing, reason } };
  }
  const stage = stamp ? "suspect" : "absent";
  return { ...state, staleAnswer: undefined, missing: { reason, since: at.now, at: at.wall, stage } };
}

function factsOf({ reason, since, at }: Missing) {
  return { reason, since, at };
}
