import fc from "fast-check";
import { expect, it } from "vitest";
import { Slots } from "../../../src/controllers/rollout/slots.ts";

const workloads = (number: number) => new Set(Array.from({ length: number }, (_, index) => `Deployment/${index}`));

function slots(most: number) {
  const woken: string[] = [];
  return { slots: new Slots(most, (namespace) => woken.push(namespace)), woken };
}

it("gives a namespace what the others leave, and counts its own rollouts as its own", () => {
  const { slots: all } = slots(5);
  all.take("a", workloads(3));
  expect(all.of("b")).toBe(2);
  expect(all.of("a")).toBe(5);
  all.take("b", workloads(4));
  expect(all.of("a")).toBe(1);
  expect(all.of("c")).toBe(0);
});

it("gives no slot before each namespace of the start has been looked at", () => {
  const { slots: all, woken } = slots(5);
  all.survey(["a", "b"]);
  all.take("c", new Set(), true);
  expect(all.of("c")).toBe(0);
  all.take("a", workloads(2));
  expect(all.of("c")).toBe(0);
  expect(woken).toEqual([]);
  all.take("b", workloads(2));
  expect(all.of("c")).toBe(1);
  expect(woken).toEqual(["c"]);
});

it("gives the last namespace that is not known its slots at once", () => {
  const { slots: all } = slots(5);
  all.survey(["a"]);
  expect(all.of("a")).toBe(5);
});

it("wakes the namespaces that wait, once, when rollouts end", () => {
  const { slots: all, woken } = slots(2);
  all.take("a", workloads(2));
  all.take("b", new Set(), true);
  all.take("c", new Set(), true);
  all.take("a", workloads(2));
  expect(woken).toEqual([]);
  all.take("a", workloads(1));
  expect(woken).toEqual(["b", "c"]);
  all.take("a", new Set());
  expect(woken).toEqual(["b", "c"]);
});

it("does not wake a namespace that no longer waits", () => {
  const { slots: all, woken } = slots(1);
  all.take("a", workloads(1));
  all.take("b", new Set(), true);
  all.take("b", new Set());
  all.take("a", new Set());
  expect(woken).toEqual([]);
});

it("gives no slot if the limit is 0", () => {
  expect(slots(0).slots.of("a")).toBe(0);
});

it("never lets the namespaces together take more than the limit", () => {
  const step = fc.record({ namespace: fc.constantFrom("a", "b", "c"), wanted: fc.nat(6), ends: fc.nat(6) });
  fc.assert(
    fc.property(fc.nat(5), fc.subarray(["a", "b", "c"]), fc.array(step), (most, unknown, steps) => {
      const { slots: all } = slots(most);
      all.survey(unknown);
      const taken = new Map<string, number>();
      for (const { namespace, wanted, ends } of steps) {
        const left = Math.max((taken.get(namespace) ?? 0) - ends, 0);
        const now = Math.max(left, Math.min(left + wanted, all.of(namespace)));
        all.take(namespace, workloads(now), now < left + wanted);
        taken.set(namespace, now);
        expect([...taken.values()].reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(most);
      }
    }),
  );
});

it("ends the survey of a namespace that cannot be looked at, and leaves what others have taken", () => {
  const woken: string[] = [];
  const slots = new Slots(2, (namespace) => woken.push(namespace));
  slots.survey(["a", "b"]);
  slots.take("a", new Set(["Deployment/x"]), true);
  expect(slots.of("a")).toBe(0);
  slots.skip("b");
  expect(woken).toEqual(["a"]);
  expect(slots.of("a")).toBe(2);
  slots.skip("a");
  expect(slots.of("b")).toBe(1);
});

it("leaves a share to a namespace that waits, whatever another one still has to restart", () => {
  const slots = new Slots(5, () => {});
  slots.survey([]);
  expect(slots.of("large")).toBe(5);
  slots.take("large", new Set(["a", "b", "c", "d", "e"]), true);
  expect(slots.of("small")).toBe(0);
  slots.take("small", new Set(), true);
  expect(slots.of("large")).toBe(2);
});
