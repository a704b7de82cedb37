import { expect } from "vitest";
import { Refusal } from "../../src/values/refusal.ts";

/** Returns a function's result, or the reason and message of its Refusal. Other errors fail the test. */
export function outcome<T>(make: () => T): T | { reason: string; message: string } {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { reason: error.reason, message: error.message };
  }
}

/** Returns the message of a Refusal; fails if there is none. */
export function refusal(make: () => unknown): string {
  const result = outcome(make);
  expect(result).toHaveProperty("reason", "InvalidData");
  return (result as { message: string }).message;
}

/** Checks a time limit against the lowest CPU time of this thread in five runs, independent of the machine's load. */
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

/** Valid keys that every plain JavaScript object inherits as names. */
export const inherited = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "__defineGetter__"];

/** A value that no message may contain. It is not a valid key of a Secret, because messages may name keys. */
export const canary = "k%nary|7f3";

/** Characters that begin a scalar, a comment or a directive of YAML. */
export const yamlIndicators = ['"', "'", "|", ">", "#", "%"];
