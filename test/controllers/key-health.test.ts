import { SQS } from "@aws-sdk/client-sqs";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { importMaterial } from "../support/import-material.ts";
import { costsOf, nothing } from "./costs.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "key-health");
const { aws } = world;
const minute = 60_000;
const hour = 60 * minute;

afterEach(async () => {
  aws.allowAll();
  await world.kubectl(["delete", "syncedsecrets", "--all"]);
  await world.sync();
});

const kms = (operation: string, keyId: string, more: object = {}) =>
  aws.direct("kms", operation, { KeyId: keyId, ...more });
const under = async (keyId: string): Promise<SyncedSecretSpec> => ({
  data: [{ key: "B", kms: { ciphertext: await aws.encrypt({ keyId, plaintext: "p" }) } }],
});
const atRisk = async (name: string) => {
  const { status } = await world.synced(name);
  return status?.conditions?.find(({ type }) => type === "KeyAtRisk");
};
const deletionOf = async (key: string) => {
  await world.metrics.registry.metrics();
  return (await world.metrics.keyDeletion.get()).values.find(({ labels }) => labels.key === key)?.value;
};
const warnings = async (name: string) => {
  await world.engine.recorder.flush();
  const list = JSON.parse(await world.kubectl(["get", "events.v1.events.k8s.io", "-o", "json"])) as {
    items: { regarding: { name: string }; reason: string; type: string }[];
  };
  return list.items.filter(({ regarding }) => regarding.name === name).map(({ type, reason }) => `${type} ${reason}`);
};
const looks = () => aws.count({ operation: "DescribeKey" });

/** Creates a Secret of one blob under a key, and lets the key be found healthy. */
async function settled(name: string, key: string): Promise<void> {
  await world.apply(name, await under(key));
  await world.sync();
  await world.pass(6 * minute, 2);
  expect(await world.data(name)).toEqual({ B: "p" });
  expect(await atRisk(name)).toBeUndefined();
}

describe("reports before anything breaks, and until it is reverted, that a key", () => {
  const rows: [string, string, (key: string) => Promise<unknown>, (key: string) => Promise<unknown>, string][] = [
    [
      "will be deleted",
      "KeyPendingDeletion",
      (key) => kms("ScheduleKeyDeletion", key, { PendingWindowInDays: 7 }),
      (key) => kms("CancelKeyDeletion", key).then(() => kms("EnableKey", key)),
      "is pending deletion and will be deleted at 20",
    ],
    ["is disabled", "KeyDisabled", (key) => kms("DisableKey", key), (key) => kms("EnableKey", key), "is disabled"],
  ];
  it.each(rows.map((row, index) => [...row, `risk-${index}`] as const))(
    "%s",
    async (_, reason, breaks, mends, says, name) => {
      const key = await aws.createKey();
      await settled(name, key);
      const good = await world.secret(name);
      await breaks(key);
      await world.pass(hour, 2);
      expect(await atRisk(name)).toMatchObject({ status: "True", reason });
      expect((await atRisk(name))!.message).toContain(`the KMS key ${key} ${says}`);
      expect(await world.ready(name)).toMatchObject({ status: "True", reason: "Synced" });
      expect(await warnings(name)).toEqual([`Warning ${reason}`]);
      if (reason === "KeyPendingDeletion") expect(await deletionOf(key)).toBeGreaterThan(Date.now() / 1_000);
      await world.pass(3 * hour, 3);
      expect(await warnings(name)).toHaveLength(1);
      await mends(key);
      await world.pass(hour, 2);
      expect(await atRisk(name)).toBeUndefined();
      expect(await deletionOf(key)).toBeUndefined();
      expect(await world.secret(name)).toEqual(good);
      expect(aws.count({ operation: "Decrypt" })).toBeGreaterThan(0);
    },
  );

  it("has material that expires, and then none, until the same material is back", async () => {
    const key = await aws.createKey({ origin: "EXTERNAL" });
    const week = 7 * 24 * hour;
    const validTo = (fromNow: number) => Math.floor(world.clock.now() / 1_000) * 1_000 + fromNow;
    const material = await importMaterial(aws, key, validTo(week + 2 * hour));
    await settled("material", key);
    const good = await world.secret("material");
    await world.pass(3 * hour, 3);
    expect(await atRisk("material")).toMatchObject({ status: "True", reason: "KeyMaterialExpiring" });
    await kms("DeleteImportedKeyMaterial", key);
    await world.pass(hour, 1);
    expect(await atRisk("material")).toMatchObject({ status: "True", reason: "KeyMaterialMissing" });
    await importMaterial(aws, key, validTo(3 * week), material);
    await world.pass(hour, 1);
    expect(await atRisk("material")).toBeUndefined();
    expect(await world.secret("material")).toEqual(good);
  });
});

