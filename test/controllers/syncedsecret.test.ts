import { afterEach, describe, expect, it } from "vitest";
import { AuditReader, countRequests } from "../cluster/audit.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "synced");
const { aws } = world;
const minute = 60_000;

afterEach(() => {
  aws.allowAll();
  aws.clearFaults();
});

const one = (key: string, name: string) => ({ key, parameter: { name } });

describe("a first sync", () => {
  it("creates the Secret with its revision, owner and label, and reports it", async () => {
    await aws.putParameter({ name: "/first/password", type: "SecureString", value: "s3cret" });
    await aws.putParameter({ name: "/first/user", value: "shop" });
    await world.apply("first", { data: [one("PASSWORD", "/first/password"), one("USER", "/first/user")] });
    await world.sync();
    expect(await world.data("first")).toEqual({ PASSWORD: "s3cret", USER: "shop" });
    const secret = (await world.secret("first"))!;
    expect(secret.type).toBe("Opaque");
    expect(secret.metadata.annotations!["keyferry.io/revision"]).toMatch(/^1\.[0-9a-f]{32}\.[0-9a-f]{32}$/);
    expect(secret.metadata.ownerReferences).toMatchObject([{ kind: "SyncedSecret", name: "first", controller: true }]);
    const { status } = await world.synced("first");
    expect(status).toMatchObject({
      observedGeneration: 1,
      secretRef: { name: "first" },
      keyCount: 2,
      sources: [
        { name: "/first/password", version: 1 },
        { name: "/first/user", version: 1 },
      ],
    });
    expect(await world.ready("first")).toMatchObject({ status: "True", reason: "Synced" });
  });

  it("makes two writes, the Secret and the status, sends no event, and another look writes nothing", async () => {
    await aws.putParameter({ name: "/twice", value: "v" });
    await world.sync();
    const audit = await AuditReader.from(cluster.auditLogPath);
    const mine = async () =>
      countRequests(
        (await audit.take()).filter(
          ({ userAgent, verb }) => userAgent.includes(world.namespace) && !["get", "list", "watch"].includes(verb),
        ),
      );
    await world.apply("twice", { data: [one("V", "/twice")] });
    await mine();
    await world.sync();
    expect(await mine()).toEqual({ "patch secrets": 1, "patch syncedsecrets/status": 1 });
    await world.sync();
    await world.pass(10 * minute);
    expect(await mine()).toEqual({});
  });

  it("names every missing parameter, and creates no partial Secret", async () => {
    await aws.putParameter({ name: "/partly/there", value: "v" });
    await world.apply("partly", {
      data: [one("A", "/partly/there"), one("B", "/partly/b"), one("C", "/partly/c")],
    });
    await world.sync();
    expect(await world.secret("partly")).toBeUndefined();
    const ready = await world.ready("partly");
    expect(ready).toMatchObject({ status: "False", reason: "ParameterNotFound" });
    expect(ready.message).toContain("data[1] (B): parameter /partly/b");
    expect(ready.message).toContain("data[2] (C): parameter /partly/c");
    await aws.putParameter({ name: "/partly/b", value: "v" });
    await aws.putParameter({ name: "/partly/c", value: "v" });
    await world.pass(6 * minute);
    expect(await world.data("partly")).toEqual({ A: "v", B: "v", C: "v" });
  });

  it("names a missing version and a missing label as such", async () => {
    await aws.putParameter({ name: "/selected", value: "v" });
    await world.apply("selected", {
      data: [
        { key: "A", parameter: { name: "/selected", version: 9 } },
        { key: "B", parameter: { name: "/selected", label: "prod" } },
      ],
    });
    await world.sync();
    const ready = await world.ready("selected");
    expect(ready.reason).toBe("VersionNotFound");
    expect(ready.message).toContain("has no version 9");
    expect(ready.message).toContain("has no label prod");
  });
});

