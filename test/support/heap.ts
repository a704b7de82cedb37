import { json } from "node:stream/consumers";
import { getHeapSnapshot, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { settle } from "./clock.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes that are still held once all garbage has been collected. */
export async function heldBytes(): Promise<number> {
  // What a promise or a WeakRef holds is let go of in a later turn.
  for (let turn = 0; turn < 3; turn++) {
    await settle();
    collect();
  }
  return process.memoryUsage().heapUsed;
}

/** The distinct strings, and names of properties, in the heap that match; those of the source itself too. */
export async function heldStrings(pattern: RegExp): Promise<string[]> {
  await heldBytes();
  const { strings } = (await json(getHeapSnapshot())) as { strings: string[] };
  return strings.filter((text) => pattern.test(text));
}
