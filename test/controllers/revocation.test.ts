import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import { EngineRig } from "../support/engine.ts";

/**
 * A source revoked while 400 SyncedSecrets wait at one request a second is no longer read or written a second later.
 */

const count = 400;
let rig: EngineRig;

const names = Array.from({ length: count }, (_, n) => `s${n}`);
const cluster = (changes: object = {}): object => ({
  region: "eu-west-1",
  auth: { secretRef: { name: "aws", namespace: "shop" } },
  allow: { namespaces: { names: ["shop"] }, parameters: ["/a/*", "/b/*", "/c/*"], keyIds: ["*"] },
  limits: { ssmRequestsPerSecond: 1, kmsRequestsPerSecond: 1 },
  ...changes,
});
const from = (prefix: string, name: string, changes: object = {}): SyncedSecretSpec => ({
  connectionRef: { kind: "ClusterAWSConnection", name: "c" },
  data: [{ key: "K", parameter: { name: `${prefix}/${name}` } }],
  ...changes,
});

beforeEach(async () => {
  rig = new EngineRig();
  rig.namespace("shop", { team: "shop" });
  rig.credentials.set("shop/aws", "AKIASHOP");
  for (const prefix of ["/a", "/b", "/c"]) for (const name of names) rig.aws.put(`${prefix}/${name}`, "value");
});
afterEach(() => rig.stop());

async function begin(spec: (name: string) => SyncedSecretSpec = (name) => from("/a", name), connection = cluster()) {
  rig.connection(undefined, "c", connection);
  rig.start();
  await rig.pass(200);
  for (const name of names) rig.synced("shop", name, spec(name));
  await rig.pass(4_000);
  expect(rig.secretsAfter(0).length).toBeGreaterThan(10);
  expect(rig.secretsAfter(0).length).toBeLessThan(100);
}

/** Each removes a precondition of 400 waiting SyncedSecrets that read `/a`. */
const revocations: Record<string, () => void> = {
  "allow.namespaces is narrowed": () =>
    rig.connection(undefined, "c", cluster({ allow: { namespaces: { names: ["other"] }, parameters: ["/a/*"] } })),
  "allow.parameters is narrowed": () =>
    rig.connection(
      undefined,
      "c",
      cluster({ allow: { namespaces: { names: ["shop"] }, parameters: ["/b/*"], keyIds: ["*"] } }),
    ),
  "they are suspended": () => {
    for (const name of names) rig.synced("shop", name, from("/a", name, { suspend: true }));
  },
  "the connection is deleted": () => rig.deleteConnection(undefined, "c"),
  "the credentials are deleted": () => {
    rig.credentials.delete("shop/aws");
    rig.engine.connections.secretChanged("shop", "aws");
  },
  "they are deleted": () => {
    for (const name of names) rig.deleteSynced("shop", name);
  },
  "their specs name other sources": () => {
    for (const name of names) rig.synced("shop", name, from("/b", name));
  },
};

describe.each(Object.keys(revocations))("once %s", (kind) => {
  const isMoved = kind === "their specs name other sources";
  /** Checks that nothing forbidden is read or written later than a second after an instant. */
  const expectNothing = (at: number) => {
    const asked = rig.askedAfter(at + 1_000).filter((name) => !isMoved || !name.startsWith("/b/"));
    expect(asked).toEqual([]);
    if (!isMoved) expect(rig.secretsAfter(at)).toEqual([]);
  };

  it("no parameter is read and no Secret is written later than a second", async () => {
    await begin();
    const at = rig.clock.monotonic();
    revocations[kind]!();
    await rig.pass(60_000);
    expectNothing(at);
    if (isMoved) expect(new Set(rig.secretsAfter(at)).size).toBe(count);
  });

  it("no further page of a path is requested", async () => {
    await begin(
      (name) => from("/a", name, { data: undefined, dataFrom: [{ path: { name: "/a", recursive: true } }] }),
      {
        ...cluster(),
        limits: { ssmRequestsPerSecond: 5, kmsRequestsPerSecond: 5 },
      },
    ).catch(() => {});
    const at = rig.clock.monotonic();
    expect(rig.askedAfter(0).length).toBeGreaterThan(10);
    revocations[kind]!();
    await rig.pass(20_000);
    expectNothing(at);
  });

  it("no parameter is polled or described any more", async () => {
    await begin(
      (name) => from("/a", name),
      cluster({ pollInterval: "60s", limits: { ssmRequestsPerSecond: 50 } }),
    ).catch(() => {});
    await rig.pass(30_000);
    expect(new Set(rig.secretsAfter(0)).size).toBe(count);
    const at = rig.clock.monotonic();
    revocations[kind]!();
    await rig.pass(150_000);
    expectNothing(at);
  });
});