describe("sources", () => {
  it("supports versions, labels, properties, encodings, optional entries and defaults", async () => {
    await aws.putParameter({
      name: "/src/db",
      type: "SecureString",
      value: '{"user":{"name":"shop"},"port":12345678901234567890}',
    });
    await aws.putParameter({ name: "/src/v", value: "one" });
    await aws.putParameter({ name: "/src/v", value: "two" });
    await aws.putParameter({ name: "/src/v", value: "three" });
    await aws.labelParameterVersion("/src/v", ["prod"], 2);
    await aws.putParameter({ name: "/src/b64", value: Buffer.from("bytes").toString("base64") });
    await world.apply("sources", {
      data: [
        { key: "USER", parameter: { name: "/src/db" }, jmesPath: "user.name" },
        { key: "PORT", parameter: { name: "/src/db" }, jmesPath: "port" },
        { key: "V1", parameter: { name: "/src/v", version: 1 } },
        { key: "PROD", parameter: { name: "/src/v", label: "prod" } },
        { key: "LATEST", parameter: { name: "/src/v" } },
        { key: "RAW", parameter: { name: "/src/b64" }, decode: "Base64" },
        { key: "MAYBE", parameter: { name: "/src/none" }, optional: true },
        { key: "ELSE", parameter: { name: "/src/nothing" }, default: "otherwise" },
      ],
    });
    await world.sync();
    expect(await world.data("sources")).toEqual({
      USER: "shop",
      PORT: "12345678901234567890",
      V1: "one",
      PROD: "two",
      LATEST: "three",
      RAW: "bytes",
      ELSE: "otherwise",
    });
    await aws.putParameter({ name: "/src/none", value: "now" });
    await world.pass(6 * minute);
    expect((await world.data("sources"))!.MAYBE).toBe("now");
  });

  it("supports paths and documents, and data overrides them", async () => {
    for (const [name, value] of Object.entries({
      "/tree/a": "1",
      "/tree/b": "2",
      "/tree/deep/c": "3",
      "/tree/skip": "4",
    })) {
      await aws.putParameter({ name, value });
    }
    await aws.putParameter({ name: "/env", value: '{"E1":"x","E2":7}' });
    await world.apply("many", {
      dataFrom: [
        { path: { name: "/tree", recursive: true, exclude: ["skip$"] }, rename: { case: "Upper" } },
        { parameter: { name: "/env" }, format: "JSON" },
      ],
      data: [one("E1", "/tree/a")],
    });
    await world.sync();
    expect(await world.data("many")).toEqual({ A: "1", B: "2", DEEP_C: "3", E1: "1", E2: "7" });
    await aws.putParameter({ name: "/tree/d", value: "5" });
    await world.pass(6 * minute);
    expect((await world.data("many"))!.D).toBe("5");
  });

  it("supports KMS blobs, opened once and not again while nothing changes", async () => {
    const keyId = await aws.createKey();
    const ciphertext = await aws.encrypt({ keyId, plaintext: "blob", context: { team: "shop" } });
    await world.apply("blob", { data: [{ key: "B", kms: { ciphertext, encryptionContext: { team: "shop" } } }] });
    await world.sync();
    expect(await world.data("blob")).toEqual({ B: "blob" });
    aws.resetCalls();
    await world.restart();
    await world.sync();
    expect(aws.count({ service: "kms" })).toBe(0);
  });

  it("supports templates", async () => {
    await aws.putParameter({ name: "/tpl/user", value: "u" });
    await world.apply("tpl", {
      data: [one("USER", "/tpl/user")],
      target: { template: { data: { "app.yaml": "user: {{ USER }}" } } },
    });
    await world.sync();
    expect(await world.data("tpl")).toEqual({ "app.yaml": "user: u" });
  });
});

