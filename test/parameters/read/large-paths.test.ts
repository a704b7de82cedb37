import { beforeEach, expect, it } from "vitest";
import type { Identity } from "../../../src/aws/identity.ts";
import type { Picks } from "../../../src/parameters/read/path-reader.ts";
import { type ObserverRig, observerRig, pathOf, subscription } from "../../support/observer.ts";

let rig: ObserverRig;
let identity: Identity;
const value = "x".repeat(4_096);

beforeEach(() => {
  rig = observerRig();
  identity = rig.aws.identity();
  for (let n = 0; n < 1_000; n++) rig.aws.put(`/big/${String(n).padStart(4, "0")}`, value);
});

const picksOf = (pattern: RegExp): Picks => ({
  key: pattern.source,
  select: (names) => names.filter((name) => pattern.test(name)),
});
const read = (picks?: Picks, resource = "ns/one") =>
  rig.observer.values(pathOf(identity, "/big"), "bulk", { resource, namespace: "ns", ...(picks ? { picks } : {}) });

it("a path with values over 2 MiB is not read to its end, nor again until it changes", async () => {
  rig.observer.depend("ns/one", [subscription(pathOf(identity, "/big"))]);
  const first = await read();
  expect(first).toMatchObject({ state: "failed", failure: { reason: "TooLarge" } });
  expect(rig.aws.count("GetParametersByPath", true)).toBe(52);
  expect(await read()).toMatchObject({ state: "failed", failure: { reason: "TooLarge" } });
  expect(rig.aws.count("GetParametersByPath", true)).toBe(52);
  expect(rig.observer.inFlight.used).toBe(0);
  expect(rig.audited.filter(({ event }) => event === "read")).toHaveLength(520);
});

it("a dependent that picks part of a large path is served while another wants all of it", async () => {
  const path = pathOf(identity, "/big");
  rig.observer.depend("ns/one", [subscription(path)]);
  rig.observer.depend("ns/two", [subscription(path)]);
  const [all, part] = await Promise.all([read(), read(picksOf(/00[0-4]/), "ns/two")]);
  expect(all.state).toBe("failed");
  expect(part.state === "values" && part.values.size).toBe(50);
  expect(rig.observer.entry(path)!.failure).toBeUndefined();
  const again = await read(picksOf(/00[0-4]/), "ns/two");
  expect(again.state === "values" && again.values.size).toBe(50);
});

it("a small path is listed once for all dependents, whatever part each picks", async () => {
  const path = pathOf(identity, "/small");
  for (let n = 0; n < 20; n++) rig.aws.put(`/small/${n}`, value);
  for (const one of ["ns/one", "ns/two"]) rig.observer.depend(one, [subscription(path)]);
  await Promise.all(
    [/1/, /2/].map((pattern) => rig.observer.values(path, "bulk", { picks: picksOf(pattern), resource: "ns/one" })),
  );
  expect(rig.aws.count("GetParametersByPath")).toBe(2);
});

it("the decrypted value cache stays below 16 MiB", async () => {
  for (let p = 0; p < 12; p++) for (let n = 0; n < 450; n++) rig.aws.put(`/p${p}/${n}`, value);
  const paths = Array.from({ length: 12 }, (_, p) => pathOf(identity, `/p${p}`));
  rig.observer.depend("ns/one", paths.map((path) => subscription(path))); // biome-ignore format: one line
  for (const path of paths) await rig.observer.values(path, "bulk");
  expect(rig.observer.valuesHeld).toBe(9);
});

it("a listing that never ends is a failure", async () => {
  let page = 0;
  identity.ssm.getParametersByPath = (permit) => permit.use(async () => ({ found: [], nextToken: `token ${page++}` }));
  rig.observer.depend("ns/one", [subscription(pathOf(identity, "/big"))]);
  expect(await read()).toMatchObject({ state: "failed", failure: { reason: "Unreachable" } });
  expect(page).toBeLessThanOrEqual(2_001);
});
