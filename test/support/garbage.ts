import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { settle } from "./clock.ts";

/** How many of these objects are still referenced after a garbage collection. */
export async function heldOf(objects: readonly WeakRef<object>[]): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // deref() keeps the object alive until the end of the current job.
  for (let i = 0; i < 3; i++) {
    await settle();
    collect();
  }
  return objects.filter((object) => object.deref() !== undefined).length;
}