describe("a change", () => {
  it("of a parameter reaches the Secret at the next poll, which decrypts nothing else", async () => {
    await aws.putParameter({ name: "/change/a", type: "SecureString", value: "old" });
    await aws.putParameter({ name: "/change/b", type: "SecureString", value: "same" });
    await world.apply("change", { data: [one("A", "/change/a"), one("B", "/change/b")] });
    await world.sync();
    const before = (await world.synced("change")).status!;
    await aws.putParameter({ name: "/change/a", type: "SecureString", value: "new" });
    await world.pass(6 * minute);
    expect((await world.data("change"))!.A).toBe("new");
    const after = (await world.synced("change")).status!;
    expect(after.revision).not.toBe(before.revision);
    expect(after.sources![0]).toMatchObject({ name: "/change/a", version: 2 });
  });

  it("of the spec removes keys and adds others, in one write", async () => {
    await aws.putParameter({ name: "/spec/a", value: "a" });
    await world.apply("spec", { data: [one("OLD", "/spec/a")] });
    await world.sync();
    await world.apply("spec", { data: [one("NEW", "/spec/a")] });
    await world.sync();
    expect(await world.data("spec")).toEqual({ NEW: "a" });
    expect((await world.ready("spec")).observedGeneration).toBe(2);
  });

  it("of the target's name writes the new Secret first and deletes the old one", async () => {
    await aws.putParameter({ name: "/rename", value: "v" });
    await world.apply("rename", { data: [one("V", "/rename")], target: { name: "rename-a" } });
    await world.sync();
    await world.apply("rename", { data: [one("V", "/rename")], target: { name: "rename-b" } });
    await world.sync();
    expect(await world.data("rename-b")).toEqual({ V: "v" });
    expect(await world.secret("rename-a")).toBeUndefined();
    await world.apply("rename", { data: [one("V", "/rename")], target: { name: "rename-a" } });
    await world.sync();
    expect(await world.data("rename-a")).toEqual({ V: "v" });
    expect(await world.secret("rename-b")).toBeUndefined();
  });

  it("requested by the refresh annotation is checked at once, and applied even without a difference", async () => {
    await aws.putParameter({ name: "/refresh", value: "old" });
    await world.apply("refresh", { data: [one("V", "/refresh")] });
    await world.sync();
    await aws.putParameter({ name: "/refresh", value: "new" });
    await world.kubectl(["annotate", "syncedsecret", "refresh", "keyferry.io/refresh=now"]);
    await world.sync();
    expect(await world.data("refresh")).toEqual({ V: "new" });
    expect((await world.synced("refresh")).status!.lastHandledRefresh).toBe("now");
    aws.resetCalls();
    await world.sync();
    expect(aws.count()).toBe(0);
  });
});

describe("suspend, Once and immutable", () => {
  it("suspend reads and writes nothing until it is removed", async () => {
    await aws.putParameter({ name: "/suspend", value: "v" });
    await world.apply("suspend", { suspend: true, data: [one("V", "/suspend")] });
    await world.sync();
    expect(await world.secret("suspend")).toBeUndefined();
    expect((await world.ready("suspend")).reason).toBe("Suspended");
    await world.apply("suspend", { suspend: false, data: [one("V", "/suspend")] });
    await world.sync();
    expect(await world.data("suspend")).toEqual({ V: "v" });
  });

  it("Once keeps the synced version, and restores it by its number after an edit", async () => {
    await aws.putParameter({ name: "/once", value: "first" });
    await world.apply("once", { data: [one("V", "/once")], refresh: { policy: "Once" } });
    await world.sync();
    await aws.putParameter({ name: "/once", value: "second" });
    await world.pass(20 * minute);
    expect(await world.data("once")).toEqual({ V: "first" });
    await world.kubectl(["patch", "secret", "once", "--patch", '{"data":{"V":"aGFja2Vk"}}']);
    await world.sync();
    expect(await world.data("once")).toEqual({ V: "first" });
    await world.kubectl(["delete", "secret", "once"]);
    await world.sync();
    expect(await world.data("once")).toEqual({ V: "first" });
    await world.apply("once", { data: [one("V", "/once"), one("W", "/once")], refresh: { policy: "Once" } });
    await world.sync();
    expect(await world.data("once")).toEqual({ V: "second", W: "second" });
  });

  it("a change to an immutable Secret is a conflict, and the Secret is kept", async () => {
    await aws.putParameter({ name: "/immutable", value: "v" });
    const spec = (key: string) => ({
      data: [one(key, "/immutable")],
      target: { immutable: true },
      refresh: { policy: "Once" as const },
    });
    await world.apply("immutable", spec("A"));
    await world.sync();
    expect((await world.secret("immutable"))!.immutable).toBe(true);
    await world.apply("immutable", spec("B"));
    await world.sync();
    expect(await world.data("immutable")).toEqual({ A: "v" });
    expect(await world.ready("immutable")).toMatchObject({ status: "False", reason: "SecretConflict" });
  });

  it("a type cannot change: the condition asks for a new name", async () => {
    await aws.putParameter({ name: "/type", value: "v" });
    await world.apply("type", { data: [one("username", "/type"), one("password", "/type")] });
    await world.sync();
    await world.apply("type", {
      data: [one("username", "/type"), one("password", "/type")],
      target: { type: "kubernetes.io/basic-auth" },
    });
    await world.sync();
    const ready = await world.ready("type");
    expect(ready.reason).toBe("SecretConflict");
    expect(ready.message).toContain("new target.name");
    const { status } = await world.synced("type");
    expect(status!.conditions!.find(({ type }) => type === "Stalled")?.status).toBe("True");
  });
});

