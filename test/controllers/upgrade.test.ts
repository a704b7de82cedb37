import { beforeEach, describe, expect, it } from "vitest";
import { annotations } from "../../src/api/annotations.ts";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import { type Made, Revisions } from "../../src/controllers/syncedsecret/trust/revision.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { costsOf, nothing } from "./costs.ts";
import { one } from "./trials.ts";
import { makeWorld, type World } from "./world.ts";

const cluster = await sharedCluster();
const minute = 60_000;

/** This release's format. */
const present = new Revisions();
const part = (revision: string, index: number) => revision.split(".")[index]!;
const without = (made: Partial<Made>): Made => ({ spec: {}, account: "", region: "", sources: [], ...made });
const first = {
  spec: (spec: SyncedSecretSpec) => part(present.of(without({ spec })), 1),
  sources: (made: Made) => part(present.of(made), 2),
};
/** A later release's format with a different hash. */
const second = {
  spec: (spec: SyncedSecretSpec) => `s${first.spec({ ...spec, suspend: true })}`,
  sources: (made: Made) => `t${first.sources({ ...made, account: `${made.account} and more` })}`,
};
const both = new Map([
  [1, first],
  [2, second],
]);
const later = new Revisions(both, 2);
/** A release in between: it reads the later format, but does not write it. */
const between = new Revisions(both, 1);

const specs: Record<string, SyncedSecretSpec> = {
  plain: { data: [one("A", "/up/a"), { key: "B", parameter: { name: "/up/b", version: 1 } }] },
  lacking: {
    data: [one("A", "/up/a"), { ...one("N", "/up/none"), optional: true }, { ...one("D", "/up/no"), default: "d" }],
  },
  path: { dataFrom: [{ path: { name: "/up/path" } }] },
  once: { data: [one("A", "/up/a")], refresh: { policy: "Once" } },
  many: { dataFrom: [{ path: { name: "/many" } }] },
};
const names = Object.keys(specs);

let world: World;
beforeEach(async () => {
  world = await makeWorld(cluster, "upgrade");
  for (const name of ["/up/a", "/up/b", "/up/path/a", "/up/path/b"]) {
    await world.aws.putParameter({ name, type: "SecureString", value: `of ${name}` });
  }
  await Promise.all(
    Array.from({ length: 120 }, (_, n) => world.aws.putParameter({ name: `/many/p${n}`, value: `${n}` })),
  );
  for (const name of names) await world.apply(name, specs[name]!);
}, 60_000);

const formatOf = async (name: string) =>
  part((await world.secret(name))?.metadata.annotations?.[annotations.revision] ?? "", 0);
const formats = async () =>
  Object.fromEntries(await Promise.all(names.map(async (name) => [name, await formatOf(name)])));
const all = (format: string) => Object.fromEntries(names.map((name) => [name, format]));
const repaired = async () => (await world.metrics.driftRepairs.get()).values.reduce((sum, { value }) => sum + value, 0);
const statusOf = async (name: string) => (await world.synced(name)).status!;

describe("a release that writes revisions in another format", () => {
  it("decrypts, reads and writes nothing until something changes, and then only that Secret", async () => {
    await world.sync();
    expect(await formats()).toEqual(all("1"));
    const costs = await costsOf(cluster, world);
    await world.restart({}, later);
    await world.sync();
    // More sources than a status lists are looked at once: their path has twelve pages.
    expect(await costs()).toEqual({ ...nothing, looks: 12 });
    await world.pass(11 * minute);
    expect(await costs()).toEqual({ ...nothing, looks: expect.any(Number) });
    expect(await formats()).toEqual(all("1"));

    await costs();
    await world.aws.putParameter({ name: "/up/path/b", value: "changed" });
    await world.pass(6 * minute);
    expect(await costs()).toMatchObject({
      decryptions: 1,
      secretReads: 0,
      secretWrites: 1,
      statusWrites: 1,
      events: 0,
    });
    expect(await formats()).toEqual({ ...all("1"), path: "2" });
    expect(await world.data("path")).toEqual({ a: "of /up/path/a", b: "changed" });

    await costs();
    await world.restart({}, later);
    await world.sync();
    await world.pass(11 * minute);
    expect(await costs()).toEqual({ ...nothing, looks: expect.any(Number) });
  });

  it("repairs an edited Secret in its own format, without reporting a change", async () => {
    await world.sync();
    const before = await statusOf("once");
    await world.aws.putParameter({ name: "/up/a", type: "SecureString", value: "newer" });
    await world.restart({}, later);
    await world.kubectl(["patch", "secret", "path", "--type=merge", "-p", '{"data":{"a":"ZWRpdA=="}}']);
    await world.kubectl(["patch", "secret", "once", "--type=merge", "-p", '{"data":{"A":"ZWRpdA=="}}']);
    const { lastChangeTime } = await statusOf("path");
    const repairs = await repaired();
    await world.clock.advance(2_000);
    await world.sync();
    expect(await world.data("path")).toEqual({ a: "of /up/path/a", b: "of /up/path/b" });
    expect(await formats()).toMatchObject({ path: "2", once: "2", many: "1" });
    expect((await statusOf("path")).lastChangeTime).toBe(lastChangeTime);
    expect(await repaired()).toBe(repairs + 2);
    expect((await statusOf("path")).revision).toMatch(/^2\./);
    // The version synced under Once is read by its number: the Secret verifies the status in the old format.
    expect(await world.data("once")).toEqual({ A: "of /up/a" });
    expect((await statusOf("once")).lastChangeTime).toBe(before.lastChangeTime);
  });

  it("keeps no key that is known to be gone: the status is verified across the format change", async () => {
    await world.sync();
    await world.restart({}, later);
    await world.sync();
    await world.kubectl([
      "patch",
      "syncedsecret",
      "path",
      "--type=merge",
      "-p",
      '{"spec":{"refresh":{"whenMissing":"DeleteKeys"}}}',
    ]);
    await world.aws.deleteParameter("/up/path/b");
    await world.pass(20 * minute, 20);
    expect(await world.data("path")).toEqual({ a: "of /up/path/a" });
    const secret = await world.secret("path");
    expect(secret?.metadata.annotations?.[annotations.retainedKeys]).toBeUndefined();
    expect(await formatOf("path")).toBe("2");
  });

  it("trusts no status that the Secret does not verify in its own format", async () => {
    await world.sync();
    const { status } = await world.synced("plain");
    const sources = status!.sources!.map((source) => ({ ...source, version: 7 }));
    await world.kubectl([
      "patch",
      "syncedsecret",
      "plain",
      "--subresource=status",
      "--type=merge",
      "-p",
      JSON.stringify({ status: { sources } }),
    ]);
    const costs = await costsOf(cluster, world);
    await world.restart({}, later);
    await world.sync();
    expect(await costs()).toMatchObject({ decryptions: 0, secretWrites: 0, statusWrites: 1 });
    expect((await statusOf("plain")).sources).toEqual(status!.sources);
  });
});

