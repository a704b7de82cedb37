import { isExpired } from "../../../parameters/cache-entry.ts";
import type { Policies } from "../../../parameters/policies.ts";
import type { Failure } from "../../../runtime/failure.ts";
import { type Asked, secondsOf } from "../../conditions.ts";
import type { ParameterView } from "../decide/reference-view.ts";

/** The metadata of one source, from DescribeParameters. */
export interface SourceMetadata {
  /** The entry's name in messages: `data[2] (DB_PASSWORD)`. */
  label: string;
  name: string;
  selector: string;
  keyId?: string;
  policies?: Policies;
  /** Whether the source is known to have expired. */
  hasExpired: boolean;
}

/** The known policies and keys of all sources. */
export interface SourcesMetadata {
  sources: SourceMetadata[];
  /** Whether some of it comes from the status, and not from an answer of AWS to this process. */
  isStored: boolean;
  /** Why policies cannot be read, if the resource sets `refresh.whenExpired`. */
  unseen?: Failure;
}

/** Warning conditions, present only while True. */
const warnings = ["ExpiringSoon", "RotationDue", "ExpiryUnknown"] as const;

export function newSourcesMetadata(): SourcesMetadata {
  return { sources: [], isStored: false };
}

/** Adds the known metadata of one source. */
export function addSourceMetadata(
  sourcesMetadata: SourcesMetadata | undefined,
  source: Pick<SourceMetadata, "label" | "name" | "selector">,
  state: ParameterView,
): void {
  const { metadata } = state;
  if (!sourcesMetadata || !metadata) return;
  if (metadata.unsure === "stored") sourcesMetadata.isStored = true;
  const { keyId, policies } = metadata;
  if (keyId === undefined && !policies) return;
  sourcesMetadata.sources.push({
    ...{ ...source, hasExpired: isExpired(state) || state.reportedExpiredAt !== undefined },
    ...(keyId === undefined ? {} : { keyId }),
    ...(policies ? { policies } : {}),
  });
}

/** When the next source expires, in milliseconds since the epoch; undefined if none will. */
export function nextExpiryOf({ sources }: SourcesMetadata): number | undefined {
  return earliest(sources.filter(({ hasExpired }) => !hasExpired));
}

/** When the first source expires, or has expired. */
export function firstExpiryOf({ sources }: SourcesMetadata): number | undefined {
  return earliest(sources);
}

function earliest(sources: readonly SourceMetadata[]): number | undefined {
  let least: number | undefined;
  for (const { policies } of sources) {
    const at = policies?.expiresAt;
    if (at !== undefined && (least === undefined || at < least)) least = at;
  }
  return least;
}

/**
 * The conditions ExpiringSoon, RotationDue and ExpiryUnknown. Conditions of an earlier process stay until this process
 * has looked.
 *
 * @param before the current conditions
 * @param sourcesMetadata undefined if nothing is known, so that the conditions stay
 */
export function warningsOf(
  before: readonly Asked[],
  sourcesMetadata: SourcesMetadata | undefined,
  now: number,
): Asked[] {
  if (!sourcesMetadata || sourcesMetadata.isStored) {
    return before
      .filter(({ type }) => (warnings as readonly string[]).includes(type))
      .map(({ type, status, reason, message }) => ({ type, status, reason, message }));
  }
  const asked: Asked[] = [];
  const warn = (type: (typeof warnings)[number], reason: string, clauses: string[]) => {
    if (clauses.length > 0) asked.push({ type, status: "True", reason, message: clauses.join("; ") });
  };
  const clauses = (clauseOf: (source: SourceMetadata, policies: Policies) => string | undefined) => [
    ...new Set(
      sourcesMetadata.sources.flatMap((source) => (source.policies && clauseOf(source, source.policies)) ?? []),
    ),
  ];
  const expiring = clauses(({ label, name, hasExpired }, { expiresAt, warnAt }) =>
    expiresAt !== undefined && warnAt! <= now && !hasExpired
      ? `${label}: ${name} expires at ${secondsOf(expiresAt)}: put a version with a later Expiration`
      : undefined,
  );
  const due = clauses(({ label, name }, { unchangedAt, unchangedSince }) =>
    unchangedAt !== undefined && unchangedAt <= now
      ? `${label}: ${name} has not changed since ${secondsOf(unchangedSince!)}, which is longer than its policy NoChangeNotification allows: put a new value`
      : undefined,
  );
  const unread = clauses(({ label, name }, { isUnread }) =>
    isUnread ? `${label}: a policy of ${name} cannot be parsed and is ignored` : undefined,
  );
  warn("ExpiringSoon", "Expiring", expiring);
  warn("RotationDue", "NoChange", due);
  if (sourcesMetadata.unseen)
    warn("ExpiryUnknown", sourcesMetadata.unseen.reason, [unseenMessage(sourcesMetadata.unseen), ...unread]);
  else warn("ExpiryUnknown", "InvalidPolicy", unread);
  return asked;
}

/** The message while AWS denies DescribeParameters. */
export function unseenMessage({ message }: Failure): string {
  return `cannot read the expiry of parameters or the keys of SecureStrings: ${message}`;
}

/** One event for each condition with new warnings; ExpiryUnknown emits none. */
export function newsOf(before: readonly Asked[], after: readonly Asked[]) {
  return after.flatMap(({ type, reason, message }) => {
    if (type !== "ExpiringSoon" && type !== "RotationDue") return [];
    const previous = before.find((condition) => condition.type === type)?.message ?? "";
    const fresh = message.split("; ").filter((clause) => !previous.includes(clause));
    return fresh.length > 0 ? [{ type: "Warning" as const, reason, note: fresh.join("; ") }] : [];
  });
}