describe("a read that several wait for", () => {
  const allow = (...namespaces: string[]) =>
    cluster({ allow: { namespaces: { names: namespaces }, parameters: ["/*"] } });

  it("is made for those that may still read it, and written for no other", async () => {
    rig.connection(undefined, "c", allow("shop", "other"));
    rig.start();
    await rig.pass(200);
    for (const name of names.slice(0, 100)) {
      rig.synced("shop", name, from("/a", name));
      rig.synced("other", name, from("/a", name));
    }
    await rig.pass(2_000);
    const at = rig.clock.monotonic();
    rig.connection(undefined, "c", allow("other"));
    await rig.pass(20_000);
    const written = rig.secretsAfter(at);
    expect(written.filter((key) => key.startsWith("shop/"))).toEqual([]);
    expect(new Set(rig.secretsAfter(0).filter((key) => key.startsWith("other/"))).size).toBe(100);
  });
});

it("no Secret is created if its SyncedSecret is deleted while AWS holds the answer, even with Orphan", async () => {
  rig.connection(undefined, "c", cluster());
  rig.start();
  await rig.pass(200);
  rig.aws.fault = () => new Promise((resolve) => rig.clock.setTimer(resolve, 3_000));
  rig.synced("shop", "s0", from("/a", "s0", { target: { creationPolicy: "Orphan" } }));
  await rig.pass(1_000);
  expect(rig.askedAfter(0)).toEqual(["/a/s0"]);
  rig.deleteSynced("shop", "s0");
  await rig.pass(10_000);
  expect(rig.writes).toEqual([]);
});

it("a queued write does not start once it is revoked", async () => {
  let isHeld = true;
  rig.holdWrite = () => new Promise((resolve) => rig.clock.setTimer(resolve, isHeld ? 1_500 : 0));
  rig.connection(undefined, "c", cluster({ limits: { ssmRequestsPerSecond: 1_000 } }));
  rig.start();
  await rig.pass(200);
  for (const name of names) rig.synced("shop", name, from("/a", name));
  await rig.pass(2_000);
  const at = rig.clock.monotonic();
  const before = rig.secretsAfter(0).length;
  expect(before).toBeLessThan(count / 2);
  revocations["allow.parameters is narrowed"]!();
  isHeld = false;
  await rig.pass(30_000);
  expect(rig.secretsAfter(at)).toEqual([]);
});

it("no blob is opened any more", async () => {
  const ciphertext = Buffer.from(`\u0001\u0002${"x".repeat(60)}`).toString("base64");
  const keyId = "arn:aws:kms:eu-west-1:123456789012:key/11111111-1111-1111-1111-111111111111";
  const allow = { namespaces: { names: ["shop"] }, parameters: ["/a/*"], keyIds: [keyId] };
  rig.connection(undefined, "c", cluster({ allow }));
  rig.start();
  await rig.pass(200);
  for (const name of names) {
    rig.synced("shop", name, from("/a", name, { data: [{ key: "K", kms: { ciphertext, keyId } }] }));
  }
  await rig.pass(4_000);
  expect(rig.askedAfter(0)).not.toEqual([]);
  const at = rig.clock.monotonic();
  rig.connection(undefined, "c", cluster({ allow: { ...allow, keyIds: [] } }));
  await rig.pass(60_000);
  expect(rig.askedAfter(at + 1_000)).toEqual([]);
  expect(rig.secretsAfter(at)).toEqual([]);
});

it("work in progress is not restarted when a connection allows more", async () => {
  await begin();
  rig.connection(
    undefined,
    "c",
    cluster({ allow: { namespaces: { names: ["more", "shop"] }, parameters: ["/a/*", "/more/*"], keyIds: ["*"] } }),
  );
  await rig.pass(60_000);
  expect(new Set(rig.secretsAfter(0)).size).toBe(count);
  expect(rig.aws.calls.flatMap((call) => call.names)).toHaveLength(count);
});

it("a namespace that loses its label is revoked, and granted again with it", async () => {
  await begin(
    (name) => from("/a", name),
    cluster({
      allow: { namespaces: { selector: { matchLabels: { team: "shop" } } }, parameters: ["/a/*"] },
    }),
  );
  const at = rig.clock.monotonic();
  rig.namespace("shop", { team: "none" });
  await rig.pass(20_000);
  expect(rig.askedAfter(at + 1_000)).toEqual([]);
  expect(rig.secretsAfter(at)).toEqual([]);
  rig.namespace("shop", { team: "shop", more: "labels" });
  await rig.pass(60_000);
  expect(new Set(rig.secretsAfter(0)).size).toBe(count);
});
