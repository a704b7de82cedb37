import type { Failure } from "../../runtime/failure.ts";
import { OneOrManyMap } from "../../runtime/one-or-many-map.ts";
import type { Writable } from "../../runtime/writable.ts";
import {
  type At,
  describedBefore,
  type Entry,
  type Leaves,
  type Parameter,
  type ParameterState,
  type Stored,
} from "./cache-entry.ts";
import { trackersOf } from "./change-tracker.ts";
import { isSameServed, isSameToDependents, lastingFailure, observe } from "./observed.ts";
import { afterChange, type ParameterChange } from "./transitions.ts";

/**
 * A change of a cache entry. `now` and `planned.at` are monotonic milliseconds; `elapsed` is milliseconds of
 * `ClockWatch.elapsed`.
 */
export type EntryChange =
  /** AWS answered a look. */
  | { type: "answered"; elapsed: number }
  /** A look failed. A denial is an answer too. */
  | { type: "failed"; failure: Failure; elapsed: number }
  /** A look has ended, with or without success. */
  | { type: "asked"; now: number }
  /** The previous statuses have been compared with AWS's first answer. */
  | { type: "compared" }
  /** AWS announced a change. */
  | { type: "hinted"; now: number }
  /** A read of the value failed, or succeeded. */
  | { type: "unread"; elapsed: number }
  | { type: "valueRead" }
  /** The values of the path are too large to read as a whole. */
  | { type: "tooLarge" }
  /** The next look is due at `at`; Infinity while it is in flight. */
  | { type: "planned"; at: number }
  /** A SyncedSecret asks for a poll interval, or no longer depends on the entry. */
  | { type: "dependentAdded"; dependent: string; intervalMs: number }
  | { type: "dependentRemoved"; dependent: string }
  /** Whether a dependent acts on an expiry, and which missing members it no longer needs. */
  | { type: "wished"; dependent: string; actsOnExpiry?: boolean | undefined; leaves?: Leaves | undefined }
  /** The previous status of a dependent is kept until AWS has answered, or is no longer needed. */
  | { type: "statusKept"; dependent: string; stored: Stored }
  | { type: "statusForgotten"; dependent: string }
  | { type: "statusesForgotten" }
  /** The path has a new member. `isKnown`: all previous statuses name it. */
  | { type: "memberAdded"; name: string; isKnown: boolean }
  | { type: "memberForgotten"; name: string }
  /** A previous status names a member that AWS has not returned, or none names it any more. */
  | { type: "claimed"; name: string; at: At }
  | { type: "claimForgotten"; name: string };

const parameterFields = ["expired", "staleAnswer", "missing", "metadata", "stamp", "since"] as const;

/**
 * Changes the state of a parameter, and counts the change if dependents act on it. Only this module writes to entries
 * and states.
 */
export function changeParameter({ entry, name, state }: Parameter, change: ParameterChange): void {
  const next = afterChange(state, change);
  if (next === state) return;
  const own: Writable<ParameterState> = state;
  counting(entry, name, () => {
    // Deletions first: V8 turns an object into a dictionary unless the deleted field was added last.
    for (const field of parameterFields) if (next[field] === undefined) delete own[field];
    for (const field of parameterFields) put(own, field, next[field]);
  });
}

/** Changes an entry, and counts the change if dependents act on it. */
export function changeEntry(entry: Entry, change: EntryChange): void {
  const own: Writable<Entry> = entry;
  switch (change.type) {
    case "answered":
    case "failed":
      applyOutcome(entry, change);
      break;
    case "asked":
      own.askedAt = change.now;
      break;
    case "compared":
      own.isCompared = true;
      break;
    case "hinted":
      own.hintedAt = change.now;
      break;
    case "unread":
      own.unreadSince ??= change.elapsed;
      break;
    case "valueRead":
      delete own.unreadSince;
      break;
    case "tooLarge":
      own.largeAt = entry.version;
      break;
    case "planned":
      own.dueAt = change.at;
      break;
    case "dependentAdded":
    case "dependentRemoved":
      applyDependent(entry, change);
      break;
    case "wished":
      applyWish(entry, change);
      break;
    case "statusKept":
      own.stored ??= new OneOrManyMap<Stored>();
      (own.stored as OneOrManyMap<Stored>).set(change.dependent, change.stored);
      break;
    case "statusForgotten":
      (own.stored as OneOrManyMap<Stored> | undefined)?.delete(change.dependent);
      if (own.stored?.size === 0) delete own.stored;
      break;
    case "statusesForgotten":
      delete own.stored;
      break;
    default:
      counting(entry, change.name, () => applyMember(entry, change));
  }
}