describe("a deleted source", () => {
  const gone = async (name: string, whenMissing: "Retain" | "DeleteKeys" | "DeleteSecret") => {
    for (const key of ["a", "b"]) await aws.putParameter({ name: `/${name}/${key}`, value: key });
    await world.apply(name, { data: [one("A", `/${name}/a`), one("B", `/${name}/b`)], refresh: { whenMissing } });
    await world.sync();
    await aws.deleteParameter(`/${name}/b`);
    await world.pass(5 * minute);
    expect(await world.data(name), "within the grace nothing happens").toEqual({ A: "a", B: "b" });
    expect((await world.ready(name)).status).toBe("True");
    await world.pass(15 * minute, 20);
  };

  it("keeps its last bytes under Retain, also when another source changes", async () => {
    await gone("retain", "Retain");
    expect(await world.ready("retain")).toMatchObject({ status: "False", reason: "SourceGone" });
    await aws.putParameter({ name: "/retain/a", value: "changed" });
    await world.pass(6 * minute);
    expect(await world.data("retain")).toEqual({ A: "changed", B: "b" });
    await aws.putParameter({ name: "/retain/b", value: "back" });
    await world.pass(6 * minute);
    expect(await world.data("retain")).toEqual({ A: "changed", B: "back" });
    expect((await world.ready("retain")).status).toBe("True");
  });

  it("is removed under DeleteKeys", async () => {
    await gone("deletekeys", "DeleteKeys");
    expect(await world.data("deletekeys")).toEqual({ A: "a" });
    await world.restart();
    await world.sync();
    await world.pass(20 * minute, 20);
    expect(await world.data("deletekeys")).toEqual({ A: "a" });
  });

  it("deletes the Secret under DeleteSecret", async () => {
    await gone("deletesecret", "DeleteSecret");
    expect(await world.secret("deletesecret")).toBeUndefined();
    expect(await world.ready("deletesecret")).toMatchObject({ status: "False", reason: "SourceGone" });
  });

  it("is not a denial, a throttle or a timeout: the last good Secret is kept, and Ready until staleAfter", async () => {
    await aws.putParameter({ name: "/silence", value: "v" });
    await world.apply("silence", {
      data: [one("V", "/silence")],
      refresh: { whenMissing: "DeleteSecret", staleAfter: "30m" },
    });
    await world.sync();
    aws.fault({ operation: "GetParameter*", kind: "throttle" });
    await world.pass(20 * minute);
    expect((await world.ready("silence")).status).toBe("True");
    await world.pass(20 * minute);
    expect(await world.ready("silence")).toMatchObject({ status: "False", reason: "Throttled" });
    expect(await world.data("silence")).toEqual({ V: "v" });
    aws.clearFaults();
    await world.pass(20 * minute);
    expect((await world.ready("silence")).status).toBe("True");
    aws.deny({ parameter: "/silence" });
    await world.pass(20 * minute);
    const denied = await world.ready("silence");
    expect(denied).toMatchObject({ status: "False", reason: "AccessDenied" });
    expect(denied.message).toContain("ssm:GetParameters");
    expect(denied.message).toContain("arn:aws:ssm:eu-west-1:123456789012:parameter/silence");
    expect(await world.data("silence")).toEqual({ V: "v" });
  });
});
