import { afterEach, describe, expect, it, vi } from "vitest";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { holdTrue, one, refused, steady, type Trial } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "unavailable");
const { aws } = world;
const minute = 60_000;

afterEach(() => {
  aws.allowAll();
  aws.clearFaults();
});

const put = (name: string, value: string, more: object = {}) => aws.putParameter({ name, value, ...more });
const kms = (operation: string, keyId: string) => aws.direct("kms", operation, { KeyId: keyId });
const [key, switchedOff, dying, ofParameter] = await Promise.all(
  Array.from({ length: 4 }, () => aws.createKey()) as [
    Promise<string>,
    Promise<string>,
    Promise<string>,
    Promise<string>,
  ],
);
const blob = (plaintext: string, keyId = key) => aws.encrypt({ keyId, plaintext, context: { team: "shop" } });
const blobOf = (ciphertext: string, more: object = {}): SyncedSecretSpec => ({
  data: [{ key: "B", kms: { ciphertext, encryptionContext: { team: "shop" }, ...more } }],
});
const blobUnder = async (keyId: string) => blobOf(await blob("sesame", keyId), { keyId });

/** Flips a bit in the last byte of a ciphertext. */
function damaged(ciphertext: string): string {
  const bytes = Buffer.from(ciphertext, "base64");
  bytes[bytes.length - 1]! ^= 1;
  return bytes.toString("base64");
}

const trials: Record<string, Trial> = {
  "a blob under another context": {
    spec: blobOf(await blob("a")),
    holds: { B: "a" },
    breaks: async () => blobOf(await blob("sesame"), { encryptionContext: { team: "stock" } }),
    reason: "DecryptFailed",
    says: ["data[0] (B)", "the encryption context is wrong or the ciphertext is damaged"],
    mends: async () => blobOf(await blob("b")),
    becomes: { B: "b" },
  },
  "a damaged blob, with the same error as a wrong context": {
    spec: blobOf(await blob("a")),
    holds: { B: "a" },
    breaks: async () => blobOf(damaged(await blob("sesame"))),
    reason: "DecryptFailed",
    says: ["data[0] (B)", "the encryption context is wrong or the ciphertext is damaged"],
    mends: async () => blobOf(await blob("b")),
    becomes: { B: "b" },
  },
  "a message of the Encryption SDK instead of a blob": {
    spec: blobOf(await blob("a")),
    holds: { B: "a" },
    breaks: async () => blobOf(Buffer.from("020578".padEnd(800, "a1"), "hex").toString("base64")),
    reason: "InvalidData",
    says: ["data[0] (B)", "AWS Encryption SDK", "give it as encryptionSDK.ciphertext"],
    mends: async () => blobOf(await blob("b")),
    becomes: { B: "b" },
  },
  "a blob under a missing key": {
    spec: blobOf(await blob("a")),
    holds: { B: "a" },
    breaks: async () =>
      blobOf(await blob("sesame"), { keyId: key.replace(/key\/.*/, "key/00000000-0000-0000-0000-000000000000") }),
    reason: "KeyUnavailable",
    says: ["data[0] (B)", "key/00000000-0000-0000-0000-000000000000", "does not exist"],
    mends: async () => blobOf(await blob("b"), { keyId: key }),
    becomes: { B: "b" },
  },
  "a blob under a disabled key": {
    spec: blobOf(await blob("a")),
    holds: { B: "a" },
    breaks: async () => {
      const spec = await blobUnder(switchedOff);
      await kms("DisableKey", switchedOff);
      return spec;
    },
    reason: "KeyUnavailable",
    says: ["data[0] (B)", switchedOff, "is disabled"],
    mends: () => kms("EnableKey", switchedOff),
    becomes: { B: "sesame" },
  },
  "a blob under a key that is pending deletion": {
    spec: blobOf(await blob("a")),
    holds: { B: "a" },
    breaks: async () => {
      const spec = await blobUnder(dying);
      await kms("ScheduleKeyDeletion", dying);
      return spec;
    },
    reason: "KeyUnavailable",
    says: ["data[0] (B)", dying, "pending deletion"],
    mends: () => kms("CancelKeyDeletion", dying).then(() => kms("EnableKey", dying)),
    becomes: { B: "sesame" },
  },
  "a SecureString under a disabled key": {
    setUp: () => put("/secure", "a", { type: "SecureString", keyId: ofParameter }),
    spec: { data: [one("A", "/secure")] },
    holds: { A: "a" },
    breaks: async () => {
      await put("/secure", "sesame", { type: "SecureString", keyId: ofParameter });
      await kms("DisableKey", ofParameter);
    },
    reason: "KeyUnavailable",
    says: ["data[0] (A)", "/secure", "is disabled"],
    mends: () => kms("EnableKey", ofParameter),
    becomes: { A: "sesame" },
  },
  "a blob under a key that the caller may not use": {
    spec: blobOf(await blob("a")),
    holds: { B: "a" },
    breaks: async () => {
      aws.deny({ action: "kms:Decrypt" });
      return blobOf(await blob("sesame"), { keyId: key });
    },
    reason: "AccessDenied",
    says: ["data[0] (B)", "kms:Decrypt", key, "arn:aws:iam::123456789012:user/AKIAKEYFERRYTEST"],
    mends: async () => aws.allowAll(),
    becomes: { B: "sesame" },
  },
};

