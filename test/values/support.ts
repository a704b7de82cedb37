import { expect } from "vitest";
import { Refusal } from "../../src/values/refusal.ts";

/** What a function of values/ gives: its result, or the reason and message of its refusal. Other errors fail the test. */
export function outcome<T>(make: () => T): T | { reason: string; message: string } {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { reason: error.reason, message: error.message };
  }
}

/** The message that something is refused with; fails where it is not. */
export function refusal(make: () => unknown): string {
  const result = outcome(make);
  expect(result).toHaveProperty("reason", "InvalidData");
  return (result as { message: string }).message;
}

/** Runs something that must be quick: the lowest processor time of this thread in five tries, whatever else the machine does. */
export function within<T>(milliseconds: number, make: () => T): T {
  let best = Number.POSITIVE_INFINITY;
  for (let tries = 0; ; tries++) {
    const start = process.threadCpuUsage();
    const result = make();
    const { user, system } = process.threadCpuUsage(start);
    best = Math.min(best, (user + system) / 1_000);
    if (best <= milliseconds) return result;
    if (tries === 4) expect(best).toBeLessThanOrEqual(milliseconds);
  }
}

/** Names that are ordinary keys, and that every plain JavaScript object seems to have. */
export const inherited = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "__defineGetter__"];

/** A value that must not be in any message. It cannot be a Secret's key, which messages may name. */
export const canary = "k%nary|7f3";
