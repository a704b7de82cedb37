import { expect, it } from "vitest";
import { heldBytes } from "../../support/heap.ts";
import { observerRig, parameterOf, subscription } from "../../support/observer.ts";

it("a parameter with one dependent costs under 1,050 bytes", async () => {
  const rig = observerRig();
  const identity = rig.aws.identity();
  const count = 10_000;
  const references = Array.from({ length: count }, (_, n) => parameterOf(identity, `/shop/p${n}`));
  for (const { name } of references) rig.aws.put(name, "v");
  const before = await heldBytes();
  for (const [n, reference] of references.entries()) rig.observer.depend(`ns/${n}`, [subscription(reference)]);
  await rig.observer.look(references, "bulk");
  rig.aws.calls.length = 0;
  expect(((await heldBytes()) - before) / count).toBeLessThan(1_050);
  rig.observer.stop();
}, 60_000);