holdTrue(world, trials);

describe("is never taken for a deletion, even under whenMissing: DeleteSecret:", () => {
  const spec = (name: string): SyncedSecretSpec => ({
    data: [one("A", `/${name}/one/A`)],
    dataFrom: [{ path: { name: `/${name}/many` } }],
    refresh: { whenMissing: "DeleteSecret", staleAfter: "20m" },
  });
  const silences: [string, () => void, string, string][] = [
    ["throttling", () => aws.fault({ kind: "throttle" }), "Throttled", "AWS throttles ssm:"],
    ["an internal error of AWS", () => aws.fault({ kind: "500" }), "Unreachable", "a server error"],
    ["an unreachable service", () => aws.fault({ kind: "503" }), "Unreachable", "a server error"],
    ["a broken connection", () => aws.fault({ kind: "reset" }), "Unreachable", "cut the connection"],
    ["an endless list", () => aws.fault({ kind: "repeatToken" }), "Unreachable", "did not end"],
    [
      "a denial of the listing",
      () => aws.deny({ action: "ssm:GetParametersByPath" }),
      "AccessDenied",
      "ssm:GetParametersByPath",
    ],
    ["a denial of the parameter", () => aws.deny({ action: "ssm:GetParameter*" }), "AccessDenied", "ssm:GetParameters"],
  ];
  it.each(silences.map((silence, index) => [...silence, `silent-${index}`] as const))(
    "%s",
    async (_, fall, reason, says, name) => {
      await Promise.all([put(`/${name}/one/A`, "a"), put(`/${name}/many/B`, "b")]);
      await world.apply(name, spec(name));
      await world.sync();
      const good = await world.secret(name);
      expect(good!.data).toEqual({ A: "YQ==", B: "Yg==" });
      fall();
      await world.pass(60 * minute, 30);
      await refused(world, name, reason as never, [says]);
      expect(await world.secret(name)).toEqual(good);
      aws.allowAll();
      aws.clearFaults();
      await put(`/${name}/many/B`, "c");
      await world.pass(20 * minute);
      expect(await world.ready(name)).toMatchObject({ status: "True" });
      expect(await world.data(name)).toEqual({ A: "a", B: "c" });
      await world.deleteSynced(name);
      await world.sync();
    },
  );

  it("a call without an answer", async () => {
    await Promise.all([put("/hang/one/A", "a"), put("/hang/many/B", "b")]);
    await world.apply("hang", spec("hang"));
    await world.sync();
    const good = await world.secret("hang");
    world.callTimeoutMs = 1_000;
    await world.restart();
    await world.sync();
    const timeouts = () => world.lines.filter((line) => line.includes("TimeoutError")).length;
    aws.fault({ kind: "hang" });
    for (const tries of [2, 4]) {
      await world.pass(6 * minute);
      // The only real-time wait here: the second after which a call times out.
      await vi.waitFor(() => expect(timeouts()).toBeGreaterThanOrEqual(tries), { timeout: 30_000 });
    }
    await world.pass(20 * minute, 2);
    await refused(world, "hang", "Unreachable", ["did not answer in time"]);
    expect(await world.secret("hang")).toEqual(good);
    aws.clearFaults();
    await vi.waitFor(
      async () => {
        await world.pass(6 * minute);
        expect(await world.ready("hang")).toMatchObject({ status: "True" });
      },
      { timeout: 30_000 },
    );
    expect(await world.secret("hang")).toEqual(good);
    world.callTimeoutMs = 10_000;
    await world.restart();
  });

  it("an empty first page", async () => {
    await put("/page/many/B", "b");
    await world.apply("page", { ...spec("page"), data: [one("A", "/page/many/B")] });
    await world.sync();
    const good = await world.secret("page");
    aws.fault({ kind: "emptyPage", operation: "GetParametersByPath", times: 6 });
    aws.resetCalls();
    await world.pass(30 * minute);
    expect(aws.count({ operation: "GetParametersByPath" })).toBeGreaterThan(7);
    expect(await world.ready("page")).toMatchObject({ status: "True" });
    expect(await world.secret("page")).toEqual(good);
    await steady(world, "page");
  });

  it("a denied second look, after the first found it missing", async () => {
    await Promise.all([put("/second/one/A", "a"), put("/second/many/B", "b"), put("/second/many/C", "c")]);
    await world.apply("second", spec("second"));
    await world.sync();
    const good = await world.secret("second");
    aws.deny({ action: "ssm:GetParameter" });
    await Promise.all([aws.deleteParameter("/second/one/A"), aws.deleteParameter("/second/many/B")]);
    await world.pass(60 * minute);
    expect(await world.secret("second")).toEqual(good);
    await refused(world, "second", "AccessDenied", ["data[0] (A)", "ssm:GetParameter"]);
    await world.deleteSynced("second");
    await world.sync();
  });

  it.each(["DeleteSecret", "DeleteKeys"] as const)(
    "a version that AWS no longer keeps, under %s",
    async (whenMissing) => {
      const name = `purged-${whenMissing.toLowerCase()}`;
      await put(`/${name}`, "first");
      const data = [{ key: "A", parameter: { name: `/${name}`, version: 1 } }, one("B", `/${name}`)];
      await world.apply(name, { data, refresh: { whenMissing } });
      await world.sync();
      for (let version = 2; version <= 101; version++) await put(`/${name}`, "later");
      await world.pass(60 * minute);
      expect(await world.data(name)).toEqual({ A: "first", B: "later" });
      await refused(world, name, "SourceGone", ["data[0] (A)"]);
      await steady(world, name);
    },
  );

  it.each([
    ["region", { region: "us-east-1" }],
    ["account", { auth: { secretRef: { name: "other-account", namespace: world.namespace } } }],
  ])("a connection changed to another %s, which has none of the parameters", async (what, elsewhere) => {
    const name = `moved-${what}`;
    aws.identity("AKIAELSEWHERE", { account: "210987654321", arn: "arn:aws:iam::210987654321:user/elsewhere" });
    const literals = ["--from-literal=AWS_ACCESS_KEY_ID=AKIAELSEWHERE", "--from-literal=AWS_SECRET_ACCESS_KEY=x"];
    if (what === "account") await world.kubectl(["create", "secret", "generic", "other-account", ...literals]);
    await Promise.all([put(`/${name}/one/A`, "a"), put(`/${name}/many/B`, "b")]);
    await world.apply(name, spec(name));
    await world.sync();
    const good = await world.secret(name);
    await world.makeConnection(elsewhere);
    await world.pass(30 * minute);
    expect(await world.secret(name)).toEqual(good);
    await refused(world, name, "ParameterNotFound", [`/${name}/one/A`]);
    await world.restart();
    await world.pass(30 * minute);
    expect(await world.secret(name)).toEqual(good);
    await world.makeConnection();
    await world.pass(11 * minute);
    expect(await world.ready(name)).toMatchObject({ status: "True" });
    expect(await world.secret(name)).toEqual(good);
  });
});
