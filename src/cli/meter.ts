import type { Meter } from "../runtime/idle-collection.ts";

/**
 * Measures this process for IdleCollection.
 *
 * @returns undefined if Node runs without --expose-gc, which the image's ENTRYPOINT sets
 */
export function processMeter(): Meter | undefined {
  const { gc } = globalThis;
  if (!gc) return undefined;
  return {
    cpuMs() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1_000;
    },
    heldBytes() {
      const { heapTotal, external } = process.memoryUsage();
      return heapTotal + external;
    },
    // "last-resort" returns free pages to the operating system, not to V8's own pool.
    collect: () => void gc({ type: "major", execution: "sync", flavor: "last-resort" }),
  };
}
