import { describe, expect, it } from "vitest";
import { syncedSecrets } from "../../src/kube/resource.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "distrust");
const { aws } = world;
const minute = 60_000;

const one = (key: string, name: string) => ({ key, parameter: { name } });
const once = { policy: "Once" as const };
const put = (name: string, value: string, type: "String" | "SecureString" = "SecureString") =>
  aws.putParameter({ name, value, type });
const edit = (name: string, data: Record<string, string | null>) =>
  world.kubectl(["patch", "secret", name, "--type", "merge", "--patch", JSON.stringify({ data })]);

/** Clears the status, as after a crash between the writes of the Secret and of the status. */
async function loseStatus(name: string): Promise<void> {
  const empty = [{ op: "remove", path: "/status" }];
  await world.kubectl(["patch", "kss", name, "--subresource", "status", "--type", "json", "-p", JSON.stringify(empty)]);
}

describe("a failure is checked again", () => {
  it("by its own retry, long before the next poll", async () => {
    await put("/retry", "v");
    aws.fault({ operation: "GetParameters", kind: "throttle", times: 6 });
    await world.apply("retry", { data: [one("V", "/retry")], refresh: { pollInterval: "1h" } });
    await world.sync();
    expect(await world.secret("retry")).toBeUndefined();
    await world.pass(5_000, 5);
    expect(await world.data("retry")).toEqual({ V: "v" });
  });

  it("also under Once, which is never polled", async () => {
    await world.apply("retry-once", { data: [one("V", "/retry-once")], refresh: once });
    await world.sync();
    expect((await world.ready("retry-once")).reason).toBe("ParameterNotFound");
    await put("/retry-once", "v");
    await world.pass(6 * minute);
    expect(await world.data("retry-once")).toEqual({ V: "v" });
  });

  it("at once on a refresh request, which stays pending if AWS did not answer", async () => {
    await world.apply("ask", { data: [one("V", "/ask")], refresh: { pollInterval: "1h" } });
    await world.sync();
    await put("/ask", "v");
    aws.fault({ operation: "GetParameters", kind: "throttle", times: 6 });
    await world.kubectl(["annotate", "kss", "ask", "keyferry.io/refresh=please"]);
    await world.fill();
    await world.work();
    expect((await world.synced("ask")).status!.lastHandledRefresh).toBeUndefined();
    await world.pass(5_000, 5);
    expect(await world.data("ask")).toEqual({ V: "v" });
    expect((await world.synced("ask")).status!.lastHandledRefresh).toBe("please");
  });

  it("by a refresh request of any length, once", async () => {
    await put("/long", "v");
    await world.apply("long", { data: [one("V", "/long")] });
    await world.kubectl(["annotate", "kss", "long", `keyferry.io/refresh=${"x".repeat(5_000)}`]);
    await world.sync();
    expect((await world.synced("long")).status!.lastHandledRefresh).toMatch(/^sha256:[0-9a-f]{64}$/);
    aws.resetCalls();
    await world.sync();
    expect(aws.count()).toBe(0);
  });
});