it("a key with a disconnected custom key store keeps the Secret, is reported in both conditions, and recovers by itself", async () => {
  const store = await aws.direct("kms", "CreateCustomKeyStore", { CustomKeyStoreName: "hsm" });
  const connect = (how: "Connect" | "Disconnect") => aws.direct("kms", `${how}CustomKeyStore`, store);
  await connect("Connect");
  const key = await aws.createKey({ store: store.CustomKeyStoreId as string });
  await settled("stored", key);
  const good = await world.secret("stored");
  await connect("Disconnect");
  await world.pass(hour, 2);
  expect(await atRisk("stored")).toMatchObject({ status: "True", reason: "KeyUnavailable" });
  expect((await atRisk("stored"))!.message).toContain(`the KMS key ${key} cannot be reached by KMS`);
  expect(await world.ready("stored")).toMatchObject({ status: "True", reason: "Synced" });
  // The change requires a decryption, which fails.
  await world.apply("stored", { ...(await world.synced("stored")).spec, target: { labels: { round: "1" } } });
  await world.sync();
  await world.pass(6 * minute, 2);
  expect(await world.ready("stored")).toMatchObject({ status: "False", reason: "KeyUnavailable" });
  expect((await world.ready("stored")).message).toContain(
    "data[0] (B): the KMS key of the ciphertext in eu-west-1 cannot be reached by KMS: connect its custom key store",
  );
  expect(await world.secret("stored")).toEqual(good);
  await world.restart();
  await world.pass(6 * minute, 2);
  expect(await world.secret("stored")).toEqual(good);

  await connect("Connect");
  // No intervention except in the key store.
  await world.pass(25 * hour, 2);
  expect(await world.ready("stored")).toMatchObject({ status: "True", reason: "Synced" });
  expect(await atRisk("stored")).toBeUndefined();
  expect(await world.secret("stored")).toMatchObject({ data: good!.data, metadata: { labels: { round: "1" } } });
});

