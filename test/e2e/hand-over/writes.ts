import type { AuditedRequest } from "../../cluster/audit.ts";
import type { Change } from "./load.ts";

const changing = ["patch", "create", "update", "delete"];

/** The writes of Secrets and statuses in a namespace, by a user or by all. */
export function writesIn(requests: readonly AuditedRequest[], namespace: string, user?: string): AuditedRequest[] {
  return requests.filter(
    ({ namespace: where, user: by, verb, resource }) =>
      where === namespace &&
      (user === undefined || by === user) &&
      changing.includes(verb) &&
      (resource === "secrets" || resource === "syncedsecrets/status"),
  );
}

/** The writes that took effect. */
export function done(writes: readonly AuditedRequest[]): AuditedRequest[] {
  return writes.filter(({ code }) => code < 300);
}

/**
 * Milliseconds between the last write of a Secret by one leader and the first by the next, without the time in which
 * no change waited.
 *
 * @param writes of the old leader and of the new one. A write whose client was killed has any code.
 */
export function gapMs(before: readonly AuditedRequest[], after: readonly AuditedRequest[], changes: readonly Change[]) {
  const ofSecrets = (writes: readonly AuditedRequest[]) =>
    writes.filter(({ resource, code }) => resource === "secrets" && code !== 409).map(({ at }) => at);
  const last = Math.max(...ofSecrets(before));
  const first = Math.min(...ofSecrets(after).filter((at) => at > last));
  const isWritten = ({ secret, at }: Change) => before.some((write) => write.name === secret && write.at >= at);
  const waiting = changes
    .filter((change) => (change.appliedAt === undefined || change.appliedAt > last) && !isWritten(change))
    .map(({ at }) => at);
  return first - Math.max(last, Math.min(...waiting, first));
}

/**
 * The longest time in milliseconds that a change waited for its Secret, counted from `since` for older changes.
 *
 * @param until changes made later are left out
 */
export function slowestMs(changes: readonly Change[], since: number, until: number): number {
  const waited = changes
    .filter(({ at, appliedAt }) => at <= until && (appliedAt === undefined || appliedAt > since))
    .map(({ at, appliedAt }) => (appliedAt ?? Infinity) - Math.max(at, since));
  return Math.max(0, ...waited);
}

/** How often each version of each Secret was written, for those that were written more than once. */
export function repeatedWrites(writes: readonly AuditedRequest[], changes: readonly Change[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { resource, name, at, code } of writes) {
    if (resource !== "secrets" || code === 409) continue;
    const version = changes.findLast((change) => change.secret === name && change.at <= at)?.number ?? 0;
    const key = `${name} at ${version}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return new Map([...counts].filter(([, count]) => count > 1));
}
