import { parentPort } from "node:worker_threads";
import { type Assembled, type AssembleInput, assemble } from "./assemble.ts";
import { Work, workerUnits } from "./work.ts";

// The worker thread of Assembler: one assembly a message, and nothing kept between two.
parentPort!.on("message", (input: AssembleInput) => {
  const assembled = assemble(input, new Work(workerUnits, "refused"));
  if (!assembled.ok) return parentPort!.postMessage(assembled);
  // A Buffer is a part of a pool, which would be sent along.
  const data = new Map([...assembled.data].map(([key, bytes]) => [key, Uint8Array.from(bytes)]));
  const buffers = new Set([...data.values()].map(({ buffer }) => buffer));
  parentPort!.postMessage({ ok: true, data } satisfies Assembled, [...buffers]);
});
