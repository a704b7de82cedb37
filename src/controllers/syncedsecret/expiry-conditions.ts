import { isExpired } from "../../parameters/cache-entry.ts";
import type { Policies } from "../../parameters/policies.ts";
import type { Failure } from "../../runtime/failure.ts";
import { type Asked, secondsOf } from "../conditions.ts";
import type { ParameterView } from "./reference-view.ts";

/** What DescribeParameters has told of one source. */
export interface SourceMetadata {
  /** How messages call the entry: `data[2] (DB_PASSWORD)`. */
  label: string;
  name: string;
  selector: string;
  keyId?: string;
  policies?: Policies;
  /** Whether it is known to have expired. */
  hasExpired: boolean;
}

/** What is known of the sources' policies and keys. */
export interface SourcesMetadata {
  sources: SourceMetadata[];
  /** Whether some of it is what a status says, and not what AWS has told this process. */
  isStored: boolean;
  /** Why policies are not seen, where the resource asks for something to be done about them. */
  unseen?: Failure;
}

/** Conditions that warn, and are there only while True. */
const warnings = ["ExpiringSoon", "RotationDue", "ExpiryUnknown"] as const;

export function newSourcesMetadata(): SourcesMetadata {
  return { sources: [], isStored: false };
}

/** Adds what is known of one source. */
export function addSourceMetadata(
  sourcesMetadata: SourcesMetadata | undefined,
  { label }: { label: string },
  name: string,
  selector: string,
  state: ParameterView,
): void {
  const { metadata } = state;
  if (!sourcesMetadata || !metadata) return;
  if (metadata.unsure === "stored") sourcesMetadata.isStored = true;
  const { keyId, policies } = metadata;
  if (keyId === undefined && !policies) return;
  sourcesMetadata.sources.push({
    ...{ label, name, selector, hasExpired: isExpired(state) || state.reportedExpiredAt !== undefined },
    ...(keyId === undefined ? {} : { keyId }),
    ...(policies ? { policies } : {}),
  });
}

/** When the next source expires, in milliseconds since the epoch; undefined where none will. */
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
 * The conditions that warn of expiries, of changes that are due, and of what cannot be seen of either. What an earlier
 * process said holds until this one has looked.
 *
 * @param before the conditions that are there
 * @param notes undefined where nothing is known, so that what was said stays
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
  const clauses = (says: (source: SourceMetadata, policies: Policies) => string | undefined) => [
    ...new Set(sourcesMetadata.sources.flatMap((source) => (source.policies && says(source, source.policies)) ?? [])),
  ];
  const expiring = clauses(({ label, name, hasExpired }, { expiresAt, warnAt }) =>
    expiresAt !== undefined && warnAt! <= now && !hasExpired
      ? `${label}: ${name} expires at ${secondsOf(expiresAt)}: put a version with a later Expiration`
      : undefined,
  );
  const due = clauses(({ label, name }, { unchangedAt, unchangedSince }) =>
    unchangedAt !== undefined && unchangedAt <= now
      ? `${label}: ${name} has not changed since ${secondsOf(unchangedSince!)}, which is longer than its policy NoChangeNotification wants: put a new value`
      : undefined,
  );
  const unread = clauses(({ label, name }, { isUnread }) =>
    isUnread ? `${label}: a policy of ${name} could not be read, so that what it asks for is not seen` : undefined,
  );
  warn("ExpiringSoon", "Expiring", expiring);
  warn("RotationDue", "NoChange", due);
  if (sourcesMetadata.unseen)
    warn("ExpiryUnknown", sourcesMetadata.unseen.reason, [unseenMessage(sourcesMetadata.unseen), ...unread]);
  else warn("ExpiryUnknown", "InvalidPolicy", unread);
  return asked;
}

/** What is said while AWS denies the look at policies. */
export function unseenMessage({ message }: Failure): string {
  return `the expiry of parameters and the keys of SecureStrings are not seen: ${message}`;
}

/** Events of what is warned of for the first time, one a condition; what is only not seen is no news. */
export function newsOf(before: readonly Asked[], after: readonly Asked[]) {
  return after.flatMap(({ type, reason, message }) => {
    if (type !== "ExpiringSoon" && type !== "RotationDue") return [];
    const said = before.find((condition) => condition.type === type)?.message ?? "";
    const fresh = message.split("; ").filter((clause) => !said.includes(clause));
    return fresh.length > 0 ? [{ type: "Warning" as const, reason, note: fresh.join("; ") }] : [];
  });
}
