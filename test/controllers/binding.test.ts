import { afterEach, describe, expect, it } from "vitest";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import { boundPairs } from "../../src/ciphertexts/binding.ts";
import { clusterAWSConnections, type KubeObject } from "../../src/kube/resource.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { refused, steady } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "binding", { clusterName: "prod" });
const { aws, namespace } = world;
const minute = 60_000;

/** The next test has its own connection. */
afterEach(async () => {
  await world.kubectl(["delete", "syncedsecrets", "--all"]);
  await world.sync();
  aws.resetCalls();
});

const key = await aws.createKey();
const rsa = await aws.createKey({ spec: "RSA_2048" });
type Scope = "None" | "Namespace" | "Name";
type Blob = NonNullable<NonNullable<SyncedSecretSpec["data"]>[number]["kms"]>;

const team = { team: "shop" };
const pairs = (scope: Scope, name = "checkout", where = namespace, clusterName = "prod") =>
  Object.fromEntries(boundPairs(scope, clusterName, { namespace: where, name }));
const blob = async (context: Record<string, string>, more: Partial<Blob> = {}): Promise<SyncedSecretSpec> => {
  const ciphertext = await aws.encrypt({ keyId: key, plaintext: "p4ss", context: { ...team, ...context } });
  return { data: [{ key: "B", kms: { ciphertext, encryptionContext: team, ...more } }] };
};
/** A connection that lists no keys. */
const withoutKeys = async (binding?: object) => {
  const allow = { namespaces: { names: [namespace] }, parameters: ["/*"] };
  await world.makeConnection({ allow, ...(binding ? { binding } : {}) });
  await world.sync();
};
const bind = async (scope: Scope, more: object = {}) => {
  await world.makeConnection({ binding: { scope, ...more } });
  await world.sync();
};

describe("a blob with the encryption context that its connection's binding requires", () => {
  it.each(["Namespace", "Name"] as const)(
    "opens under the scope %s, and a new process changes nothing",
    async (scope) => {
      await bind(scope);
      await world.apply("checkout", await blob(pairs(scope)));
      await world.sync();
      expect(await world.data("checkout")).toEqual({ B: "p4ss" });
      await steady(world, "checkout");
      expect(aws.count({ operation: "Decrypt" })).toBe(1);
    },
  );

  it("opens for another SyncedSecret of the namespace under scope Namespace, but not under scope Name", async () => {
    await bind("Namespace");
    await world.apply("other", await blob(pairs("Namespace", "checkout")));
    await world.sync();
    expect(await world.data("other")).toEqual({ B: "p4ss" });
    await bind("Name");
    await world.apply("third", await blob(pairs("Name", "checkout")));
    await world.sync();
    const message = await refused(world, "third", "DecryptFailed", [
      "data[0] (B)",
      "binding is on",
      `keyferry.io/cluster=prod, keyferry.io/namespace=${namespace}, keyferry.io/name=third`,
    ]);
    expect(message).toContain("does not open here");
    expect(await world.secret("third")).toBeUndefined();
    await steady(world, "third");
  });
});

describe("a cluster connection without keyIds", () => {
  it("opens nothing without binding, and the message names the fields that allow it", async () => {
    await withoutKeys();
    aws.resetCalls();
    await world.apply("checkout", await blob({}));
    await world.sync();
    await refused(world, "checkout", "NotAllowed", ["data[0] (B)", "allow.keyIds", "binding.scope"]);
    expect(await world.secret("checkout")).toBeUndefined();
    expect(aws.count({ operation: "Decrypt" })).toBe(0);
    await bind("None");
    expect(await world.data("checkout")).toEqual({ B: "p4ss" });
  });

  it("opens bound blobs with binding", async () => {
    await withoutKeys({ scope: "Name" });
    await world.apply("checkout", await blob(pairs("Name")));
    await world.sync();
    expect(await world.data("checkout")).toEqual({ B: "p4ss" });
  });

  it("opens no unbound blob, even if binding.allowUnbound is true", async () => {
    await withoutKeys({ scope: "Name", allowUnbound: true });
    aws.resetCalls();
    await world.apply("checkout", await blob({}, { bound: false }));
    await world.sync();
    await refused(world, "checkout", "NotAllowed", ["data[0] (B)", "allow.keyIds"]);
    expect(await world.secret("checkout")).toBeUndefined();
    expect(aws.count({ operation: "Decrypt" })).toBe(0);
    await bind("Name", { allowUnbound: true });
    expect(await world.data("checkout")).toEqual({ B: "p4ss" });
  });
});

