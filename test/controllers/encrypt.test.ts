import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { keyferry, loggedIn } from "../cli/run.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { pythonDecrypt, pythonEncrypt } from "../emulator/encryption-sdk.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "encrypt", { clusterName: "prod" });
const { aws, namespace } = world;
const folder = await mkdtemp(join(tmpdir(), "keyferry-encrypt-"));
removeAtEnd(folder);
const keys = { one: "", two: "", rsa: "", sign: "", curve: "", primary: "" };
const secret = "hunter2 of the shop";

beforeAll(async () => {
  keys.one = await aws.createKey({ alias: "alias/shop" });
  keys.two = await aws.createKey();
  keys.rsa = await aws.createKey({ spec: "RSA_2048", usage: "ENCRYPT_DECRYPT" });
  keys.sign = await aws.createKey({ spec: "RSA_2048", usage: "SIGN_VERIFY" });
  keys.curve = await aws.createKey({ spec: "ECC_NIST_P256", usage: "SIGN_VERIFY" });
  keys.primary = await aws.createKey({ multiRegion: true }, { region: "us-east-1" });
  await aws.direct("kms", "ReplicateKey", { KeyId: keys.primary, ReplicaRegion: "eu-west-1" }, { region: "us-east-1" });
  const { PublicKey } = await aws.direct("kms", "GetPublicKey", { KeyId: keys.rsa });
  await writeFile(join(folder, "rsa.b64"), `${PublicKey}\n`);
  const curve = await aws.direct("kms", "GetPublicKey", { KeyId: keys.curve });
  await writeFile(join(folder, "curve.b64"), `${curve.PublicKey}`);
  await writeFile(join(folder, "tls.key"), secret);
});

const run = (command: string, args: string[], input: string | Uint8Array = secret) =>
  keyferry([command, ...args, "--allow-insecure-endpoints"], { input, env: loggedIn(aws.url), cwd: folder });

/** A manifest with the connection of this test. */
function connected(manifest: string): string {
  const object = parse(manifest) as { metadata: object; spec: object };
  const connectionRef = { kind: "ClusterAWSConnection", name: namespace };
  const metadata = { namespace, ...object.metadata };
  return stringify({ ...object, metadata, spec: { connectionRef, ...object.spec } }, { lineWidth: 0 });
}

async function applied(name: string, manifest: string): Promise<Record<string, string> | undefined> {
  await world.kubectl(["apply", "-f", "-"], connected(manifest));
  await world.sync();
  const ready = await world.ready(name);
  expect([ready.reason, ready.message]).toEqual(["Synced", expect.any(String)]);
  return world.data(name);
}