describe("a rollback to a release that does not know the format", () => {
  beforeEach(async () => {
    await world.restart({}, later);
    await world.sync();
    expect(await formats()).toEqual(all("2"));
  }, 60_000);

  it("costs one write per Secret, and leaves the data unchanged", async () => {
    const data = await Promise.all(names.map((name) => world.data(name)));
    const costs = await costsOf(cluster, world);
    await world.restart();
    await world.sync();
    expect(await formats()).toEqual({ ...all("1"), once: "2" });
    expect(await costs()).toMatchObject({ secretWrites: names.length - 1, statusWrites: names.length - 1, events: 0 });
    expect(await Promise.all(names.map((name) => world.data(name)))).toEqual(data);
    for (const name of names) expect(await world.ready(name)).toMatchObject({ status: "True", reason: "Synced" });
    await costs();
    await world.restart();
    await world.sync();
    await world.pass(11 * minute);
    expect(await costs()).toEqual({ ...nothing, looks: expect.any(Number) });
  });

  it("costs nothing if that release can read the format", async () => {
    const costs = await costsOf(cluster, world);
    await world.restart({}, between);
    await world.sync();
    await world.pass(11 * minute);
    expect(await costs()).toEqual({ ...nothing, looks: expect.any(Number) });
    expect(await formats()).toEqual(all("2"));
    await world.aws.putParameter({ name: "/up/path/b", value: "changed" });
    await world.pass(6 * minute);
    expect(await formats()).toEqual({ ...all("2"), path: "1" });
  });

  it("keeps the keys of sources deleted meanwhile: the Secret's former sources cannot be verified", async () => {
    await world.aws.deleteParameter("/up/path/b");
    await world.restart();
    await world.sync();
    expect(await world.data("path")).toEqual({ a: "of /up/path/a", b: "of /up/path/b" });
    expect(await world.ready("path")).toMatchObject({ status: "False", reason: "SourceGone" });
    expect(await formatOf("path")).toBe("1");
  });

  it("leaves Secrets, and Ready, unchanged while AWS is unreachable", async () => {
    const before = await Promise.all(names.map(statusOf));
    world.aws.fault({ operation: "GetParameter*", kind: "503" });
    const costs = await costsOf(cluster, world);
    await world.restart();
    await world.sync();
    await world.pass(minute);
    expect(await costs()).toMatchObject({ secretWrites: 0, statusWrites: 0, events: 0 });
    expect(await Promise.all(names.map(statusOf))).toEqual(before);
  });

  it("does not report a Secret of an older spec as current under Once", async () => {
    await world.kubectl([
      "patch",
      "syncedsecret",
      "once",
      "--type=merge",
      "-p",
      '{"spec":{"data":[{"key":"Z","parameter":{"name":"/up/b"}}]}}',
    ]);
    await world.restart();
    await world.sync();
    expect(await world.ready("once")).toMatchObject({ status: "False", reason: "SourceGone" });
    expect(await world.data("once")).toEqual({ A: "of /up/a" });
  });

  it("recreates nothing under Once, whatever is newer, until a refresh request", async () => {
    const newer = async () => {
      await world.aws.putParameter({ name: "/up/a", type: "SecureString", value: "newer" });
    };
    await newer();
    const before = await statusOf("once");
    await world.restart();
    await world.sync();
    expect(await world.data("once")).toEqual({ A: "of /up/a" });
    expect(await statusOf("once")).toEqual(before);
    // An edit cannot be repaired: only the status has the version, and no revision verifies it.
    await world.kubectl(["patch", "secret", "once", "--type=merge", "-p", '{"data":{"A":"ZWRpdA=="}}']);
    await world.sync();
    expect(await world.data("once")).toEqual({ A: "edit" });
    const { reason, message } = await world.ready("once");
    expect(reason).toBe("SourceGone");
    expect(message).toContain(annotations.refresh);
    await world.kubectl(["annotate", "syncedsecret", "once", `${annotations.refresh}=now`]);
    await world.sync();
    expect(await world.data("once")).toEqual({ A: "newer" });
    expect(await formatOf("once")).toBe("1");
  });
});
