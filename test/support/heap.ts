import { json } from "node:stream/consumers";
import { getHeapSnapshot, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { settle } from "./clock.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes of heap in use after a garbage collection. */
export async function heldBytes(): Promise<number> {
  // Promises and WeakRefs release objects in a later turn of the event loop.
  for (let turn = 0; turn < 3; turn++) {
    await settle();
    collect();
  }
  return process.memoryUsage().heapUsed;
}

/** The distinct matching strings and property names in the heap, including those of the source code. */
export async function heldStrings(pattern: RegExp): Promise<string[]> {
  await heldBytes();
  const { strings } = (await json(getHeapSnapshot())) as { strings: string[] };
  return strings.filter((text) => pattern.test(text));
}
