import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { pythonEncrypt } from "../emulator/encryption-sdk.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const minute = 60_000;
const world = await makeWorld(cluster, "messages", { clusterName: "prod" });
const { aws } = world;
const { namespace } = world;
const elsewhere = { region: "us-east-1" };

/** Keys and messages by purpose. The Python SDK makes all of them in one run. */
const keys = { one: "", two: "", other: "", primary: "" };
const message: Record<string, string> = {};

const pairs = (name: string, where = namespace) => ({
  "keyferry.io/cluster": "prod",
  "keyferry.io/namespace": where,
  "keyferry.io/name": name,
});

beforeAll(async () => {
  keys.one = await aws.createKey();
  keys.two = await aws.createKey();
  keys.other = await aws.createKey({}, { account: "999999999999" });
  keys.primary = await aws.createKey({ multiRegion: true }, elsewhere);
  await aws.direct("kms", "ReplicateKey", { KeyId: keys.primary, ReplicaRegion: "eu-west-1" }, elsewhere);
  const wanted = {
    plain: { plain: "the value", keys: [keys.one], context: { team: "shop" } },
    unsigned: { plain: "unsigned", keys: [keys.one], suite: 0x0478 },
    unframed: { plain: "unframed", keys: [keys.one], frameLength: 0 },
    large: { plain: "x".repeat(900_000), keys: [keys.one] },
    dotenv: { plain: "USER=shop\nPASSWORD='p w'\n", keys: [keys.one] },
    json: { plain: '{"user":"shop","port":12345678901234567890}', keys: [keys.one] },
    both: { plain: "both", keys: [keys.one, keys.two] },
    replicated: { plain: "replicated", keys: [keys.primary] },
    foreign: { plain: "foreign", keys: [keys.other] },
    uncommitted: { plain: "old", keys: [keys.one], suite: 0x0378, committed: false },
    mine: { plain: "mine", keys: [keys.one], context: pairs("bound") },
    astray: { plain: "astray", keys: [keys.one], context: { ...pairs("astray"), "keyferry.io/cluster": "other" } },
    stolen: { plain: "stolen", keys: [keys.one], context: pairs("owner", "bank") },
  };
  const made = await pythonEncrypt(aws.url, Object.values(wanted));
  for (const [at, name] of Object.keys(wanted).entries()) message[name] = made[at]!;
}, 60_000);

afterEach(() => {
  aws.allowAll();
  aws.clearFaults();
});

const decrypts = () => aws.count({ service: "kms", operation: "Decrypt" });
const entry = (key: string, ciphertext: string, more: object = {}) => ({
  key,
  encryptionSDK: { ciphertext, keyIds: [keys.one], ...more },
});

/** Applies a SyncedSecret of these entries, and returns its result. */
async function outcome(name: string, data: object[], more: object = {}) {
  await world.apply(name, { data: data as never, ...more });
  await world.sync();
  return { ready: await world.ready(name), data: await world.data(name) };
}

