import { afterEach, expect, it, vi } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { one } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "internal-error");
const { aws } = world;
const minute = 60_000;

afterEach(() => vi.restoreAllMocks());

const canary = "canary";
const defect = () => new TypeError(`Cannot read properties of ${canary}\n    at ${canary} (file:///x.js:1:1)`);
const errors = async (controller: string) => {
  const page = await world.metrics.registry.metrics();
  const line = page
    .split("\n")
    .find((text) => text.startsWith(`keyferry_internal_errors_total{controller="${controller}"`));
  return Number(line?.split(" ").at(-1) ?? 0);
};
const ofErrors = () => world.lines.filter((line) => line.includes("the operator itself failed"));

it("an unexpected error in a reconcile sets a condition, is counted and logged with its place, and clears with its cause", async () => {
  await aws.putParameter({ name: "/defect/a", value: "a" });
  await world.apply("known", { data: [one("A", "/defect/a")] });
  await world.sync();
  await aws.putParameter({ name: "/defect/a", value: "b" });
  const failing = vi.spyOn(world.engine.observer, "values").mockRejectedValue(defect());
  await world.apply("new", { data: [one("A", "/defect/a")] });
  await world.pass(6 * minute);

  const [known, fresh] = [await world.ready("known"), await world.ready("new")];
  for (const ready of [known, fresh]) {
    expect(ready).toMatchObject({ status: "False", reason: "InternalError" });
    expect(ready.message).toMatch(/\(TypeError, id [0-9a-f]{8}\)/);
  }
  expect(await world.data("known")).toEqual({ A: "a" });
  expect(await world.secret("new")).toBeUndefined();
  expect(await errors("syncedsecret")).toBeGreaterThanOrEqual(2);
  const id = /id ([0-9a-f]{8})/.exec(known.message)![1]!;
  expect(ofErrors()[0]).toContain(id);
  expect(ofErrors()[0]).toMatch(/internal-error\.test\.ts:[0-9]+:[0-9]+/);
  expect([known.message, fresh.message, ...world.lines].join()).not.toContain(canary);
  // With backoff: each retry may decrypt.
  const tries = failing.mock.calls.length;
  await world.pass(30 * minute);
  expect(failing.mock.calls.length - tries).toBeLessThan(60);

  failing.mockRestore();
  await world.pass(10 * minute);
  expect(await world.data("known")).toEqual({ A: "b" });
  expect(await world.data("new")).toEqual({ A: "b" });
  expect(await world.ready("known")).toMatchObject({ status: "True", reason: "Synced" });
});

it("an unexpected error about a connection is in its status, and a ready connection keeps serving", async () => {
  const failing = vi.spyOn(world.engine.events, "removed").mockImplementation(() => {
    throw defect();
  });
  await world.pass(6 * minute);
  const conditions = () =>
    world.kubectl(["get", "clusterawsconnection", world.namespace, "-o", "jsonpath={.status.conditions}"]);
  expect(await conditions()).toMatch(/TypeError, id [0-9a-f]{8}.*"reason":"InternalError"/);
  expect(await errors("connection")).toBeGreaterThan(0);
  await aws.putParameter({ name: "/defect/a", value: "c" });
  await world.pass(6 * minute);
  expect(await world.data("known")).toEqual({ A: "c" });
  failing.mockRestore();
  await world.pass(10 * minute);
  expect(await conditions()).not.toContain("InternalError");
});
