import { describe, expect, it } from "vitest";
import type { SyncedSecret } from "../../src/api/types.ts";
import { Revisions } from "../../src/controllers/syncedsecret/trust/revision.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { one } from "./trials.ts";
import { makeWorld, type World } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "forged");
const { aws } = world;
const minute = 60_000;
const iso = (at: number) => new Date(at).toISOString();

type Sources = NonNullable<NonNullable<SyncedSecret["status"]>["sources"]>;

/** Patches a status as a tenant with permission may, with a matching revision on the Secret. */
async function forge(name: string, sources: Sources, from: World = world): Promise<void> {
  const resource = await from.synced(name);
  const patch = JSON.stringify({ status: { sources } });
  await from.kubectl(["patch", "kss", name, "--subresource", "status", "--type", "merge", "-p", patch]);
  const listed = sources.map(({ name, version, lastModified }) => ({
    ...{ name, selector: "", version, modified: Date.parse(lastModified) },
  }));
  const names = new Set(sources.map((source) => source.name));
  const left = (resource.spec.data ?? []).flatMap(({ parameter }) =>
    parameter && !names.has(parameter.name) ? [{ name: parameter.name, selector: "", left: true as const }] : [],
  );
  const made = { spec: resource.spec, account: "123456789012", region: "eu-west-1" };
  const revision = new Revisions().of({ ...made, sources: [...listed, ...left] });
  await from.kubectl(["annotate", "secret", name, `keyferry.io/revision=${revision}`, "--overwrite"]);
}

describe("a forged status of one SyncedSecret", () => {
  it("without its Secret deletes no foreign Secret after a restart; the new Secret is created", async () => {
    await aws.putParameter({ name: "/left/z", value: "z" });
    await world.apply("left-a", { data: [{ ...one("X", "/left/x"), optional: true }] });
    const refresh = { whenMissing: "DeleteSecret" as const };
    await world.apply("left-b", { data: [one("X", "/left/z")], refresh });
    await world.sync();
    await aws.putParameter({ name: "/left/x", value: "x" });
    await world.apply("left-b", { data: [one("X", "/left/x")], refresh });
    await world.restart();
    await world.sync();
    expect(await world.data("left-b")).toEqual({ X: "x" });
    await world.pass(10 * minute, 10);
    expect(await world.data("left-b")).toEqual({ X: "x" });
    expect(await world.data("left-a")).toEqual({ X: "x" });
  });

  it("with an unrequested name never prevents the Secret from being created", async () => {
    await aws.putParameter({ name: "/former/z", value: "z" });
    const refresh = { whenMissing: "DeleteSecret" as const };
    await world.apply("former", { data: [one("X", "/former/z")], refresh });
    await world.sync();
    await aws.deleteParameter("/former/z");
    await world.pass(15 * minute, 15);
    expect(await world.secret("former")).toBeUndefined();
    await world.apply("former", { data: [one("X", "/former/x")], refresh });
    await world.sync();
    expect((await world.ready("former")).reason).toBe("ParameterNotFound");
    await aws.putParameter({ name: "/former/x", value: "x" });
    await world.pass(10 * minute, 10);
    expect(await world.data("former")).toEqual({ X: "x" });
  });

  it.each([
    ["in 2099", () => iso(Date.UTC(2099, 0, 1))],
    ["in a minute", () => iso(world.clock.now() + minute)],
  ])("with a time %s keeps no SyncedSecret from following AWS", async (when, lastModified) => {
    const path = `/frozen/${when.replaceAll(" ", "-")}`;
    const names = [`freezer-${when.replaceAll(" ", "-")}`, `frozen-${when.replaceAll(" ", "-")}`] as const;
    await aws.putParameter({ name: path, value: "old" });
    for (const name of names) await world.apply(name, { data: [one("V", path)] });
    await world.sync();
    await forge(names[0], [{ name: path, version: 999, lastModified: lastModified() }]);
    await world.restart();
    await world.sync();
    await aws.putParameter({ name: path, value: "new", overwrite: true });
    await world.pass(6 * minute, 12);
    expect(await world.data(names[1])).toEqual({ V: "new" });
    await world.pass(2 * minute, 12);
    expect(await world.data(names[0])).toEqual({ V: "new" });
  });

  it("with an existing source delays no SyncedSecret that works without it", async () => {
    await aws.putParameter({ name: "/claimed/v", value: "v" });
    await world.apply("claims", { data: [one("V", "/claimed/v"), { ...one("O", "/claimed/o"), optional: true }] });
    await world.sync();
    const sources = (await world.synced("claims")).status!.sources!;
    await forge("claims", [...sources, { name: "/claimed/o", version: 1, lastModified: iso(world.clock.now()) }]);
    await world.restart();
    await world.sync();
    await world.pass(6 * minute, 6);
    await world.apply("goes-without", {
      data: [one("V", "/claimed/v"), { ...one("O", "/claimed/o"), optional: true }],
    });
    await world.sync();
    expect(await world.data("goes-without")).toEqual({ V: "v" });
    expect((await world.ready("goes-without")).status).toBe("True");
  });

  it("with an expiry deletes no Secret while AWS only misses the parameter briefly", async () => {
    const refresh = { whenExpired: "DeleteSecret" as const };
    await aws.putParameter({ name: "/expired/v", value: "v" });
    for (const name of ["expires", "stays"]) await world.apply(name, { data: [one("V", "/expired/v")], refresh });
    await world.sync();
    const [source] = (await world.synced("expires")).status!.sources!;
    await forge("expires", [{ ...source!, expiresAt: iso(world.clock.now() - minute) }]);
    await aws.deleteParameter("/expired/v");
    await world.restart();
    await world.sync();
    await world.pass(minute, 6);
    for (const name of ["expires", "stays"]) expect(await world.data(name)).toEqual({ V: "v" });
    await aws.putParameter({ name: "/expired/v", value: "w" });
    await world.pass(10 * minute, 10);
    for (const name of ["expires", "stays"]) expect(await world.data(name)).toEqual({ V: "w" });
  });
});

it("a parameter deleted during downtime is missing after two looks of this process, the grace apart", async () => {
  for (const key of ["a", "b"]) await aws.putParameter({ name: `/slept/${key}`, value: key });
  await world.apply("slept", { dataFrom: [{ path: { name: "/slept" } }], refresh: { whenMissing: "DeleteKeys" } });
  await world.apply("slept-one", { data: [one("A", "/slept/a")], refresh: { whenMissing: "DeleteSecret" } });
  await world.sync();
  await aws.deleteParameter("/slept/a");
  await world.restart();
  await world.sync();
  await world.pass(4 * minute, 8);
  expect(await world.data("slept")).toEqual({ a: "a", b: "b" });
  expect(await world.data("slept-one")).toEqual({ A: "a" });
  await world.pass(12 * minute, 12);
  expect(await world.data("slept")).toEqual({ b: "b" });
  expect(await world.secret("slept-one")).toBeUndefined();
});