describe("after a restart", () => {
  it("a path owns only its own members: data entries below it are none, whatever whenMissing is", async () => {
    await put("/phantom/a", "a");
    await put("/phantom/flags", "f", "String");
    await put("/phantom/deep/x", "x");
    await world.apply("phantom", {
      dataFrom: [{ path: { name: "/phantom", types: ["SecureString"] } }],
      data: [one("FLAGS", "/phantom/flags"), one("X", "/phantom/deep/x")],
      refresh: { whenMissing: "DeleteSecret" },
    });
    await world.sync();
    const before = await world.data("phantom");
    expect(before).toEqual({ a: "a", FLAGS: "f", X: "x" });
    await world.restart();
    await world.sync();
    await world.pass(30 * minute, 30);
    expect(await world.data("phantom")).toEqual(before);
    expect((await world.ready("phantom")).status).toBe("True");
  });

  it("over a hundred members deleted meanwhile keep their bytes until a person drops them", async () => {
    for (let i = 0; i < 120; i++) await put(`/hundred/k${i}`, "v", "String");
    await world.apply("hundred", { dataFrom: [{ path: { name: "/hundred" } }] });
    await world.sync();
    expect(Object.keys((await world.data("hundred"))!)).toHaveLength(120);
    for (let i = 0; i < 60; i++) await aws.deleteParameter(`/hundred/k${i}`);
    await put("/hundred/k119", "changed", "String");
    await world.restart();
    await world.sync();
    const data = (await world.data("hundred"))!;
    expect(Object.keys(data)).toHaveLength(120);
    expect(data.k119).toBe("changed");
    expect((await world.ready("hundred")).reason).toBe("SourceGone");
    await world.pass(20 * minute, 20);
    expect(Object.keys((await world.data("hundred"))!)).toHaveLength(120);
    expect((await world.ready("hundred")).reason).toBe("SourceGone");
    await world.kubectl(["annotate", "kss", "hundred", "keyferry.io/refresh=drop"]);
    await world.sync();
    expect(Object.keys((await world.data("hundred"))!)).toHaveLength(60);
    expect((await world.ready("hundred")).status).toBe("True");
  });

  it("a missing optional parameter keeps its key when the status was lost", async () => {
    await put("/lost/a", "a");
    await put("/lost/o", "o");
    await world.apply("lost", { data: [one("A", "/lost/a"), { ...one("O", "/lost/o"), optional: true }] });
    await world.sync();
    await loseStatus("lost");
    await aws.deleteParameter("/lost/o");
    await world.restart();
    await world.sync();
    await world.pass(minute);
    expect(await world.data("lost")).toEqual({ A: "a", O: "o" });
    await put("/lost/o", "again");
    await world.pass(6 * minute);
    expect(await world.data("lost")).toEqual({ A: "a", O: "again" });
    expect((await world.ready("lost")).status).toBe("True");
  });

  it("a source reported missing stays missing, and its deleted Secret is not recreated without it", async () => {
    for (const key of ["a", "b"]) await put(`/stays/${key}`, key);
    await world.apply("stays", { dataFrom: [{ path: { name: "/stays" } }], refresh: { whenMissing: "DeleteSecret" } });
    await world.sync();
    await aws.deleteParameter("/stays/b");
    await world.pass(15 * minute, 20);
    expect(await world.secret("stays")).toBeUndefined();
    await world.restart();
    await world.sync();
    await world.pass(15 * minute, 20);
    expect(await world.secret("stays")).toBeUndefined();
    expect((await world.ready("stays")).reason).toBe("SourceGone");
    await put("/stays/b", "back");
    await world.pass(10 * minute);
    expect(await world.data("stays")).toEqual({ a: "a", b: "back" });
  });
});

describe("Once", () => {
  it("never empties a Secret whose status was lost, and reports it after an edit", async () => {
    await put("/once-lost", "v");
    await world.apply("once-lost", { data: [one("V", "/once-lost")], refresh: once });
    await world.sync();
    await loseStatus("once-lost");
    await world.restart();
    await world.sync();
    expect((await world.synced("once-lost")).status).toMatchObject({ keyCount: 1, sources: [{ name: "/once-lost" }] });
    await edit("once-lost", { V: "aGFja2Vk" });
    await world.sync();
    expect(await world.data("once-lost")).toEqual({ V: "v" });
    await loseStatus("once-lost");
    await put("/once-lost", "newer");
    await world.restart();
    await edit("once-lost", { V: "aGFja2Vk" });
    await world.sync();
    expect(await world.data("once-lost")).toEqual({ V: "hacked" });
    expect((await world.ready("once-lost")).reason).toBe("SourceGone");
  });

  it("does not take a recreated parameter with the same version number for the synced one", async () => {
    await put("/once-again", "old");
    await world.apply("once-again", { data: [one("V", "/once-again")], refresh: once });
    await world.sync();
    await aws.deleteParameter("/once-again");
    await new Promise((resolve) => setTimeout(resolve, 5));
    await put("/once-again", "another");
    await world.kubectl(["delete", "secret", "once-again"]);
    await world.sync();
    expect(await world.secret("once-again")).toBeUndefined();
    expect((await world.ready("once-again")).reason).toBe("SourceGone");
  });

  it("removes the Secret under its former name, even after a crash between the two writes", async () => {
    await put("/once-rename", "v");
    const spec = (name: string) => ({ data: [one("V", "/once-rename")], target: { name }, refresh: once });
    await world.apply("once-rename", spec("former"));
    await world.sync();
    const remove = world.client.delete.bind(world.client);
    world.client.delete = async () => {
      throw new Error("killed");
    };
    await world.apply("once-rename", spec("latter"));
    await world.sync();
    world.client.delete = remove;
    expect(await world.data("former")).toEqual({ V: "v" });
    await world.restart();
    await world.sync();
    expect(await world.data("latter")).toEqual({ V: "v" });
    expect(await world.secret("former")).toBeUndefined();
  });
});

