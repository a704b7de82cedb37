import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { settle } from "./clock.ts";

/** How many of these objects somebody still holds, after a collection of all that nobody does. */
export async function heldOf(objects: readonly WeakRef<object>[]): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // A WeakRef that was looked at holds its object until the turn of the event loop ends.
  for (let i = 0; i < 3; i++) {
    await settle();
    collect();
  }
  return objects.filter((object) => object.deref() !== undefined).length;
}