describe("messages of the Python SDK", () => {
  it("open, signed or not, framed or not, and are not opened again while nothing changes", async () => {
    aws.resetCalls();
    const { ready, data } = await outcome("plain", [
      entry("A", message.plain!, { encryptionContext: { team: "shop" } }),
      entry("B", message.unsigned!),
      entry("C", message.unframed!),
    ]);
    expect(ready).toMatchObject({ status: "True", reason: "Synced" });
    expect(data).toEqual({ A: "the value", B: "unsigned", C: "unframed" });
    expect(decrypts()).toBe(3);
    await world.restart();
    await world.sync();
    await world.pass(20 * minute);
    expect(decrypts()).toBe(3);
  });

  it("fill several keys by their format, and a part of one by jmesPath", async () => {
    const dataFrom = [
      { encryptionSDK: { ciphertext: message.dotenv!, keyIds: [keys.one] }, format: "Dotenv" as const },
    ];
    const { data } = await outcome("formats", [{ ...entry("PORT", message.json!), jmesPath: "port" }], { dataFrom });
    expect(data).toEqual({ USER: "shop", PASSWORD: "p w", PORT: "12345678901234567890" });
  });

  it("may be nearly as large as a Secret", async () => {
    const { ready, data } = await outcome("large", [entry("A", message.large!)]);
    expect(ready.reason).toBe("Synced");
    expect(data!.A).toHaveLength(900_000);
  });

  it("open by the second key if the first is denied, and report both if neither opens", async () => {
    aws.deny({ action: "kms:Decrypt", key: keys.one });
    const keyIds = [keys.one, keys.two];
    expect((await outcome("both", [entry("A", message.both!, { keyIds })])).data).toEqual({ A: "both" });
    await aws.direct("kms", "DisableKey", { KeyId: keys.two });
    const { ready } = await outcome("neither", [entry("A", message.both!, { keyIds })]);
    await aws.direct("kms", "EnableKey", { KeyId: keys.two });
    expect(ready).toMatchObject({ status: "False", reason: "AccessDenied" });
    expect(ready.message).toContain(`may not kms:Decrypt on ${keys.one}`);
    expect(ready.message).toContain(`the KMS key ${keys.two} in eu-west-1 is disabled`);
    aws.allowAll();
    await world.pass(30 * minute);
    expect(await world.data("neither")).toEqual({ A: "both" });
  });

  it("open by the replica in the connection's region, without a cross-region call", async () => {
    aws.resetCalls();
    const { data } = await outcome("replica", [entry("A", message.replicated!, { keyIds: [keys.primary] })]);
    expect(data).toEqual({ A: "replicated" });
    expect(aws.log({ service: "kms" }).map(({ region }) => region)).toEqual(["eu-west-1"]);
  });

  it("are throttled, then open", async () => {
    aws.fault({ operation: "kms:Decrypt", kind: "throttle", times: 2 });
    expect((await outcome("throttled", [entry("A", message.unsigned!)])).data).toEqual({ A: "unsigned" });
  });
});

describe("a connection", () => {
  const discovered = (key: string, ciphertext: string) => ({ key, encryptionSDK: { ciphertext } });
  const allow = (more: object) => ({
    allow: { namespaces: { names: [namespace] }, parameters: ["/*"], keyIds: ["*"], ...more },
  });

  it("allows messages to name their keys only if enabled, and only keys of its accounts", async () => {
    const refused = await outcome("discover", [discovered("A", message.plain!)]);
    expect(refused.ready).toMatchObject({ status: "False", reason: "NotAllowed" });
    expect(refused.ready.message).toContain("data[0] (A): encryptionSDK.keyIds is required");
    await world.makeConnection(allow({ discovery: { accounts: [] } }));
    await world.sync();
    expect(await world.data("discover")).toEqual({ A: "the value" });
    const { ready } = await outcome("undiscovered", [discovered("A", message.foreign!)]);
    expect(ready.reason).toBe("NotAllowed");
    expect(ready.message).toContain(`under ${keys.other}, and allow.discovery`);
    await world.makeConnection(allow({ discovery: { accounts: ["999999999999"] } }));
    await world.sync();
    expect(await world.data("undiscovered")).toEqual({ A: "foreign" });
  });

  it("with keyIds opens messages under no other key", async () => {
    await world.makeConnection(allow({ keyIds: [keys.two], discovery: { accounts: [] } }));
    await world.sync();
    aws.resetCalls();
    expect((await outcome("listed", [entry("A", message.plain!)])).ready.reason).toBe("NotAllowed");
    expect((await outcome("found", [discovered("A", message.plain!)])).ready.reason).toBe("NotAllowed");
    expect(decrypts()).toBe(0);
    expect((await outcome("two", [discovered("A", message.both!)])).data).toEqual({ A: "both" });
    await world.makeConnection();
    await world.sync();
  });

  it("with binding opens messages bound to this SyncedSecret only, and names the owner of others", async () => {
    await world.makeConnection({ binding: { scope: "Name" } });
    await world.sync();
    aws.resetCalls();
    expect((await outcome("bound", [entry("A", message.mine!)])).data).toEqual({ A: "mine" });
    const copied = await outcome("copied", [entry("A", message.mine!)]);
    expect(copied.ready).toMatchObject({ status: "False", reason: "ContextMismatch" });
    expect(copied.ready.message).toContain(`is bound to cluster prod, namespace ${namespace}, name bound`);
    const unbound = await outcome("unbound", [entry("A", message.plain!)]);
    expect(unbound.ready.reason).toBe("ContextMismatch");
    expect(unbound.ready.message).toContain("is not bound");
    expect((await outcome("free", [entry("A", message.plain!, { bound: false })])).ready.reason).toBe("NotAllowed");
    expect(decrypts()).toBe(1);
    await world.makeConnection({ binding: { scope: "Name", allowUnbound: true } });
    await world.sync();
    expect(await world.data("free")).toEqual({ A: "the value" });
    await world.makeConnection();
    await world.sync();
  });

  it("without binding does not open a message bound to another SyncedSecret", async () => {
    const { ready } = await outcome("stolen", [entry("A", message.stolen!)]);
    expect(ready).toMatchObject({ status: "False", reason: "ContextMismatch" });
    expect(ready.message).toContain("is bound to cluster prod, namespace bank, name owner");
  });

  it("without binding does not open a message bound to another cluster", async () => {
    const { ready } = await outcome("astray", [entry("A", message.astray!)]);
    expect(ready).toMatchObject({ status: "False", reason: "ContextMismatch" });
    expect(ready.message).toContain("is bound to cluster other");
  });
});