describe("a copied blob", () => {
  it.each([
    ["from another namespace", () => pairs("Name", "checkout", "elsewhere")],
    ["from another cluster", () => pairs("Name", "checkout", namespace, "staging")],
    ["from before there was binding", () => ({})],
    ["from a weaker binding", () => pairs("Namespace")],
  ])("%s does not open", async (_, context) => {
    await bind("Name");
    await world.apply("checkout", await blob(context()));
    await world.sync();
    await refused(world, "checkout", "DecryptFailed", ["binding is on", "keyferry.io/name=checkout"]);
    expect(await world.secret("checkout")).toBeUndefined();
  });
});

describe("an unbound blob", () => {
  it("opens only while the connection allows it, and its Secret is kept afterwards", async () => {
    await bind("Name", { allowUnbound: true });
    await world.apply("checkout", await blob({}, { bound: false }));
    await world.sync();
    expect(await world.data("checkout")).toEqual({ B: "p4ss" });
    const good = await world.secret("checkout");
    await bind("Name");
    await refused(world, "checkout", "NotAllowed", [
      "data[0] (B)",
      "bound: false",
      "allowUnbound",
      "keyferry.io/name=checkout",
    ]);
    expect(await world.secret("checkout")).toEqual(good);
    aws.resetCalls();
    await world.apply("checkout", await blob(pairs("Name")));
    await world.sync();
    expect(await world.ready("checkout")).toMatchObject({ status: "True" });
    expect(await world.data("checkout")).toEqual({ B: "p4ss" });
  });

  it("under an RSA key opens while allowed, and is otherwise refused before any KMS call", async () => {
    const algorithm = "RSAES_OAEP_SHA_256";
    const ciphertext = await aws.encrypt({ keyId: rsa, plaintext: "p", algorithm });
    const spec = (more: object) =>
      ({ data: [{ key: "B", kms: { ciphertext, keyId: rsa, algorithm, ...more } }] }) as SyncedSecretSpec;
    await bind("Namespace", { allowUnbound: true });
    await world.apply("rsa", spec({ bound: false }));
    await world.sync();
    expect(await world.data("rsa")).toEqual({ B: "p" });
    aws.resetCalls();
    await world.apply("rsa-bound", spec({}));
    await world.sync();
    await refused(world, "rsa-bound", "NotAllowed", ["data[0] (B)", algorithm, "has no encryption context"]);
    expect(aws.log()).toEqual([]);
  });
});

describe("when a connection's binding changes", () => {
  it("unbound sources are not read again", async () => {
    await aws.putParameter({ name: "/plain", value: "a" });
    await bind("None");
    await world.apply("plain", { data: [{ key: "A", parameter: { name: "/plain" } }] });
    await world.apply("checkout", await blob(pairs("Name"), {}));
    await world.sync();
    const revision = (await world.synced("plain")).status!.revision;
    aws.resetCalls();
    await bind("Name");
    await world.pass(6 * minute, 2);
    expect((await world.synced("plain")).status!.revision).toBe(revision);
    expect(aws.log().filter(({ decrypt }) => decrypt)).toEqual([]);
  });

  it("a blob opened unbound must be bound from then on, and its Secret is kept", async () => {
    await bind("None");
    await world.apply("checkout", await blob({}));
    await world.sync();
    const good = await world.secret("checkout");
    await bind("Namespace");
    await refused(world, "checkout", "DecryptFailed", ["binding is on"]);
    expect(await world.secret("checkout")).toEqual(good);
    await bind("None");
    expect(await world.ready("checkout")).toMatchObject({ status: "True" });
    expect(await world.secret("checkout")).toEqual(good);
  });
});

describe("a connection with binding", () => {
  it("reports a missing cluster name, and its SyncedSecrets wait for the name", async () => {
    await world.restart({ clusterName: "" });
    await bind("Name");
    const { status } = await world.client.get<KubeObject & { status: { conditions: object[] } }>(
      clusterAWSConnections,
      undefined,
      namespace,
    );
    expect(status.conditions).toContainEqual(
      expect.objectContaining({ type: "Ready", status: "False", reason: "ConnectionNotReady" }),
    );
    expect(JSON.stringify(status.conditions)).toContain("--cluster-name");
    await world.apply("checkout", await blob(pairs("Name")));
    await world.sync();
    await refused(world, "checkout", "ConnectionNotReady", ["spec.binding.scope Name", "--cluster-name"]);
    expect(aws.count({ service: "kms" })).toBe(0);
    await world.restart({ clusterName: "prod" });
    await world.sync();
    expect(await world.data("checkout")).toEqual({ B: "p4ss" });
  });
});
