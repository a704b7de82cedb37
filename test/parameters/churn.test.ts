import { expect, it } from "vitest";
import type { Reference } from "../../src/parameters/read/reference.ts";
import type { Random } from "../../src/runtime/clock.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { heldOf } from "../support/garbage.ts";
import { claim } from "../support/limiters.ts";
import { type ObserverRig, observerRig, parameterOf, pathOf, subscription } from "../support/observer.ts";
import { seeded, throttled } from "../support/service.ts";

const minute = 60_000;
const account = "123456789012";

/** Runs an hour of random operations, then removes all dependents. @returns the entries and identities that were used */
async function churn({ aws, clock, observer, quotas }: ObserverRig, random: Random): Promise<WeakRef<object>[]> {
  const identities = [0, 1, 2].map((i) => aws.identity(`i${i}`));
  for (const { key } of identities) quotas.set(key, claim(key, { limits: { ssm: 10 } }));
  const objects = identities.map((identity) => new WeakRef<object>(identity));
  aws.fault = async () => {
    await new Promise<void>((resolve) => clock.setTimer(resolve, 50 + 200 * random()));
    const chance = random();
    if (chance < 0.05) throw throttled();
    if (chance < 0.1) throw new Failure("AccessDenied", "wait", "denied");
    if (chance < 0.13) throw new Failure("Unreachable", "retry", "no answer");
  };
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
  const open: Promise<unknown>[] = [];
  for (let i = 0; i < 400; i++) {
    const one = pick(identities);
    const name = `/app/p${Math.floor(random() * 60)}`;
    const reference: Reference = random() < 0.1 ? pathOf(one, "/app") : parameterOf(one, name);
    const dependent = `ns${Math.floor(random() * 5)}/s${Math.floor(random() * 30)}`;
    if (random() < 0.4) aws.put(name, String(i));
    if (random() < 0.1) aws.delete(name);
    if (random() < 0.6) observer.depend(dependent, [subscription(reference, minute)]);
    const entry = observer.entry(reference);
    if (entry) objects.push(new WeakRef(entry));
    if (random() < 0.3) observer.depend(dependent, []);
    if (random() < 0.3) open.push(observer.values(reference, pick(["bulk", "interactive"] as const)));
    if (random() < 0.3) open.push(observer.look([reference], "drift"));
    if (random() < 0.2) open.push(observer.valueOf(parameterOf(one, name, ":99"), "bulk"));
    if (random() < 0.5) open.push(observer.announced(one, account, name));
    if (random() < 0.2) observer.replan(one.key);
    await clock.advance(18_000 * random());
  }
  for (let n = 0; n < 5; n++) for (let s = 0; s < 30; s++) observer.depend(`ns${n}/s${s}`, []);
  await clock.advance(10 * minute);
  expect(await Promise.all(open)).toHaveLength(open.length);
  for (const { key } of identities) expect(observer.stretch(key)).toBe(1);
  return objects;
}

it("the observer leaves no timer, call, value or entry after an hour of random operations and faults", async () => {
  const random = seeded(11);
  const rig = observerRig({ limit: 20, random });
  const objects = await churn(rig, random);
  expect(rig.clock.pending).toBe(0);
  expect(rig.limiters.waiting).toBe(0);
  expect(rig.observer.valuesHeld).toBe(0);
  expect(objects.length).toBeGreaterThan(100);
  expect(await heldOf(objects)).toBe(0);
});