it("keeps the key of a path member that a lagging replica does not list", async () => {
  for (const key of ["a", "b"]) await put(`/replica/${key}`, "1");
  await world.apply("replica", { dataFrom: [{ path: { name: "/replica" } }] });
  await world.sync();
  await put("/replica/b", "2");
  await put("/replica/a", "2");
  aws.fault({ operation: "GetParametersByPath", kind: "503", times: 1 });
  await world.pass(20 * minute, 20);
  expect(await world.data("replica")).toEqual({ a: "2", b: "2" });
});

it("a change of region is not a deletion: missing parameters keep their bytes, and the condition reports them", async () => {
  await put("/region/a", "a");
  await put("/region/o", "o");
  const there = { region: "eu-central-1" };
  await aws.putParameter({ name: "/region/a", value: "A" }, there);
  await world.apply("region", { data: [one("A", "/region/a"), { ...one("O", "/region/o"), optional: true }] });
  await world.sync();
  await world.makeConnection(there);
  await world.sync();
  expect(await world.data("region")).toEqual({ A: "A", O: "o" });
  expect((await world.ready("region")).reason).toBe("SourceGone");
  await world.pass(20 * minute, 20);
  expect(await world.data("region")).toEqual({ A: "A", O: "o" });
  await world.restart();
  await world.sync();
  expect((await world.ready("region")).reason, "also after a restart").toBe("SourceGone");
  await aws.putParameter({ name: "/region/a", value: "B" }, there);
  const optional = { ...one("O", "/region/o"), optional: true };
  await world.apply("region", { data: [one("A", "/region/a"), optional], refresh: { pollInterval: "6m" } });
  await world.sync();
  await world.pass(20 * minute, 20);
  expect(await world.data("region"), "and after an edit that has nothing to do with it").toEqual({ A: "B", O: "o" });
  expect((await world.ready("region")).reason).toBe("SourceGone");
  await world.makeConnection();
  await world.sync();
  expect(await world.data("region")).toEqual({ A: "a", O: "o" });
  expect((await world.ready("region")).status).toBe("True");
});

it("an edited Secret is not Ready while AWS does not answer", async () => {
  await put("/edited/v", "v");
  await world.apply("edited", { data: [one("V", "/edited/v")] });
  await world.sync();
  aws.fault({ operation: "GetParameters", kind: "throttle" });
  await edit("edited", { V: "ZXZpbA==" });
  await world.pass(minute);
  expect(await world.ready("edited")).toMatchObject({ status: "False", reason: "Throttled" });
  aws.clearFaults();
  await world.pass(10 * minute);
  expect(await world.data("edited")).toEqual({ V: "v" });
  expect((await world.ready("edited")).status).toBe("True");
});

it("a new version that cannot be decrypted sets Ready to False after staleAfter, even though polls succeed", async () => {
  await put("/unread", "old");
  await world.apply("unread", { data: [one("V", "/unread")], refresh: { staleAfter: "30m" } });
  await world.sync();
  await put("/unread", "new");
  const read = aws.fault;
  const decrypts = world.engine.observer.values.bind(world.engine.observer);
  world.engine.observer.values = async (reference, lane, options) => {
    if (reference.kind !== "parameter" || reference.name !== "/unread") return decrypts(reference, lane, options);
    read({ operation: "GetParameters", kind: "500", times: 1, names: ["/unread"] });
    return decrypts(reference, lane, { fresh: true });
  };
  await world.pass(20 * minute, 10);
  expect((await world.ready("unread")).status).toBe("True");
  await world.pass(40 * minute, 20);
  expect(await world.ready("unread")).toMatchObject({ status: "False", reason: "Unreachable" });
  world.engine.observer.values = decrypts;
  aws.clearFaults();
  await world.pass(10 * minute);
  expect(await world.data("unread")).toEqual({ V: "new" });
});

it("a Secret deleted for a missing source is not recreated after another failure", async () => {
  for (const key of ["a", "b"]) await put(`/trouble/${key}`, key);
  await world.apply("trouble", {
    dataFrom: [{ path: { name: "/trouble" } }],
    refresh: { whenMissing: "DeleteSecret" },
  });
  await world.sync();
  await aws.deleteParameter("/trouble/b");
  await world.pass(15 * minute, 20);
  expect(await world.secret("trouble")).toBeUndefined();
  aws.fault({ operation: "GetParametersByPath", kind: "throttle" });
  await world.restart();
  await world.pass(minute);
  expect((await world.ready("trouble")).reason).toBe("Throttled");
  aws.clearFaults();
  await world.pass(10 * minute, 10);
  expect(await world.secret("trouble")).toBeUndefined();
  expect((await world.ready("trouble")).reason).toBe("SourceGone");
});

