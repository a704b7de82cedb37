import type { Condition } from "../api/conditions.ts";

/** A condition as a controller asks for it; the transition time follows from what was there before. */
export interface Asked {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
}

/** Characters in a condition's message, at most: the API server refuses more than 32,768. */
const messageAtMost = 32_000;

/**
 * The conditions that follow: `lastTransitionTime` moves only where the status does, as the API conventions ask
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
  return asked.map(({ type, status, reason, message }) => {
    const old = before?.find((condition) => condition.type === type);
    const sameStatus = old?.status === status;
    return {
      type,
      status,
      reason,
      message: message.length > messageAtMost ? `${message.slice(0, messageAtMost)}…` : message,
      observedGeneration: generation,
      lastTransitionTime: sameStatus ? old.lastTransitionTime : secondsOf(now),
    };
  });
}

/** An instant as Kubernetes writes it, to the second. */
export function secondsOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.[0-9]{3}Z$/, "Z");
}

/** Whether two pieces of plain data are equal, whatever the order of their keys; what is undefined counts as absent. */
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
