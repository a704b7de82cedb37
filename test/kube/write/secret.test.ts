import { afterAll, describe, expect, test } from "vitest";
import { type KubeObject, secrets } from "../../../src/kube/resource.ts";
import { coOwners, ownedBy } from "../../../src/kube/write/managed-fields.ts";
import {
  applySecret,
  conditional,
  deleteSecret,
  removeFields,
  type SecretIntent,
  type Written,
} from "../../../src/kube/write/secret.ts";
import { sharedCluster } from "../../cluster/shared.ts";
import { connect } from "../client/connect.ts";

const cluster = await sharedCluster();
const { client, connection } = connect(cluster);
afterAll(() => connection.close());

type Secret = KubeObject & { data?: Record<string, string>; type?: string };

const base64 = (text: string) => Buffer.from(text).toString("base64");

const ours = "keyferry";
const absent = { state: "absent" } as const;

function intent(namespace: string, data: Record<string, string>, name = "checkout"): SecretIntent {
  const encoded = Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)]));
  return { apiVersion: "v1", kind: "Secret", metadata: { namespace, name }, type: "Opaque", data: encoded };
}

async function live(namespace: string, name = "checkout") {
  const secret = await client.get<Secret>(secrets, namespace, name);
  const data = Object.entries(secret.data ?? {}).map(([key, text]) => [key, Buffer.from(text, "base64").toString()]);
  return { metadata: secret.metadata, data: Object.fromEntries(data), type: secret.type };
}

const there = ({ uid, resourceVersion }: Written) => ({ state: "present", uid, resourceVersion }) as const;

async function create(namespace: string, data: Record<string, string>): Promise<Written> {
  const object = intent(namespace, data);
  const result = await applySecret(client, { object, expect: absent, fieldManager: ours, force: true });
  if (result.outcome !== "written") throw new Error(`not written: ${result.outcome}`);
  return result;
}

describe("applying a Secret that is expected to be absent", () => {
  test("creates it, and returns its version", async () => {
    const namespace = await cluster.freshNamespace("secret");
    const result = await create(namespace, { a: "1", ["__proto__"]: "own" });
    const now = await live(namespace);
    expect(Object.entries(now.data)).toEqual([
      ["__proto__", "own"],
      ["a", "1"],
    ]);
    expect(result).toMatchObject({ uid: now.metadata.uid, resourceVersion: now.metadata.resourceVersion });
    expect(ownedBy(result.managedFields, ours)?.data).toEqual(new Set(["a", "__proto__"]));
  });

  test.each([
    ["equal keys", { password: "stranger" }],
    ["disjoint keys", { other: "stranger" }],
    ["no keys", {}],
  ])("does not change another owner's Secret with %s created in the meantime", async (_, data) => {
    const namespace = await cluster.freshNamespace("secret");
    const literals = Object.entries(data).map(([key, value]) => `--from-literal=${key}=${value}`);
    for (const force of [true, false]) {
      await cluster.run(["delete", "secret", "checkout", "-n", namespace, "--ignore-not-found"]);
      const looked = client.get(secrets, namespace, "checkout", { metadataOnly: true });
      await expect(looked).rejects.toMatchObject({ kind: "notFound" });
      await cluster.run(["create", "secret", "generic", "checkout", "-n", namespace, ...literals]);
      const before = await live(namespace);
      const object = intent(namespace, { password: "ours" });
      const result = await applySecret(client, { object, expect: absent, fieldManager: ours, force });
      expect(result).toEqual({ outcome: "lookAgain" });
      expect(await live(namespace)).toEqual(before);
      expect(before.data).toEqual(data);
    }
  });
});