describe("the operator opens what keyferry encrypt makes", () => {
  it.each<[string, () => string[]]>([
    ["blob", () => ["--key", keys.one]],
    ["alias", () => ["--key", "alias/shop", "--region", "eu-west-1", "--context", "team=shop"]],
    ["rsa", () => ["--key", keys.rsa, "--algorithm", "RSAES_OAEP_SHA_1"]],
    ["offline", () => ["--key", keys.rsa, "--public-key", "rsa.b64"]],
    ["message", () => ["--key", keys.one, "--encryption-sdk", "--context", "team=shop"]],
    ["messages", () => ["--key", keys.primary, "--key", keys.two, "--encryption-sdk"]],
  ])("%s", async (name, args) => {
    aws.resetCalls();
    const made = await run("encrypt", [...args(), "--manifest", name, "--data-key", "PW"]);
    expect(made).toMatchObject({ code: 0, err: "" });
    if (name === "offline") expect(aws.log()).toEqual([]);
    expect(await applied(name, made.out)).toEqual({ PW: secret });
  });

  it("from a file, as a list entry named after the file", async () => {
    const { code, out } = await run("encrypt", ["tls.key", "--key", keys.one], "");
    expect(code).toBe(0);
    expect(parse(out)).toEqual([{ key: "tls.key", kms: { ciphertext: expect.any(String), keyId: keys.one } }]);
    await world.apply("entry", { data: parse(out) as never });
    await world.sync();
    expect(await world.data("entry")).toEqual({ "tls.key": secret });
  });

  it("from a value too large for KMS, as a message, which the Python SDK opens too", async () => {
    const large = "x".repeat(100_000);
    const args = ["--key", keys.one, "--encryption-sdk", "--context", "team=shop", "--data-key", "PW"];
    const { out } = await run("encrypt", args, large);
    const [{ encryptionSDK }] = parse(out) as [{ encryptionSDK: { ciphertext: string; keyIds: string[] } }];
    const read = await pythonDecrypt(aws.url, encryptionSDK.ciphertext, encryptionSDK.keyIds);
    expect(read.plain).toBe(large);
    expect(read.context).toMatchObject({ team: "shop" });
  });

  it("bound to one SyncedSecret only, as blob and message", async () => {
    await world.makeConnection({ binding: { scope: "Name" } });
    await world.sync();
    const bind = ["--bind", `${namespace}/mine`, "--cluster-name", "prod", "--data-key", "PW", "--manifest", "mine"];
    for (const how of [[], ["--encryption-sdk"]]) {
      const { out, err } = await run("encrypt", ["--key", keys.one, ...how, ...bind]);
      expect(err).toBe("");
      expect(out).not.toContain("keyferry.io/cluster");
      expect(await applied("mine", out)).toEqual({ PW: secret });
      await world.kubectl(["apply", "-f", "-"], connected(out.replace("name: mine", "name: copied")));
      await world.sync();
      expect((await world.ready("copied")).reason).toMatch(how.length > 0 ? "ContextMismatch" : "DecryptFailed");
    }
    await world.makeConnection();
    await world.sync();
  });
});

describe("keyferry encrypt", () => {
  it.each<[string, () => string[], string | Uint8Array, number, string]>([
    ["an argument that is a value", () => [secret, "--key", keys.one], "", 2, "a value is never an argument"],
    ["two arguments", () => ["tls.key", secret, "--key", keys.one], "", 2, "a value is never an argument"],
    ["a flag as a value", () => ["--key", keys.one, `--value=${secret}`], "", 2, "a value is never an argument"],
    ["a flag and a value", () => ["--key", keys.one, "--value", secret], "", 2, "a value is never an argument"],
    ["nothing", () => ["--key", keys.one], "", 1, "the value is empty"],
    [
      "a value too large for KMS",
      () => ["--key", keys.one],
      "x".repeat(4_097),
      1,
      "KMS encrypts 4096 bytes at most; use --encryption-sdk",
    ],
    [
      "a value too large for the RSA key",
      () => ["--key", keys.rsa, "--public-key", "rsa.b64"],
      "x".repeat(191),
      1,
      "2048 bits encrypts 190 bytes at most",
    ],
    [
      "a value too large for any RSA key",
      () => ["--key", keys.rsa, "--algorithm", "RSAES_OAEP_SHA_1"],
      "x".repeat(471),
      1,
      "encrypts 470 bytes at most",
    ],
    [
      "a value too large for a Secret",
      () => ["--key", keys.one, "--encryption-sdk"],
      "x".repeat(1_040_001),
      1,
      "longer than the 1040000 bytes",
    ],
    [
      "an invalid public key",
      () => ["--key", keys.rsa, "--public-key", "tls.key"],
      secret,
      1,
      "the key of --public-key is no public key",
    ],
    [
      "a public key that is not RSA",
      () => ["--key", keys.curve, "--public-key", "curve.b64"],
      secret,
      1,
      "is of the kind ec, which cannot encrypt",
    ],
    [
      "no public key",
      () => ["--key", keys.rsa, "--public-key", "none"],
      secret,
      1,
      "--public-key is not a readable file",
    ],
    [
      "a signing key",
      () => ["--key", keys.sign, "--algorithm", "RSAES_OAEP_SHA_256"],
      secret,
      1,
      "use a key for encryption",
    ],
    [
      "a symmetric key for RSA",
      () => ["--key", keys.one, "--algorithm", "RSAES_OAEP_SHA_256"],
      secret,
      1,
      "does not make RSAES_OAEP_SHA_256",
    ],
    ["a key that is not there", () => ["--key", "alias/none", "--region", "eu-west-1"], secret, 1, "does not exist"],
    [
      "a message with a missing key",
      () => ["--key", keys.one, "--key", "alias/none", "--region", "eu-west-1", "--encryption-sdk"],
      secret,
      1,
      "alias/none in eu-west-1 does not exist",
    ],
    ["no region", () => ["--key", "alias/shop"], secret, 2, "no AWS region is set"],
  ])("refuses %s in one line without the value", async (_, args, input, code, says) => {
    const withKey = args().includes("tls.key") && args()[0] === "tls.key" ? [] : ["--data-key", "PW"];
    const made = await run("encrypt", [...args(), ...withKey], input);
    expect(made.err).toContain(says);
    expect(made).toMatchObject({ code, out: "" });
    expect(made.err.trim().split("\n")).toHaveLength(1);
    expect(made.err + made.out).not.toContain("hunter2");
  });

  it("uses the environment's endpoint only with the flag", async () => {
    aws.resetCalls();
    const args = ["encrypt", "--key", keys.one, "--data-key", "PW"];
    // A region that does not exist: AWS itself must not be called.
    const nowhere = keys.one.replace("eu-west-1", "xx-none-1");
    const { code } = await keyferry([...args.slice(0, 2), nowhere, ...args.slice(3)], {
      input: secret,
      env: loggedIn(aws.url),
    });
    expect([code, aws.log()]).toEqual([1, []]);
  }, 20_000);

  it("warns of a trailing line break, and keeps it", async () => {
    const { code, err, out } = await run("encrypt", ["--key", keys.one, "--data-key", "PW"], "value\n");
    expect(code).toBe(0);
    expect(err).toContain("the value ends with a line break");
    await world.apply("broken", { data: parse(out) as never });
    await world.sync();
    expect(await world.data("broken")).toEqual({ PW: "value\n" });
  });
});

