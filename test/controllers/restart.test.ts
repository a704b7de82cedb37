import { describe, expect, it } from "vitest";
import { AuditReader } from "../cluster/audit.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { costsOf, nothing } from "./costs.ts";
import { one } from "./trials.ts";
import { makeWorld, type World } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "restart");
const { aws } = world;
const minute = 60_000;

describe("a restart", () => {
  it("without changes decrypts nothing, reads nothing at once and writes nothing", async () => {
    for (const name of ["/restart", "/restart/a", "/restart/b", "/env"]) {
      await aws.putParameter({ name, type: "SecureString", value: '{"E":1}' });
    }
    await world.apply("restart", {
      data: [
        one("V", "/restart"),
        { ...one("W", "/restart"), jmesPath: "E" },
        { ...one("NONE", "/none"), optional: true },
        { ...one("DEFAULT", "/nothing"), default: "d" },
        { key: "PINNED", parameter: { name: "/restart", version: 1 } },
      ],
      dataFrom: [{ path: { name: "/restart", exclude: ["b$"] } }, { parameter: { name: "/env" }, format: "JSON" }],
    });
    await world.sync();
    const audit = await AuditReader.from(cluster.auditLogPath);
    await audit.take();
    aws.resetCalls();
    await world.restart();
    await world.sync();
    expect(aws.log().filter(({ service }) => service !== "sts")).toEqual([]);
    await world.pass(6 * minute);
    expect(aws.log().some(({ decrypt }) => decrypt)).toBe(false);
    const writes = (await audit.take()).filter(
      ({ userAgent, verb }) => userAgent.includes(world.namespace) && !["get", "list", "watch"].includes(verb),
    );
    expect(writes.map(({ verb, resource, name }) => `${verb} ${resource} ${name}`)).toEqual([]);
  });

  it("detects changes made meanwhile", async () => {
    await aws.putParameter({ name: "/meanwhile", value: "old" });
    await world.apply("meanwhile", { data: [one("V", "/meanwhile")] });
    await world.sync();
    await aws.putParameter({ name: "/meanwhile", value: "new" });
    await world.restart();
    await world.sync();
    await world.pass(6 * minute);
    expect(await world.data("meanwhile")).toEqual({ V: "new" });
  });
});

describe("a kill -9 between the Secrets and their statuses", () => {
  it("costs one status write for each and no decryption", async () => {
    const names = Array.from({ length: 20 }, (_, n) => `killed-${n}`);
    for (const name of names) {
      await aws.putParameter({ name: `/${name}`, type: "SecureString", value: "v" });
      await world.apply(name, { data: [one("V", `/${name}`)] });
    }
    await world.sync();
    const versionOf = async (name: string) => (await world.secret(name))?.metadata.resourceVersion;
    const versions = await Promise.all(names.map(versionOf));
    // The state at the kill: no status was written.
    const empty = JSON.stringify([{ op: "remove", path: "/status" }]);
    for (const name of names)
      await world.kubectl(["patch", "kss", name, "--subresource", "status", "--type", "json", "-p", empty]);
    const costs = await costsOf(cluster, world);
    await world.restart();
    await world.sync();
    expect(await costs()).toEqual({
      ...nothing,
      looks: expect.any(Number),
      statusWrites: names.length,
      events: expect.any(Number),
    });
    for (const name of names) expect(await world.ready(name)).toMatchObject({ status: "True" });
    expect(await Promise.all(names.map(versionOf))).toEqual(versions);
  });
});

