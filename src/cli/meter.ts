import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Meter } from "../runtime/idle-collection.ts";

/** V8's settings for a collection of everything, and its own: code goes at once. */
const whileCollecting = ["--bytecode-old-age=1", "--flush-baseline-code"];
const otherwise = ["--bytecode-old-age=6", "--no-flush-baseline-code"];

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
    // What has not run since the last look is compiled again when it is needed: of a first sync, 5 MB.
    for (const setting of whileCollecting) setFlagsFromString(setting);
    // V8 shows its collector to a context that is made while this is set.
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as (options: object) => void;
    setFlagsFromString("--no-expose-gc");
    // As before running out of memory: free pages go back to the machine and not into V8's own pool.
    // Twice, since code must have gone unused from one collection to the next.
    for (let times = 2; times > 0; times--) collect({ type: "major", execution: "sync", flavor: "last-resort" });
    for (const setting of otherwise) setFlagsFromString(setting);
  },
};