describe("bad input", () => {
  const blob = Buffer.from([1, 2, 2, 0, 120, 9]).toString("base64");
  const cases: [string, () => object, string, string][] = [
    ["a blob of KMS", () => ({ ciphertext: blob }), "InvalidData", "give it as kms.ciphertext"],
    [
      "a message truncated in its header",
      () => ({ ciphertext: message.plain!.slice(0, 100) }),
      "InvalidData",
      "is cut off",
    ],
    ["a truncated message", () => ({ ciphertext: message.large!.slice(0, 40_000) }), "DecryptFailed", "cut off"],
    [
      "a message without key commitment",
      () => ({ ciphertext: message.uncommitted! }),
      "InvalidData",
      "does not commit",
    ],
    ["no base64", () => ({ ciphertext: "....AgV4" }), "InvalidData", "is not base64"],
    ["another key's", () => ({ ciphertext: message.plain!, keyIds: [keys.two] }), "DecryptFailed", "names none"],
    [
      "only a key of another Region",
      () => ({ ciphertext: message.plain!, keyIds: [keys.one.replace("eu-west-1", "us-east-1")] }),
      "KeyUnavailable",
      "no key of encryptionSDK.keyIds can be used in eu-west-1",
    ],
    [
      "only a key of another partition",
      () => ({ ciphertext: message.plain!, keyIds: [keys.one.replace("arn:aws:", "arn:aws-cn:")] }),
      "KeyUnavailable",
      "no key of encryptionSDK.keyIds can be used in eu-west-1",
    ],
    [
      "another encryption context",
      () => ({ ciphertext: message.plain!, encryptionContext: { team: "bank" } }),
      "ContextMismatch",
      'another value of "team"',
    ],
  ];

  it("gives distinct errors, and keeps the last good Secret", async () => {
    await outcome("bad", [entry("A", message.plain!)]);
    for (const [what, broken, reason, says] of cases) {
      const { ready, data } = await outcome("bad", [entry("A", "", broken())]);
      expect([what, ready.status, ready.reason]).toEqual([what, "False", reason]);
      expect(ready.message).toContain("data[0] (A): ");
      expect(ready.message).toContain(says);
      expect(data).toEqual({ A: "the value" });
    }
    expect((await outcome("bad", [entry("A", message.unsigned!)])).data).toEqual({ A: "unsigned" });
  });

  it("puts no value and no key into a log line, a status or an event", async () => {
    const text = world.lines.join("\n");
    for (const secret of ["the value", "unsigned", "p w", "x".repeat(100)]) expect(text).not.toContain(secret);
  });
});

it("disabling and enabling a key loses and changes no Secret", async () => {
  const { data } = await outcome("states", [entry("A", message.plain!)]);
  const before = (await world.secret("states"))!.metadata.resourceVersion;
  await aws.direct("kms", "DisableKey", { KeyId: keys.one });
  await world.pass(30 * minute);
  expect((await world.secret("states"))!.metadata.resourceVersion).toBe(before);
  const broken = await outcome("states", [entry("A", message.plain!), entry("B", message.unsigned!)]);
  expect(broken.ready).toMatchObject({ status: "False", reason: "KeyUnavailable" });
  expect(broken.data).toEqual(data);
  await aws.direct("kms", "EnableKey", { KeyId: keys.one });
  await world.pass(30 * minute);
  expect(await world.data("states")).toEqual({ A: "the value", B: "unsigned" });
});
