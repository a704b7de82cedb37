import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { secrets } from "../../src/kube/resource.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { pythonEncrypt } from "../emulator/encryption-sdk.ts";
import { makeCanary, traces } from "./canary.ts";
import { one } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "audit", { clusterName: "prod" });
const { aws, namespace } = world;
const canary = makeCanary();

interface Line {
  event: string;
  kind: string;
  source: string;
  selector?: string;
  version?: number;
  key?: string;
  reason?: string;
  code?: string;
  resources: string[];
  resourceCount: number;
  account?: string;
  caller?: string;
  region: string;
  requestId?: string;
}

const lines = () => world.audited.map((line) => JSON.parse(line) as Line);
const named = (name: string) => `${namespace}/${name}`;
const put = (name: string, value = canary.value) => aws.putParameter({ name, value, type: "SecureString" });
/** The decrypting calls by request id, as in CloudTrail. */
const trail = () =>
  new Map(
    [...aws.log({ decrypt: true }), ...aws.log({ operation: "Decrypt", via: "client" })].map((e) => [e.requestId!, e]),
  );

beforeEach(async () => {
  await world.sync();
  world.audited.length = 0;
  aws.resetCalls();
});
afterEach(() => {
  aws.allowAll();
  aws.clearFaults();
  expect(traces(world.audited.join(""), canary)).toEqual([]);
});

describe("the audit records each decrypting read", () => {
  it("with one line per parameter, and one request id for parameters read in one call", async () => {
    for (const name of ["/a/1", "/a/2", "/a/3"]) await put(name);
    await world.apply("three", { data: [one("A", "/a/1"), one("B", "/a/2"), one("C", "/a/3")] });
    await world.sync();
    expect(
      lines()
        .map(({ source }) => source)
        .sort(),
    ).toEqual(["/a/1", "/a/2", "/a/3"]);
    const [{ requestId } = {}] = lines();
    const { arn } = { arn: expect.stringMatching(/^arn:aws:iam::123456789012:/) };
    for (const line of lines()) {
      expect(line).toMatchObject({ event: "read", kind: "parameter", version: 1, resources: [named("three")] });
      expect(line).toMatchObject({ account: "123456789012", caller: arn, region: "eu-west-1", requestId });
    }
    expect([...trail().keys()]).toEqual([requestId]);
    expect(trail().get(requestId!)).toMatchObject({ names: expect.arrayContaining(["/a/1", "/a/2", "/a/3"]) });
  });

  it("with every SyncedSecret that requested it, including those served from the cache", async () => {
    await put("/shared");
    const all = Array.from({ length: 70 }, (_, i) => `shared-${i}`);
    await Promise.all(all.map((name) => world.apply(name, { data: [one("A", "/shared")] })));
    await world.sync();
    expect(trail().size).toBe(1);
    const [requestId] = trail().keys();
    for (const line of lines()) expect(line).toMatchObject({ source: "/shared", version: 1, requestId });
    expect(
      lines()
        .flatMap(({ resources }) => resources)
        .sort(),
    ).toEqual(all.map(named).sort());
    expect(lines().filter(({ event }) => event === "read").length).toBeGreaterThan(0);
    for (const line of lines()) if (line.event === "reuse") expect(line.resources).toHaveLength(1);
  });

  it("of a label and of a version, with the selector", async () => {
    await put("/labelled");
    await put("/labelled");
    await aws.direct("ssm", "LabelParameterVersion", { Name: "/labelled", Labels: ["prod"], ParameterVersion: 1 });
    await world.apply("selected", {
      data: [
        { key: "L", parameter: { name: "/labelled", label: "prod" } },
        { key: "V", parameter: { name: "/labelled", version: 2 } },
      ],
    });
    await world.sync();
    const seen = lines().map(({ source, selector, version }) => ({ source, selector, version }));
    expect(seen).toEqual(
      expect.arrayContaining([
        { source: "/labelled", selector: ":prod", version: 1 },
        { source: "/labelled", selector: ":2", version: 2 },
      ]),
    );
  });

  it("of a path, with every parameter that AWS decrypted, including excluded ones, by page", async () => {
    const names = Array.from({ length: 12 }, (_, i) => `/path/k${i}`);
    for (const name of names) await put(name);
    await world.apply("path", {
      dataFrom: [{ path: { name: "/path/", exclude: ["/path/k3"] }, rename: { stripPrefix: "/path/" } }],
    });
    await world.sync();
    expect(Object.keys((await world.data("path"))!)).not.toContain("k3");
    expect(
      lines()
        .map(({ source }) => source)
        .sort(),
    ).toEqual([...names].sort());
    expect(new Set(lines().map(({ requestId }) => requestId))).toEqual(new Set(trail().keys()));
    expect(trail().size).toBe(2);
  });

  it("of a blob, with its entry and the key that KMS used", async () => {
    const keyId = await aws.createKey();
    const ciphertext = await aws.encrypt({ keyId, plaintext: canary.value });
    await world.apply("blob", { data: [{ key: "LICENSE", kms: { ciphertext } }] });
    await world.sync();
    const [requestId] = trail().keys();
    expect(lines()).toEqual([
      expect.objectContaining({
        ...{ event: "read", kind: "blob", key: keyId, resources: [named("blob")], requestId },
        source: expect.stringContaining("LICENSE"),
      }),
    ]);
    expect(world.audited.join("")).not.toContain(ciphertext.slice(0, 24));
  });
});