function applyOutcome(entry: Entry, change: Extract<EntryChange, { type: "answered" | "failed" }>): void {
  const own: Writable<Entry> = entry;
  const before = lastingFailure(entry);
  if (change.type === "answered") {
    delete own.failure;
    own.looked = true;
  } else {
    own.failure = change.failure;
  }
  if (own.failure?.next !== "retry") own.heardAt = change.elapsed;
  if (before !== lastingFailure(entry)) own.version += 1;
}

function applyDependent(
  entry: Entry,
  change: Extract<EntryChange, { type: "dependentAdded" | "dependentRemoved" }>,
): void {
  const own: Writable<Entry> = entry;
  const dependents = entry.dependents as OneOrManyMap<number>;
  const before = dependents.get(change.dependent);
  if (change.type === "dependentRemoved") dependents.delete(change.dependent);
  else if (before === change.intervalMs) return;
  else dependents.set(change.dependent, change.intervalMs);
  if (before !== undefined && before <= entry.intervalMs) own.intervalMs = shortest(entry);
  else if (change.type === "dependentAdded") own.intervalMs = Math.min(entry.intervalMs, change.intervalMs);
}

/** The shortest requested interval. `intervalMs` is a lower bound, so the search ends at the first equal one. */
function shortest({ dependents, intervalMs }: Entry): number {
  let least = Infinity;
  for (const interval of dependents.values()) {
    if (interval <= intervalMs) return interval;
    least = Math.min(least, interval);
  }
  return least;
}

function applyWish(
  entry: Entry,
  { dependent, actsOnExpiry = false, leaves }: Extract<EntryChange, { type: "wished" }>,
): void {
  const own: Writable<Entry> = entry;
  const acting = entry.acting as Set<string> | undefined;
  if (actsOnExpiry) own.acting = (acting ?? new Set()).add(dependent);
  else if (acting?.delete(dependent) && acting.size === 0) delete own.acting;
  const leaving = entry.leaving as Map<string, Leaves> | undefined;
  if (leaves) own.leaving = (leaving ?? new Map<string, Leaves>()).set(dependent, leaves);
  else if (leaving?.delete(dependent) && leaving.size === 0) delete own.leaving;
}

function applyMember(
  entry: Entry,
  change: Extract<EntryChange, { type: "memberAdded" | "memberForgotten" | "claimed" | "claimForgotten" }>,
): void {
  const own: Writable<Entry> = entry;
  const members = entry.members as Map<string, ParameterState>;
  const { name, type } = change;
  if (type === "memberForgotten") members.delete(name);
  if (type === "memberAdded" && !members.has(name))
    members.set(name, change.isKnown ? { metadata: describedBefore } : {});
  const claimed = entry.claimed as Map<string, ParameterState> | undefined;
  if (type === "claimed") {
    if (members.has(name) || claimed?.has(name)) return;
    const { at } = change;
    const { missing } = afterChange({}, { type: "missing", reason: "ParameterNotFound", at });
    own.claimed = (claimed ?? new Map<string, ParameterState>()).set(name, missing ? { missing } : {});
  } else if (type !== "memberForgotten" && claimed?.delete(name) && claimed.size === 0) {
    delete own.claimed;
  }
}

/** Writes, keeps the original for trackers, and increases the entry's versions if its observable part has changed. */
function counting(entry: Entry, name: string, write: () => void): void {
  const own: Writable<Entry> = entry;
  const before = observe(entry, name);
  write();
  const after = observe(entry, name);
  const servedChanged = !isSameServed(before, after);
  const hasChanged = !isSameToDependents(before, after);
  if (!servedChanged && !hasChanged) return;
  for (const tracker of trackersOf(entry)) tracker.keep(name, before);
  if (servedChanged) own.servedVersion += 1;
  if (hasChanged) own.version += 1;
}

function put<K extends keyof ParameterState>(state: Writable<ParameterState>, field: K, value?: ParameterState[K]) {
  if (value !== undefined) state[field] = value;
}