describe("a key check", () => {
  it("costs one call per key and hour and no write, however many SyncedSecrets use the key", async () => {
    const key = await aws.createKey();
    for (const name of ["a", "b", "c"]) await settled(name, key);
    const costs = await costsOf(cluster, world);
    await world.pass(4 * hour, 8);
    expect(looks()).toBe(4);
    expect(await costs()).toMatchObject({ ...nothing, looks: 4 });
    await world.restart();
    await world.sync();
    await world.pass(30 * minute, 3);
    expect(looks()).toBe(1);
    expect(await costs()).toMatchObject({ ...nothing, looks: 1 });
  });

  it("that is denied reports nothing, and costs one call a day", async () => {
    aws.deny({ action: "kms:DescribeKey" });
    const key = await aws.createKey();
    aws.resetCalls();
    await settled("denied", key);
    await kms("DisableKey", key);
    const costs = await costsOf(cluster, world);
    await world.pass(10 * hour, 5);
    expect(await costs()).toEqual(nothing);
    expect(await atRisk("denied")).toBeUndefined();
    expect(world.lines.filter((line) => line.includes("allow kms:DescribeKey"))).toHaveLength(1);
  });

  it("not made yet by a new process keeps the previous report, and its result is reported", async () => {
    const key = await aws.createKey();
    await settled("kept", key);
    await kms("DisableKey", key);
    await world.pass(hour, 1);
    const said = await atRisk("kept");
    expect(said).toMatchObject({ reason: "KeyDisabled" });
    await world.restart();
    await world.sync();
    expect(await atRisk("kept")).toEqual(said);
    await kms("EnableKey", key);
    await world.pass(6 * minute, 1);
    expect(await atRisk("kept")).toBeUndefined();
  });

  it("covers every key of a Secret in a new process too, however many there are", async () => {
    const keys = await Promise.all(Array.from({ length: 30 }, () => aws.createKey()));
    const data = await Promise.all(
      keys.map(async (keyId, n) => ({
        key: `B${n}`,
        kms: { ciphertext: await aws.encrypt({ keyId, plaintext: "p" }) },
      })),
    );
    await world.apply("many", { data });
    await world.sync();
    expect((await world.synced("many")).status!.kmsKeys).toEqual([...keys].sort());
    await world.restart();
    await world.sync();
    const last = [...keys].sort().at(-1)!;
    await kms("DisableKey", last);
    await world.pass(6 * minute, 2);
    expect(await atRisk("many")).toMatchObject({ status: "True", reason: "KeyDisabled" });
    expect((await atRisk("many"))!.message).toContain(last);
  });

  it("ends when nothing uses the key", async () => {
    const [key, next] = [await aws.createKey(), await aws.createKey()];
    await settled("moved", key);
    await kms("DisableKey", key);
    await world.pass(hour, 1);
    expect(await atRisk("moved")).toMatchObject({ reason: "KeyDisabled" });
    await world.apply("moved", await under(next));
    await world.sync();
    expect(await atRisk("moved")).toBeUndefined();
    aws.resetCalls();
    await world.pass(2 * hour, 2);
    expect(looks()).toBeGreaterThan(0);
    await world.deleteSynced("moved");
    await world.sync();
    aws.resetCalls();
    await world.pass(2 * hour, 2);
    expect(looks()).toBe(0);
  });
});

describe("an event on the connection's queue triggers a check at once:", () => {
  it.each(["ScheduleKeyDeletion", "DisableKey", "DeleteImportedKeyMaterial"])(
    "CloudTrail's of %s",
    async (eventName) => {
      const queueUrl = await aws.createQueue(`keys-${eventName.toLowerCase()}`);
      const endpoints = { ssm: aws.url, kms: aws.url, sts: aws.url, sqs: aws.url };
      await world.makeConnection({ endpoints, events: { queueUrl } });
      const isImported = eventName === "DeleteImportedKeyMaterial";
      const key = await aws.createKey(isImported ? { origin: "EXTERNAL" } : {});
      if (isImported) await importMaterial(aws, key);
      const name = `event-${eventName.toLowerCase()}`;
      await settled(name, key);
      world.engine.events.begin();
      await kms(eventName, key);
      const sqs = new SQS(aws.config());
      const event = {
        source: "aws.kms",
        "detail-type": "AWS API Call via CloudTrail",
        account: aws.account,
        region: "eu-west-1",
        resources: [],
        detail: { eventSource: "kms.amazonaws.com", eventName, requestParameters: { keyId: key } },
      };
      await sqs.sendMessage({ QueueUrl: queueUrl, MessageBody: JSON.stringify(event) });
      await vi.waitFor(
        async () => {
          await world.sync();
          expect(await atRisk(name)).toMatchObject({ status: "True" });
        },
        { timeout: 20_000, interval: 200 },
      );
      sqs.destroy();
      await world.makeConnection();
      await world.sync();
    },
  );
});
