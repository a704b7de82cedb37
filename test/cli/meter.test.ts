import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { processMeter } from "../../src/cli/meter.ts";

it("an operator without --expose-gc leaves garbage collection to V8", () => expect(processMeter()).toBeUndefined());

it("an operator with --expose-gc returns its garbage to the system", () => {
  setFlagsFromString("--expose-gc");
  globalThis.gc = runInNewContext("gc") as NonNullable<typeof globalThis.gc>;
  try {
    const meter = processMeter()!;
    let garbage: unknown[] | undefined = Array.from({ length: 200_000 }, (_, index) => ({ index, text: `${index}` }));
    const before = meter.heldBytes();
    expect(garbage).toHaveLength(200_000);
    garbage = undefined;
    meter.collect();
    expect(meter.heldBytes()).toBeLessThan(before - (8 << 20));
    expect(meter.cpuMs()).toBeGreaterThan(0);
  } finally {
    Reflect.deleteProperty(globalThis, "gc");
  }
});
