import { expect, it } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { costsOf } from "./costs.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const minute = 60_000;
const hour = 60 * minute;

/** On a busy machine a call that timed out is repeated; the counts here must not depend on that. */
async function patient(prefix: string) {
  const world = await makeWorld(cluster, prefix);
  world.callTimeoutMs = 60_000;
  await world.restart();
  return world;
}

it("50 blobs keep their Secrets while their key is denied, disabled and pending deletion, and recover by themselves", async () => {
  const world = await patient("key-outage");
  const { aws } = world;
  const names = Array.from({ length: 50 }, (_, n) => `r${n}`);
  const key = await aws.createKey();
  const kms = (operation: string) => aws.direct("kms", operation, { KeyId: key });
  const blobs = await Promise.all(names.map((name) => aws.encrypt({ keyId: key, plaintext: name })));
  const apply = (labels: Record<string, string>) =>
    Promise.all(
      names.map((name, n) =>
        world.apply(name, { data: [{ key: "B", kms: { ciphertext: blobs[n]!, keyId: key } }], target: { labels } }),
      ),
    );
  const all = async <T>(get: (name: string) => Promise<T>) => Promise.all(names.map(get));
  const readies = async () =>
    new Set((await all((name) => world.ready(name))).map(({ status, reason }) => `${status} ${reason}`));
  const risks = async () => {
    const conditions = (await all((name) => world.synced(name))).map(({ status }) => status!.conditions!);
    return new Set(conditions.map((some) => some.find(({ type }) => type === "KeyAtRisk")?.reason));
  };
  const says = async () => (await all((name) => world.ready(name))).map(({ message }) => message);

  await apply({ round: "0" });
  await world.sync();
  await world.pass(6 * minute, 1);
  expect(await readies()).toEqual(new Set(["True Synced"]));
  expect(aws.count({ operation: "Decrypt" })).toBe(50);

  const outages: [string, () => unknown, () => unknown, string, string, string | undefined][] = [
    [
      "the permission is removed",
      () => aws.deny({ action: "kms:*", key }),
      () => aws.allowAll(),
      "False AccessDenied",
      `may not kms:Decrypt on ${key}`,
      undefined,
    ],
    [
      "the key is disabled",
      () => kms("DisableKey"),
      () => kms("EnableKey"),
      "False KeyUnavailable",
      `the KMS key ${key} in eu-west-1 is disabled`,
      "KeyDisabled",
    ],
    [
      "the key is pending deletion",
      () => kms("ScheduleKeyDeletion"),
      () => kms("CancelKeyDeletion").then(() => kms("EnableKey")),
      "False KeyUnavailable",
      `the KMS key ${key} in eu-west-1 is pending deletion`,
      "KeyPendingDeletion",
    ],
  ];
  for (const [round, [what, breaks, mends, ready, message, risk]] of outages.entries()) {
    const good = await all((name) => world.secret(name));
    await breaks();
    // The dependants of the key are known already: nothing has to be decrypted.
    await world.pass(hour, 1);
    expect(await readies(), what).toEqual(new Set(["True Synced"]));
    expect(await risks(), what).toEqual(new Set([risk]));
    await apply({ round: String(round + 1) });
    await world.sync();
    await world.pass(6 * minute, 1);
    expect(await readies(), what).toEqual(new Set([ready]));
    for (const said of await says()) expect(said).toContain(message);
    expect(await all((name) => world.secret(name)), what).toEqual(good);
    await world.restart();
    await world.pass(6 * minute, 1);
    expect(await all((name) => world.secret(name)), what).toEqual(good);

    await mends();
    // No intervention except on the key.
    await world.pass(25 * hour, 2);
    expect(await readies(), what).toEqual(new Set(["True Synced"]));
    expect(await risks(), what).toEqual(new Set([undefined]));
    const after = await all((name) => world.secret(name));
    expect(after.map((secret) => secret!.data)).toEqual(good.map((secret) => secret!.data));
    expect(after.every((secret) => secret!.metadata.labels!.round === String(round + 1))).toBe(true);
  }
}, 240_000);

it("500 blobs are decrypted once, and a restart decrypts none", async () => {
  const world = await patient("many-blobs");
  const { aws } = world;
  const key = await aws.createKey();
  const resources = Array.from({ length: 50 }, (_, n) => `r${n}`);
  for (const name of resources) {
    const data = await Promise.all(
      Array.from({ length: 10 }, async (_, k) => ({
        key: `K${k}`,
        kms: { ciphertext: await aws.encrypt({ keyId: key, plaintext: `${name} ${k}` }), keyId: key },
      })),
    );
    await world.apply(name, { data });
  }
  await world.sync();
  await world.pass(2 * hour, 4);
  expect(aws.count({ operation: "Decrypt" })).toBe(500);
  expect(await world.data("r49")).toMatchObject({ K0: "r49 0", K9: "r49 9" });
  const costs = await costsOf(cluster, world);
  await world.restart();
  await world.sync();
  await world.pass(2 * hour, 4);
  expect(aws.count({ operation: "Decrypt" })).toBe(0);
  expect(await costs()).toMatchObject({ secretReads: 0, secretWrites: 0, statusWrites: 0, events: 0 });
}, 240_000);