describe("200 SyncedSecrets of three parameters each", async () => {
  const many = await makeWorld(cluster, "restart-many");
  const resources = 200;
  /** Twice the calls for one look at every parameter, ten names each: batches may be partly filled. */
  const callsAtMost = 2 * ((resources * 3) / 10);
  const interval = 5 * minute;
  /** Expects that no tenth of an interval is empty or has twice its share. */
  const expectSpread = (slices: number[]) => {
    const mean = slices.reduce((sum, calls) => sum + calls, 0) / slices.length;
    expect(Math.min(...slices), slices.join(" ")).toBeGreaterThan(0);
    expect(Math.max(...slices), slices.join(" ")).toBeLessThan(2 * mean);
    expect(mean * slices.length).toBeLessThan(callsAtMost);
  };

  it("cost nothing while nothing changes, including at a restart", { timeout: 120_000 }, async () => {
    many.random = random();
    await many.restart();
    await inParts(resources * 3, (n) =>
      many.aws.putParameter({ name: `/many/p${n}`, type: "SecureString", value: "v" }),
    );
    await inParts(resources, (n) =>
      many.apply(`r${n}`, { data: [0, 1, 2].map((i) => one(`K${i}`, `/many/p${n * 3 + i}`)) }),
    );
    const began = many.clock.monotonic();
    await many.sync();
    const costs = await costsOf(cluster, many);
    // What was read within the last tenth of an interval is not polled. The sync moves the clock while calls wait for quota.
    const quietMs = Math.max(began + interval / 10 - many.clock.monotonic() - 1, 0);
    expect((await look(many, quietMs)).reduce((sum, calls) => sum + calls, 0)).toBe(0);
    expectSpread(await look(many, 0.8 * interval));
    expectSpread(await look(many, interval));
    await many.sync();
    expect(await costs()).toEqual({ ...nothing, looks: expect.any(Number) });

    await many.restart();
    await many.sync();
    expect(await costs()).toEqual(nothing);
    expectSpread(await look(many, interval));
    expectSpread(await look(many, interval));
    await many.sync();
    expect(await costs()).toEqual({ ...nothing, looks: expect.any(Number) });
  });
});

describe("a SyncedSecret found at a restart", () => {
  it("with more sources than a status lists is looked at once, without decryption or a write", async () => {
    await inParts(120, (n) => aws.putParameter({ name: `/long/p${n}`, type: "SecureString", value: "v" }));
    await world.apply("long", { dataFrom: [{ path: { name: "/long" } }] });
    await world.sync();
    expect((await world.synced("long")).status).toMatchObject({ sourcesOmitted: 20, keyCount: 120 });
    await costsNothing({ looks: 12 });
  });

  it("with a missing source or connection is not written and sends no new event", async () => {
    for (const name of ["/bad/a", "/bad/b", "/bad/c", "/bad/own"]) await aws.putParameter({ name, value: "v" });
    await world.apply("bad", { data: [one("OWN", "/bad/own")], dataFrom: [{ path: { name: "/bad" } }] });
    await world.apply("absent", { data: [one("X", "/bad/x"), one("C", "/bad/c")] });
    await world.apply("refused", {
      connectionRef: { kind: "AWSConnection", name: "not-there" },
      data: [one("X", "/bad/a")],
    });
    await world.sync();
    await aws.deleteParameter("/bad/a");
    await aws.putParameter({ name: "/bad/b", value: "w", overwrite: true });
    await world.pass(20 * minute, 20);
    for (const [name, reason] of [
      ["bad", "SourceGone"],
      ["absent", "ParameterNotFound"],
      ["refused", "ConnectionNotReady"],
    ] as const)
      expect(await world.ready(name)).toMatchObject({ status: "False", reason });
    await costsNothing({ looks: expect.any(Number) });
  });

  async function costsNothing(but: object): Promise<void> {
    const costs = await costsOf(cluster, world);
    await world.restart();
    await world.sync();
    expect(await costs()).toEqual({ ...nothing, ...but });
    await world.pass(11 * minute);
    expect(await costs()).toEqual({ ...nothing, looks: expect.any(Number) });
  }
});

/** Advances by so many milliseconds. @returns the calls to AWS in each tenth */
async function look(world: World, ms: number): Promise<number[]> {
  const slices: number[] = [];
  const looks = () => world.aws.log().filter(({ operation }) => operation !== "DescribeParameters").length;
  for (let slice = 0; slice < 10; slice++) {
    const before = looks();
    for (let step = 0; step < 10; step++) {
      await world.clock.advance(ms / 100);
      await world.quiet();
    }
    slices.push(looks() - before);
  }
  return slices;
}

/** Repeats an action `count` times, with limited concurrency. */
async function inParts(count: number, deed: (n: number) => Promise<unknown>): Promise<void> {
  for (let n = 0; n < count; n += 50) {
    await Promise.all(Array.from({ length: Math.min(50, count - n) }, (_, i) => deed(n + i)));
  }
}

/** Pseudo-random numbers, the same in every run (mulberry32). */
function random(): () => number {
  let state = 1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
