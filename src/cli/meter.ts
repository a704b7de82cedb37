import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Meter } from "../runtime/idle-collection.ts";

/** This process. */
export const processMeter: Meter = {
  cpuMs() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },
  heldBytes() {
    const { heapTotal, external } = process.memoryUsage();
    return heapTotal + external;
  },
  collect() {
    // V8 shows its collector to a context that is made while this is set.
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as (options: object) => void;
    setFlagsFromString("--no-expose-gc");
    // As before running out of memory: free pages go back to the machine and not into V8's own pool.
    collect({ type: "major", execution: "sync", flavor: "last-resort" });
  },
};
