import { readlinkSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { type Assembled, type AssembleInput, assemble } from "./assemble.ts";
import { Work, workerUnits } from "./work.ts";

yieldToOthers();

// The worker thread of Assembler: one assembly per message, and no state between two.
parentPort!.on("message", (input: AssembleInput) => {
  const assembled = assemble(input, new Work(workerUnits, "refused"));
  if (!assembled.ok) return parentPort!.postMessage(assembled);
  // A Buffer is a view of a shared pool, and transferring it would send the whole pool.
  const data = new Map([...assembled.data].map(([key, bytes]) => [key, Uint8Array.from(bytes)]));
  const buffers = new Set([...data.values()].map(({ buffer }) => buffer));
  parentPort!.postMessage({ ok: true, data } satisfies Assembled, [...buffers]);
});

/**
 * Gives this thread a tenth of the CPU weight of others: on few cores, expensive assemblies wait, and the main thread
 * does not. At an even lower priority, moderately expensive assemblies would miss their deadline on a busy node.
 */
function yieldToOthers(): void {
  try {
    // On Linux, setpriority(2) takes a thread id, the last segment of PID/task/TID.
    setPriority(Number(readlinkSync("/proc/thread-self").split("/").at(-1)), constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // The platform has no thread ids, or the change is not permitted.
  }
}
