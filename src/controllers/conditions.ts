import type { Condition } from "../api/conditions.ts";
import type { Failure } from "../runtime/failure.ts";
import { once } from "../runtime/once.ts";

/** A condition without its transition time, which follows from the previous status. */
export interface Asked {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
}

/** The conditions of these types as they are, for a status that does not know better. */
export function keptConditions(before: readonly Asked[], types: readonly string[]): Asked[] {
  return before
    .filter(({ type }) => types.includes(type))
    .map(({ type, status, reason, message }) => ({ type, status, reason, message }));
}

/** Maximum characters in a condition's message. The API server rejects more than 32,768. */
const messageAtMost = 32_000;

/**
 * Returns the new conditions. `lastTransitionTime` changes only when the status does, as the API conventions require
 * (kubernetes/community, api-conventions.md, "Typical status properties").
 *
 * @param now milliseconds since the epoch
 */
export function conditionsAfter(
  before: readonly Condition[] | undefined,
  asked: readonly Asked[],
  generation: number,
  now: number,
): Condition[] {
  // Only for a transition: most reconciles have none.
  const transition = once(() => secondsOf(now));
  return asked.map(({ type, status, reason, message }) => {
    const old = before?.find((condition) => condition.type === type);
    const sameStatus = old?.status === status;
    return {
      type,
      status,
      reason,
      message: message.length > messageAtMost ? `${message.slice(0, messageAtMost)}…` : message,
      observedGeneration: generation,
      lastTransitionTime: sameStatus ? old.lastTransitionTime : transition(),
    };
  });
}

/** An instant in the format of Kubernetes, to the second. */
export function secondsOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.[0-9]{3}Z$/, "Z");
}

/** Reports whether two pieces of plain data are equal. The order of keys is ignored; undefined equals absent. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object") return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b)) return false;
    return a.length === b.length && a.every((item, index) => isSame(item, b[index]));
  }
  const [some, others] = [present(a), new Map(present(b))];
  return some.length === others.size && some.every(([key, value]) => others.has(key) && isSame(value, others.get(key)));
}

function present(object: object): [string, unknown][] {
  return Object.entries(object).filter(([, value]) => value !== undefined);
}

/** The message while AWS denies DescribeParameters. */
export function unseenMessage({ message }: Failure): string {
  return `cannot read the expiry of parameters or the keys of SecureStrings: ${message}`;
}

/** The condition while a region of `spec.failoverRegions` is in use. */
export const failedOver = "FailedOver";