it("audits a message of the Encryption SDK by the KMS calls for its data keys, including failed calls", async () => {
  const [off, on] = [await aws.createKey(), await aws.createKey()];
  const [ciphertext = ""] = await pythonEncrypt(aws.url, [{ plain: canary.value, keys: [off, on] }]);
  await aws.direct("kms", "DisableKey", { KeyId: off });
  aws.resetCalls();
  await world.apply("message", { data: [{ key: "M", encryptionSDK: { ciphertext, keyIds: [off, on] } }] });
  await world.sync();
  expect(await world.data("message")).toEqual({ M: canary.value });
  const about = { kind: "message", source: expect.stringContaining("(M)"), resources: [named("message")] };
  expect(lines()).toEqual([
    expect.objectContaining({ ...about, event: "fail", key: off, reason: "KeyUnavailable" }),
    expect.objectContaining({ ...about, event: "read", key: on }),
  ]);
  expect(lines().map(({ requestId }) => requestId)).toEqual([...trail().keys()]);
});

describe("the audit records a failed decryption", () => {
  it("with the reason, the AWS error code and the request id", async () => {
    for (const name of ["/mine", "/denied"]) await put(name);
    aws.deny({ parameter: "/denied" });
    await world.apply("denied", { data: [one("A", "/mine"), one("B", "/denied")] });
    await world.sync();
    const [fail] = lines().filter(({ event }) => event === "fail");
    expect(fail).toMatchObject({ source: "/denied", reason: "AccessDenied", code: "AccessDeniedException" });
    expect(fail!.resources).toEqual([named("denied")]);
    expect(trail().get(fail!.requestId!)).toMatchObject({ names: ["/denied"], error: "AccessDeniedException" });
  });

  it("even if there was nothing to decrypt", async () => {
    await world.apply("absent", { data: [one("A", "/absent")] });
    await world.sync();
    expect(lines()).toEqual([
      expect.objectContaining({ event: "fail", source: "/absent", reason: "ParameterNotFound" }),
    ]);
    expect(trail().get(lines()[0]!.requestId!)).toMatchObject({ names: ["/absent"] });
  });

  it("of a blob, with the requested key", async () => {
    const keyId = await aws.createKey();
    const ciphertext = await aws.encrypt({ keyId, plaintext: canary.value });
    await aws.direct("kms", "DisableKey", { KeyId: keyId });
    await world.apply("disabled", { data: [{ key: "A", kms: { ciphertext, keyId } }] });
    await world.sync();
    const [fail] = lines();
    expect(fail).toMatchObject({ event: "fail", kind: "blob", key: keyId, reason: "KeyUnavailable" });
    expect(trail().get(fail!.requestId!)).toMatchObject({ error: "DisabledException" });
  });
});

it("does not audit looks without decryption, nor a restart without changes", async () => {
  await put("/quiet");
  await world.apply("quiet", { data: [one("A", "/quiet")] });
  await world.sync();
  world.audited.length = 0;
  await world.pass(11 * 60_000);
  await world.restart();
  await world.pass(60_000);
  expect(aws.count({ operation: "GetParameters", decrypt: false })).toBeGreaterThan(0);
  expect(lines().filter(({ source }) => source === "/quiet")).toEqual([]);
});

it("audits a read by version number under Once with the version", async () => {
  await put("/once");
  await put("/once");
  await world.apply("once", { data: [one("A", "/once")], refresh: { policy: "Once" } });
  await world.sync();
  world.audited.length = 0;
  await world.client.delete(secrets, namespace, "once");
  await world.sync();
  expect(await world.data("once")).toEqual({ A: canary.value });
  expect(lines()).toEqual([
    expect.objectContaining({ event: "read", source: "/once", selector: ":2", version: 2, resources: [named("once")] }),
  ]);
});
