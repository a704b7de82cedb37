import type { Policies } from "../../../parameters/cache/policies.ts";
import { type Asked, keptConditions, secondsOf, unseenMessage } from "../../conditions.ts";
import type { SourceMetadata, SourcesMetadata } from "../decide/source-metadata.ts";

/** Warning conditions, present only while True. */
const warnings = ["ExpiringSoon", "RotationDue", "ExpiryUnknown"] as const;

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
  if (!sourcesMetadata || sourcesMetadata.isStored) return keptConditions(before, warnings);
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

/** One event for each condition with new warnings; ExpiryUnknown emits none. */
export function newsOf(before: readonly Asked[], after: readonly Asked[]) {
  return after.flatMap(({ type, reason, message }) => {
    if (type !== "ExpiringSoon" && type !== "RotationDue") return [];
    const previous = before.find((condition) => condition.type === type)?.message ?? "";
    const fresh = message.split("; ").filter((clause) => !previous.includes(clause));
    return fresh.length > 0 ? [{ type: "Warning" as const, reason, note: fresh.join("; ") }] : [];
  });
}