it("switching from Merge to Owner and back leaves no field manager of ours, and removes dropped keys", async () => {
  await world.kubectl(["create", "secret", "generic", "moving", "--from-literal=THEIRS=t"]);
  await world.kubectl(["annotate", "secret", "moving", "keyferry.io/allow-merge=moving", "keyferry.io/adopt=moving"]);
  for (const key of ["a", "b"]) await put(`/moving/${key}`, key);
  const spec = (creationPolicy: "Merge" | "Owner", keys: string[]) => ({
    data: keys.map((key) => one(key.toUpperCase(), `/moving/${key}`)),
    target: { creationPolicy },
  });
  await world.apply("moving", spec("Merge", ["a", "b"]));
  await world.sync();
  await world.apply("moving", spec("Owner", ["a", "b"]));
  await world.sync();
  await world.apply("moving", spec("Owner", ["a"]));
  await world.sync();
  expect(await world.data("moving")).toEqual({ THEIRS: "t", A: "a" });
  await world.apply("moving", spec("Merge", ["a"]));
  await world.sync();
  await put("/moving/a", "changed");
  await world.pass(6 * minute);
  expect(await world.data("moving")).toEqual({ THEIRS: "t", A: "changed" });
  expect((await world.ready("moving")).status).toBe("True");
});

it("a connection being deleted grants nothing, even while a finalizer holds it", async () => {
  const other = await makeWorld(cluster, "going");
  await other.aws.putParameter({ name: "/going", value: "v" });
  await other.apply("going", { data: [one("V", "/going")] });
  await other.sync();
  await other.kubectl([
    "patch",
    "cawsc",
    other.namespace,
    "--type",
    "merge",
    "-p",
    '{"metadata":{"finalizers":["x.io/hold"]}}',
  ]);
  await other.kubectl(["delete", "cawsc", other.namespace, "--wait=false"]);
  await other.sync();
  expect((await other.ready("going")).reason).toBe("NotAllowed");
  other.aws.resetCalls();
  await other.pass(10 * minute);
  expect(other.aws.count()).toBe(0);
  expect(await other.data("going")).toEqual({ V: "v" });
  await other.kubectl(["patch", "cawsc", other.namespace, "--type", "merge", "-p", '{"metadata":{"finalizers":null}}']);
});

it("a missing document keeps its own keys only", async () => {
  await put("/doc/env", '{"D":"d"}');
  await put("/doc/b", "b");
  await world.apply("doc", {
    dataFrom: [{ parameter: { name: "/doc/env" }, format: "JSON" }],
    data: [one("B", "/doc/b")],
  });
  await world.sync();
  await edit("doc", { THEIRS: "dA==" });
  await aws.deleteParameter("/doc/env");
  await world.pass(15 * minute, 20);
  await put("/doc/b", "b2");
  await world.pass(6 * minute);
  expect(await world.data("doc")).toEqual({ B: "b2", D: "d", THEIRS: "t" });
  const fields = (await world.secret("doc"))!.metadata.managedFields!.find(({ operation }) => operation === "Apply")!;
  expect(Object.keys((fields.fieldsV1 as Record<string, object>)["f:data"]!)).not.toContain("f:THEIRS");
});

it("a Pending status never overwrites the final one", async () => {
  await put("/pending", "v");
  const apply = world.client.apply.bind(world.client);
  let slow: (() => void) | undefined;
  world.client.apply = async (resource, object, options) => {
    const isPending = resource === syncedSecrets && JSON.stringify(object).includes("waiting for AWS");
    if (isPending) await new Promise<void>((resolve) => (slow = resolve));
    return apply(resource, object, options);
  };
  world.engine.syncedSecrets.triggers.begin();
  aws.fault({ operation: "GetParameters", kind: "delay", delayMs: 300, times: 1 });
  await world.apply("pending", { data: [one("V", "/pending")] });
  await world.fill();
  const working = world.work();
  await world.clock.advance(2_000);
  await new Promise((resolve) => setTimeout(resolve, 600));
  slow?.();
  await working;
  world.client.apply = apply;
  await world.sync();
  expect(slow, "Pending was written").toBeDefined();
  expect((await world.ready("pending")).status).toBe("True");
});

it("a staleAfter below the effective interval causes no extra requests", async () => {
  await put("/busy", "v");
  await world.apply("busy", { data: [one("V", "/busy")], refresh: { staleAfter: "1m" } });
  await world.sync();
  const count = async () => {
    const metric = await world.metrics.syncs.get();
    return metric.values.reduce((sum, { value }) => sum + value, 0);
  };
  const before = await count();
  await world.pass(4 * minute, 8);
  expect((await count()) - before).toBeLessThan(40);
  expect((await world.ready("busy")).status).toBe("True");
});
