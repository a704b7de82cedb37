import { readlinkSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { type Assembled, type AssembleInput, assemble } from "./assemble.ts";
import { Work, workerUnits } from "./work.ts";

yieldToOthers();

// The worker thread of Assembler: one assembly a message, and nothing kept between two.
parentPort!.on("message", (input: AssembleInput) => {
  const assembled = assemble(input, new Work(workerUnits, "refused"));
  if (!assembled.ok) return parentPort!.postMessage(assembled);
  // A Buffer is a part of a pool, which would be sent along.
  const data = new Map([...assembled.data].map(([key, bytes]) => [key, Uint8Array.from(bytes)]));
  const buffers = new Set([...data.values()].map(({ buffer }) => buffer));
  parentPort!.postMessage({ ok: true, data } satisfies Assembled, [...buffers]);
});

/**
 * Gives this thread a tenth of the weight of others: on few cores expensive values wait, and not the operator's own thread.
 * A lower priority still would let values that are not that expensive miss their deadline on a busy node.
 */
function yieldToOthers(): void {
  try {
    // setpriority(2) takes a thread's id on Linux: PID/task/TID.
    setPriority(Number(readlinkSync("/proc/thread-self").split("/").at(-1)), constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // There are no ids of threads here, or it is not allowed.
  }
}