describe("keyferry reencrypt", () => {
  const blob = async (name: string, context: object = {}, keyId: string | undefined = keys.one) => ({
    key: name,
    kms: {
      ciphertext: await aws.encrypt({ keyId: keys.one, plaintext: name, context: context as Record<string, string> }),
      ...(keyId ? { keyId } : {}),
      ...(Object.keys(context).length > 0 ? { encryptionContext: context } : {}),
    },
  });
  const manifest = (name: string, data: object[]) =>
    `# Comments stay.\n${stringify(
      { apiVersion: "keyferry.io/v1alpha1", kind: "SyncedSecret", metadata: { name, namespace }, spec: { data } },
      { lineWidth: 0 },
    )}`;

  it("moves blobs without a plaintext, and lists what it leaves", async () => {
    const message = { key: "M", encryptionSDK: { ciphertext: "AgV4", keyIds: [keys.one] } };
    const rsa = { key: "R", kms: { ciphertext: "AAAA", keyId: keys.rsa, algorithm: "RSAES_OAEP_SHA_256" } };
    const before = manifest("moved", [await blob("A"), await blob("B", { team: "shop" }, ""), rsa, message]);
    aws.resetCalls();
    const { code, out, err } = await run("reencrypt", ["--to-key", keys.two], before);
    expect(code).toBe(1);
    expect(err).toMatch(/not moved, since KMS cannot move them: moved data\[2\] \(R\); moved data\[3\] \(M\)\n$/);
    expect(aws.calls({ service: "kms" }).map(({ operation, count }) => [operation, count])).toEqual([["ReEncrypt", 2]]);
    expect(err).toContain(`moved data[0] (A): moved from ${keys.one} to ${keys.two}`);
    expect(err).toContain("data[2] (R): left as it is: RSAES_OAEP_SHA_256");
    expect(err).toContain("data[3] (M): left as it is: a message authenticates its data keys");
    expect(out.startsWith("# Comments stay.\n")).toBe(true);
    const { spec } = parse(out) as { spec: { data: object[] } };
    expect(spec.data.slice(2)).toEqual([rsa, message]);
    expect(spec.data[0]).toMatchObject({ kms: { keyId: keys.two } });
    await aws.direct("kms", "DisableKey", { KeyId: keys.one });
    await world.apply("moved", { data: spec.data.slice(0, 2) as never });
    await world.sync();
    await aws.direct("kms", "EnableKey", { KeyId: keys.one });
    expect(await world.data("moved")).toEqual({ A: "A", B: "B" });
  });

  it("does not move a message that has a data key under the target key", async () => {
    const [ciphertext] = await pythonEncrypt(aws.url, [{ plain: "v", keys: [keys.one, keys.two] }]);
    const entry = { key: "M", encryptionSDK: { ciphertext: ciphertext!, keyIds: [keys.one, keys.two] } };
    const before = manifest("message", [entry]);
    expect(await run("reencrypt", ["--to-key", keys.two], before)).toMatchObject({ code: 0, out: before });
    expect(await run("reencrypt", ["--to-key", keys.rsa], before)).toMatchObject({ code: 1 });
  });

  it("skips blobs under the target key, except with --force", async () => {
    const before = manifest("same", [await blob("A"), await blob("B", {}, "")]);
    expect(await run("reencrypt", ["--to-key", keys.one], before)).toMatchObject({ code: 0, out: before });
    const forced = await run("reencrypt", ["--to-key", keys.one, "--force"], before);
    expect(forced.out).not.toBe(before);
    expect(forced.err.match(/moved from/g)).toHaveLength(2);
  });

  it("binds unbound blobs, keeps bound ones, and writes files in place", async () => {
    const file = join(folder, "bound.yaml");
    const data = [{ key: "A", kms: { ...(await blob("A")).kms, bound: false } }, await blob("B")];
    await writeFile(file, manifest("rebound", data));
    const bind = ["--bind", "Name", "--cluster-name", "prod", "--in-place", file];
    expect(await run("reencrypt", ["--to-key", keys.two, ...bind], "")).toMatchObject({ code: 0, out: "" });
    const once = await readFile(file, "utf8");
    expect(once).not.toContain("bound: false");
    const again = await run("reencrypt", ["--to-key", keys.two, ...bind], "");
    expect(again.err.match(/is under that key already/g)).toHaveLength(2);
    expect(await readFile(file, "utf8")).toBe(once);
    await world.makeConnection({ binding: { scope: "Name" } });
    await world.sync();
    expect(await applied("rebound", once)).toEqual({ A: "A", B: "B" });
    await world.makeConnection();
    await world.sync();
    const unbound = await run("reencrypt", ["--to-key", keys.one, file], "");
    expect(unbound).toMatchObject({ code: 1, out: "" });
    expect(unbound.err).toContain("if it is bound, give --bind and --cluster-name");
    expect(unbound.err).toContain("nothing was written");
  });

  it("writes no file if one blob cannot be moved, and names the blob", async () => {
    const files = ["well.yaml", "damaged.yaml"];
    const damaged = { key: "B", kms: { ciphertext: "AQICAHh=", keyId: keys.one } };
    const before = [manifest("well", [await blob("A")]), manifest("damaged", [await blob("A"), damaged])];
    for (const [n, file] of files.entries()) await writeFile(join(folder, file), before[n]!);
    const ran = await run("reencrypt", ["--to-key", keys.two, "--in-place", ...files], "");
    expect(ran).toMatchObject({ code: 1, out: "" });
    expect(ran.err).toContain(
      "nothing was written, since these could not be moved: damaged.yaml: damaged data[1] (B)\n",
    );
    expect(await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")))).toEqual(before);
  });

  it("preserves JSON, UTF-16 and anchors", async () => {
    const data = [await blob("A"), await blob("B")];
    const json = `${JSON.stringify(parse(manifest("json", data)), undefined, "\t")}\n`;
    const anchored = manifest("anchored", [await blob("A", {}, "")]).replace(/ciphertext: (\S+)/, "ciphertext: *blob");
    const wide = `x-blob: &blob ${await aws.encrypt({ keyId: keys.one, plaintext: "A" })}\r\n${anchored}`;
    await writeFile(join(folder, "o.json"), json);
    await writeFile(join(folder, "wide.yaml"), Buffer.from(`\uFEFF${wide}`, "utf16le"));
    const ran = await run("reencrypt", ["--to-key", keys.two, "--in-place", "o.json", "wide.yaml"], "");
    expect(ran).toMatchObject({ code: 0, out: "" });
    const after = await readFile(join(folder, "o.json"), "utf8");
    const { spec } = JSON.parse(after) as { spec: { data: { kms: { ciphertext: string } }[] } };
    const [a, b] = spec.data.map(({ kms }) => kms.ciphertext) as [string, string];
    const old = data.map(({ kms }) => kms.ciphertext) as [string, string];
    expect(after).toBe(json.replace(old[0], a).replace(old[1], b).replaceAll(keys.one, keys.two));
    const text = (await readFile(join(folder, "wide.yaml"))).toString("utf16le");
    const moved = /blob (\S+)/.exec(text)![1]!;
    expect(text).toBe(`\uFEFF${wide.replace(/(?<=blob )\S+/, moved)}`);
    const opened = await aws.direct("kms", "Decrypt", { CiphertextBlob: moved });
    expect(opened).toMatchObject({ KeyId: keys.two, Plaintext: Buffer.from("A").toString("base64") });
  });

  it("moves a blob under the key that the manifest's alias pointed to before", async () => {
    const alias = "alias/moves";
    await aws.direct("kms", "CreateAlias", { AliasName: alias, TargetKeyId: keys.one });
    const text = manifest("aliased", [await blob("A", {}, alias)]);
    await aws.direct("kms", "UpdateAlias", { AliasName: alias, TargetKeyId: keys.two });
    const { code, err } = await run("reencrypt", ["--to-key", alias, "--region", "eu-west-1"], text);
    expect({ code, err }).toEqual({ code: 0, err: `aliased data[0] (A): moved from ${keys.one} to ${keys.two}\n` });
  });

  it.each<[string, string[], string, number, string]>([
    ["no key", [], "", 2, "--to-key"],
    ["an invalid key", ["--to-key", "a b"], "", 2, "--to-key must be a KMS key's ARN"],
    ["an invalid scope", ["--to-key", "k", "--bind", "x", "--cluster-name", "c"], "", 2, "--bind must be"],
    ["a scope without a cluster name", ["--to-key", "k", "--bind", "Name"], "", 2, "go together"],
    ["two files to print", ["--to-key", "k", "a", "b"], "", 2, "several files need --in-place"],
    ["a missing file", ["--to-key", "k", "none"], "", 1, "none cannot be read: no such file"],
    ["a directory", ["--to-key", "k", "."], "", 1, ". cannot be read: it is a directory"],
    ["a text without a blob", ["--to-key", "k"], "kind: ConfigMap", 1, "nothing found in -: "],
    ["an empty text", ["--to-key", "k"], "", 1, "nothing found in -: "],
    [
      "the values of a chart",
      ["--to-key", "k"],
      "ciphertext: AQIC",
      1,
      "line 1: this ciphertext is not in an entry of a Synced",
    ],
    ["invalid YAML", ["--to-key", "k"], "a: hunter2: [", 1, "- is not valid YAML: line 1"],
  ])("refuses %s", async (_, args, input, code, says) => {
    const made = await run("reencrypt", args, input);
    expect(made).toMatchObject({ code, out: "", err: expect.stringContaining(says) });
    expect(made.err).not.toContain("hunter2");
  });
});