describe("applying a Secret that is expected to be present", () => {
  test("replaces the whole intent, and removes keys that are no longer sent", async () => {
    const namespace = await cluster.freshNamespace("secret");
    const first = await create(namespace, { a: "1", b: "2" });
    const object = intent(namespace, { b: "3" });
    const second = await applySecret(client, { object, expect: there(first), fieldManager: ours, force: true });
    expect(second).toMatchObject({ outcome: "written", uid: first.uid });
    expect((await live(namespace)).data).toEqual({ b: "3" });
  });

  test("does not overwrite a newer decision with an older one of the same uid", async () => {
    const namespace = await cluster.freshNamespace("secret");
    const first = await create(namespace, { a: "version 1" });
    const write = (text: string) =>
      applySecret(client, {
        object: intent(namespace, { a: text }),
        expect: there(first),
        fieldManager: ours,
        force: true,
      });
    expect(await write("version 3")).toMatchObject({ outcome: "written" });
    expect(await write("version 2")).toEqual({ outcome: "lookAgain" });
    expect((await live(namespace)).data).toEqual({ a: "version 3" });
  });

  test("writes nothing if the Secret was deleted and re-created", async () => {
    const namespace = await cluster.freshNamespace("secret");
    const first = await create(namespace, { a: "ours" });
    await cluster.run(["delete", "secret", "checkout", "-n", namespace]);
    await cluster.run(["create", "secret", "generic", "checkout", "-n", namespace, "--from-literal=a=stranger"]);
    const { resourceVersion } = (await live(namespace)).metadata;
    const object = intent(namespace, { a: "ours" });
    for (const expect_ of [there(first), { ...there(first), resourceVersion: resourceVersion! }]) {
      const result = await applySecret(client, { object, expect: expect_, fieldManager: ours, force: true });
      expect(result).toEqual({ outcome: "lookAgain" });
    }
    expect((await live(namespace)).data).toEqual({ a: "stranger" });
  });

  test("creates nothing if the Secret was deleted in the meantime", async () => {
    const namespace = await cluster.freshNamespace("secret");
    const first = await create(namespace, { a: "1" });
    await cluster.run(["delete", "secret", "checkout", "-n", namespace]);
    const object = intent(namespace, { a: "2" });
    const result = await applySecret(client, { object, expect: there(first), fieldManager: ours, force: true });
    expect(result).toEqual({ outcome: "lookAgain" });
    await expect(live(namespace)).rejects.toMatchObject({ kind: "notFound" });
  });

  test("without force reports the conflicting field and manager, and writes nothing", async () => {
    const namespace = await cluster.freshNamespace("secret");
    await cluster.run(["create", "secret", "generic", "checkout", "-n", namespace, "--from-literal=a=stranger"]);
    const before = await live(namespace);
    const { uid, resourceVersion } = before.metadata;
    const expect_ = { state: "present", uid: uid!, resourceVersion: resourceVersion! } as const;
    const object = intent(namespace, { a: "ours", b: "ours" });
    const result = await applySecret(client, { object, expect: expect_, fieldManager: "keyferry-uid", force: false });
    expect(result).toEqual({ outcome: "fieldConflict", conflicts: [{ manager: "kubectl-create", field: ".data.a" }] });
    expect(await live(namespace)).toEqual(before);
  });

  test("throws other errors, such as an immutable type", async () => {
    const namespace = await cluster.freshNamespace("secret");
    const first = await create(namespace, { "tls.crt": "1", "tls.key": "canary-7f3a" });
    const object = { ...intent(namespace, { "tls.crt": "1", "tls.key": "canary-7f3a" }), type: "kubernetes.io/tls" };
    const write = applySecret(client, { object, expect: there(first), fieldManager: ours, force: true });
    await expect(write).rejects.toMatchObject({ kind: "invalid", causes: [{ field: "type" }] });
    await expect(write).rejects.not.toThrow(/canary/);
  });
});

describe("removing fields", () => {
  test("removes one manager's keys, and keeps those of co-owners and other managers", async () => {
    const namespace = await cluster.freshNamespace("secret");
    await cluster.run(["create", "secret", "generic", "checkout", "-n", namespace, "--from-literal=theirs=1"]);
    const put = async (fieldManager: string, data: Record<string, string>) => {
      const { uid, resourceVersion } = (await live(namespace)).metadata;
      const expect_ = { state: "present", uid: uid!, resourceVersion: resourceVersion! } as const;
      const { type: _, ...object } = intent(namespace, data);
      const result = await applySecret(client, { object, expect: expect_, fieldManager, force: false });
      expect(result.outcome).toBe("written");
      return result as Written;
    };
    await put("keyferry-one", { mine: "1", shared: "same" });
    const seen = await put("keyferry-two", { shared: "same" });
    expect(coOwners(seen.managedFields, "keyferry-one").map(({ manager, data }) => [manager, ...data])).toEqual([
      ["keyferry-two", "shared"],
      ["kubectl-create", "theirs"],
    ]);
    const swept = await removeFields(client, { namespace, name: "checkout" }, seen, "keyferry-one");
    expect(swept.outcome).toBe("written");
    expect((await live(namespace)).data).toEqual({ shared: "same", theirs: "1" });
    expect(ownedBy((swept as Written).managedFields, "keyferry-one")).toBeUndefined();
  });

  test("does not change a Secret that has changed since the decision", async () => {
    const namespace = await cluster.freshNamespace("secret");
    const seen = await create(namespace, { a: "1" });
    await cluster.run(["label", "secret", "checkout", "-n", namespace, "touched=yes"]);
    expect(await removeFields(client, { namespace, name: "checkout" }, seen, ours)).toEqual({ outcome: "lookAgain" });
    expect((await live(namespace)).data).toEqual({ a: "1" });
  });
});

describe("deleting a Secret", () => {
  test("deletes the expected Secret, and accepts that it is already deleted", async () => {
    const namespace = await cluster.freshNamespace("secret");
    const seen = await create(namespace, { a: "1" });
    expect(await deleteSecret(client, namespace, "checkout", seen)).toEqual({ outcome: "deleted" });
    await expect(live(namespace)).rejects.toMatchObject({ kind: "notFound" });
    expect(await deleteSecret(client, namespace, "checkout", seen)).toEqual({ outcome: "deleted" });
  });

  test.each([
    ["was changed", (seen: Written) => ({ ...seen, resourceVersion: "1" })],
    ["was re-created", (seen: Written) => ({ ...seen, uid: "00000000-0000-0000-0000-000000000000" })],
  ])("keeps a Secret that %s since the decision", async (_, other) => {
    const namespace = await cluster.freshNamespace("secret");
    const seen = await create(namespace, { a: "1" });
    expect(await deleteSecret(client, namespace, "checkout", other(seen))).toEqual({ outcome: "lookAgain" });
    expect((await live(namespace)).data).toEqual({ a: "1" });
  });
});

test("adds the version as a precondition without modifying the intent", () => {
  const object = intent("shop", { a: "1" });
  const before = structuredClone(object);
  expect(conditional(object, absent).metadata).toEqual({ namespace: "shop", name: "checkout", resourceVersion: "1" });
  expect(conditional(object, { state: "present", uid: "u", resourceVersion: "7" }).metadata).toEqual({
    namespace: "shop",
    name: "checkout",
    resourceVersion: "7",
    uid: "u",
  });
  expect(object).toEqual(before);
});
