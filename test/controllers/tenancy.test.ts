import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import type { Identity } from "../../src/aws/identity.ts";
import { allowsNamespace } from "../../src/controllers/connection/resolve.ts";
import type { Grant } from "../../src/controllers/grants.ts";
import { assess } from "../../src/controllers/syncedsecret/decide/sources.ts";
import { plan } from "../../src/controllers/syncedsecret/plan/plan.ts";
import { clusterAWSConnections } from "../../src/kube/resource.ts";
import { newEntry } from "../../src/parameters/cache/cache-entry.ts";
import { changeEntry, changeParameter } from "../../src/parameters/cache/reducer.ts";
import { referenceKey } from "../../src/parameters/read/reference.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { one, refused, steady } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "tenancy");
const { aws, namespace } = world;
const minute = 60_000;
const here = { names: [namespace] };

/** No SyncedSecret is left to poll during the next test's count. */
afterEach(async () => {
  await world.kubectl(["delete", "syncedsecrets", "--all"]);
  await world.sync();
});

const put = (name: string, value: string, more: object = {}) => aws.putParameter({ name, value, ...more });

/** Sets the connection's allow rules, and syncs. */
async function allow(rules: object): Promise<void> {
  await world.makeConnection({ allow: rules });
  await world.sync();
}

describe("a namespace that the connection", () => {
  it("does not list gets nothing, without an AWS call", async () => {
    await put("/listed", "a");
    await allow({ namespaces: { names: ["another"] }, parameters: ["/*"] });
    aws.resetCalls();
    await world.apply("listed", { data: [one("A", "/listed")] });
    await world.sync();
    await refused(world, "listed", "NotAllowed", [`does not allow namespace ${namespace}`, "spec.allow.namespaces"]);
    await steady(world, "listed");
    expect(await world.secret("listed")).toBeUndefined();
    expect(aws.count({ service: "ssm" })).toBe(0);
    await allow({ namespaces: { names: ["another", namespace] }, parameters: ["/*"] });
    expect(await world.data("listed")).toEqual({ A: "a" });
  });

  it("does not list gets the message of a missing connection, even if the connection has failed", async () => {
    const said = async (name: string) => {
      await world.apply(name, { data: [one("A", "/listed")] });
      await world.sync();
      await refused(world, name, "NotAllowed");
      return (await world.ready(name))!.message;
    };
    await allow({ namespaces: { names: ["another"] }, parameters: ["/*"] });
    const forbidden = await said("forbidden");
    await world.makeConnection({
      allow: { namespaces: { names: ["another"] }, parameters: ["/*"] },
      auth: { secretRef: { name: "no-such-secret", namespace } },
    });
    await world.sync();
    expect(await said("failed")).toBe(forbidden);
    await world.client.delete(clusterAWSConnections, undefined, namespace);
    await world.sync();
    expect(await said("missing")).toBe(forbidden);
  });

  it("no longer lists keeps its last good Secret, without further AWS calls", async () => {
    await put("/revoked", "a");
    await allow({ namespaces: here, parameters: ["/*"] });
    await world.apply("revoked", { data: [one("A", "/revoked")] });
    await world.sync();
    const good = await world.secret("revoked");
    await allow({ namespaces: { names: ["another"] }, parameters: ["/*"] });
    await refused(world, "revoked", "NotAllowed", [`does not allow namespace ${namespace}`]);
    await put("/revoked", "b");
    aws.resetCalls();
    await world.pass(60 * minute);
    expect(aws.log()).toEqual([]);
    expect(await world.secret("revoked")).toEqual(good);
    await allow({ namespaces: here, parameters: ["/*"] });
    await world.pass(6 * minute);
    expect(await world.data("revoked")).toEqual({ A: "b" });
  });

  it("selects is served until its label is removed, and again when it is back", async () => {
    await put("/selected", "a");
    await allow({ namespaces: { selector: { matchLabels: { team: "shop" } } }, parameters: ["/*"] });
    await world.apply("selected", { data: [one("A", "/selected")] });
    await world.sync();
    await refused(world, "selected", "NotAllowed", [`does not allow namespace ${namespace}`]);
    await world.kubectl(["label", "namespace", namespace, "team=shop"]);
    await world.sync();
    expect(await world.data("selected")).toEqual({ A: "a" });
    const good = await world.secret("selected");
    await world.kubectl(["label", "namespace", namespace, "team=stock", "--overwrite"]);
    await world.sync();
    await refused(world, "selected", "NotAllowed");
    await put("/selected", "b");
    await world.pass(6 * minute);
    expect(await world.secret("selected")).toEqual(good);
    await world.kubectl(["label", "namespace", namespace, "team=shop", "--overwrite"]);
    await world.pass(6 * minute);
    expect(await world.data("selected")).toEqual({ A: "b" });
  });

  const labels = { team: "shop", "kubernetes.io/metadata.name": "shop" };
  const expression = (key: string, operator: string, ...values: string[]) => ({
    selector: { matchExpressions: [{ key, operator, ...(values.length > 0 ? { values } : {}) }] },
  });
  it.each<[string, object | undefined, Record<string, string> | undefined, boolean]>([
    ["does not mention is not allowed", undefined, labels, false],
    ["selects by an empty selector is allowed", { selector: {} }, labels, true],
    ["selects by an empty selector is not allowed while its labels are unknown", { selector: {} }, undefined, false],
    ["selects by its name's label is allowed", { selector: { matchLabels: labels } }, labels, true],
    ["selects by In is allowed", expression("team", "In", "stock", "shop"), labels, true],
    ["selects by In with other values is not allowed", expression("team", "In", "stock"), labels, false],
    ["selects by In on a missing label is not allowed", expression("tier", "In", "a"), labels, false],
    ["selects by NotIn is not allowed", expression("team", "NotIn", "shop"), labels, false],
    ["selects by NotIn on a missing label is allowed", expression("tier", "NotIn", "a"), labels, true],
    ["selects by Exists is allowed", expression("team", "Exists"), labels, true],
    ["selects by Exists on a missing label is not allowed", expression("tier", "Exists"), labels, false],
    ["selects by Exists on an inherited property name is not allowed", expression("toString", "Exists"), labels, false],
    ["selects by DoesNotExist is not allowed", expression("team", "DoesNotExist"), labels, false],
    ["selects by DoesNotExist on a missing label is allowed", expression("tier", "DoesNotExist"), labels, true],
    ["selects by an unknown operator is not allowed", expression("team", "Like", "shop"), labels, false],
  ])("%s", (_, namespaces, of, allowed) => {
    const spec = { region: "eu-west-1", allow: namespaces ? { namespaces } : {} };
    const connection = { apiVersion: "keyferry.io/v1alpha1", kind: "ClusterAWSConnection", metadata: {}, spec };
    expect(allowsNamespace(connection as never, "shop", of)).toBe(allowed);
  });
});

describe("names that are not allowed are refused with the rule, before any AWS call:", () => {
  const account = "arn:aws:ssm:eu-west-1:123456789012:parameter";
  const parameter = (name: string, more: object = {}): SyncedSecretSpec => ({
    data: [{ key: "A", parameter: { name, ...more } }],
  });
  const path = (name: string, more: object = {}): SyncedSecretSpec => ({
    dataFrom: [{ path: { name, recursive: true, ...more } }],
  });
  const own = ["/{namespace}/*", "/shared/key"];
  const not = "allow.parameters of its connection does not cover it";
  const quoted = `${not}; by its own name namespace ${namespace} has "/${namespace}/*"`;

  const rows: [string, string[] | undefined, SyncedSecretSpec, string][] = [
    ["any name, if the connection lists none", undefined, parameter(`/${namespace}/a`), "has no allow.parameters"],
    ["a path, if the connection lists none", undefined, path(`/${namespace}`), "has no allow.parameters"],
    ["another namespace's", own, parameter("/kube-system/a"), quoted],
    ["one with the namespace's prefix", own, parameter(`/${namespace}-2/a`), quoted],
    ["the namespace's directory itself", own, parameter(`/${namespace}`), quoted],
    ["one below a listed name without *", own, parameter("/shared/key/a"), quoted],
    ["one in other letter case", own, parameter(`/${namespace.toUpperCase()}/a`), quoted],
    ["with a version", own, parameter("/other/a", { version: 1 }), quoted],
    ["with a label", own, parameter("/other/a", { label: "prod" }), quoted],
    ["of an optional entry", own, { data: [{ ...one("A", "/other/a"), optional: true }] }, quoted],
    ["of an entry with a default", own, { data: [{ ...one("A", "/other/a"), default: "d" }] }, quoted],
    ["of a document", own, { dataFrom: [{ parameter: { name: "/other/a" }, format: "JSON" }] }, quoted],
    ["the ARN of an allowed name", own, parameter(`${account}/${namespace}/a`), quoted],
    ["the ARN of another account", ["/*", `${account}/*`], parameter(`${account.replace("1234", "9999")}/a`), not],
    ["the ARN of another region", [`${account}/*`], parameter(`${account.replace("west-1", "west-2")}/a`), not],
    ["Secrets Manager's", ["/*"], parameter("/aws/reference/secretsmanager/db"), not],
    ["a path above the pattern", own, path("/"), quoted],
    ["a path with an include that lies inside", ["/shop/a*"], path("/shop"), not],
    ["a path that a name without * would match", ["/shop"], path("/shop"), not],
    ["a path with include that lies inside", own, path("/", { include: [`^/${namespace}/`] }), quoted],
    ["a path published by AWS", ["/*"], path("/aws/reference/secretsmanager"), not],
  ];
  it.each(rows.map((row, index) => [...row, `name-${index}`] as const))("%s", async (_, patterns, spec, rule, name) => {
    await allow({ namespaces: here, ...(patterns ? { parameters: patterns } : {}) });
    aws.resetCalls();
    await world.apply(name, spec);
    await world.sync();
    const entry = spec.data ? "data[0] (A)" : "dataFrom[0]";
    await refused(world, name, "NotAllowed", [entry, "is not allowed", rule]);
    await world.pass(11 * minute);
    expect(aws.log()).toEqual([]);
    expect(await world.secret(name)).toBeUndefined();
  });

  it("all of them are refused, and allowed names beside them are not read either", async () => {
    await put(`/${namespace}/mine`, "a");
    await allow({ namespaces: here, parameters: own });
    aws.resetCalls();
    await world.apply("mixed", {
      data: [one("A", `/${namespace}/mine`), one("B", "/other/b"), one("C", "/other/c")],
      dataFrom: [{ path: { name: "/other" } }],
    });
    await world.sync();
    await refused(world, "mixed", "NotAllowed", [
      "data[1] (B): parameter /other/b",
      "data[2] (C): parameter /other/c",
      "dataFrom[0]: path /other",
    ]);
    expect(aws.log()).toEqual([]);
    await world.apply("mixed", { data: [one("A", `/${namespace}/mine`)], dataFrom: [] });
    await world.sync();
    expect(await world.data("mixed")).toEqual({ A: "a" });
  });

  it("once removed from the list, the last good Secret is kept, without further AWS calls for them", async () => {
    await put("/shared/key", "a");
    await allow({ namespaces: here, parameters: own });
    await world.apply("narrowed", { data: [one("A", "/shared/key")] });
    await world.sync();
    const good = await world.secret("narrowed");
    await allow({ namespaces: here, parameters: ["/{namespace}/*"] });
    await refused(world, "narrowed", "NotAllowed", ["/shared/key"]);
    aws.resetCalls();
    await world.pass(60 * minute);
    expect(aws.log().filter(({ names = [] }) => names.includes("/shared/key"))).toEqual([]);
    expect(await world.secret("narrowed")).toEqual(good);
  });
});

describe("names that are allowed are read:", () => {
  it("a whole path below the namespace's, with or without a trailing slash, and a listed name", async () => {
    await Promise.all([put(`/${namespace}/in/X`, "x"), put(`/${namespace}/in/deep/Y`, "y"), put("/shared/key", "k")]);
    await allow({ namespaces: here, parameters: ["/{namespace}/*", "/shared/key"] });
    await world.apply("inside", {
      data: [one("K", "/shared/key")],
      dataFrom: [
        { path: { name: `/${namespace}/in/`, recursive: true }, rename: { separator: "_" } },
        { path: { name: `/${namespace}/in` }, onConflict: "Override" },
      ],
    });
    await world.sync();
    expect(await world.data("inside")).toEqual({ K: "k", X: "x", deep_Y: "y" });
  });

  it("names in a listing that are not allowed are refused by name", () => {
    const identity = { key: "id", region: "eu-west-1" } as Identity;
    const grant: Grant = { identity, account: "1", parameters: ["/shop/*"], keyIds: undefined, closed: true };
    const planned = plan({ dataFrom: [{ path: { name: "/shop" } }] }, grant, { namespace: "shop", name: "shop" });
    expect(planned.refused).toEqual([]);
    const reference = planned.references[0]!;
    const entry = newEntry(reference, referenceKey(reference));
    changeEntry(entry, { type: "answered", elapsed: 0 });
    for (const name of ["/shop/a", "/shopping/b", "/shop/../stock"]) {
      changeEntry(entry, { type: "memberAdded", name, isKnown: false });
      const member = { entry, name, state: entry.members.get(name)! };
      const stamp = { version: 1, modified: 0 };
      changeParameter(member, { type: "served", stamp, mayGoBack: false, at: { now: 0, wall: 0 } });
    }
    const { problems, sources } = assess(planned, () => entry, {
      grant,
      namespace: "shop",
      when: { missing: "Retain", expired: undefined },
    });
    expect(problems).toMatchObject([{ reason: "NotAllowed" }]);
    expect(problems[0]!.message).toContain("contains parameters that are not allowed: /shop/../stock, /shopping/b");
    expect(sources).toEqual([]);
  });
});

describe("keys of blobs", () => {
  const context = { team: "shop" };
  const blobOf = (ciphertext: string, keyId?: string): SyncedSecretSpec => ({
    data: [{ key: "B", kms: { ciphertext, encryptionContext: context, ...(keyId ? { keyId } : {}) } }],
  });
  let listed = "";
  let other = "";
  beforeEach(async () => {
    listed ||= await aws.createKey({ alias: `alias/${namespace}` });
    other ||= await aws.createKey();
    await allow({ namespaces: here, parameters: ["/*"], keyIds: [listed] });
    aws.resetCalls();
  });

  const refusals: [string, () => string | undefined, string][] = [
    ["must be named", () => undefined, "kms.keyId is required"],
    ["that are not listed are refused by ARN", () => other, "allow.keyIds of its connection does not list it"],
    ["are refused by alias", () => `alias/${namespace}`, "name the key by its ARN"],
    ["are refused by id", () => listed.slice(listed.indexOf("/") + 1), "name the key by its ARN"],
  ];
  it.each(refusals.map((row, index) => [...row, `key-${index}`] as const))("%s", async (_, keyId, rule, name) => {
    const ciphertext = await aws.encrypt({ keyId: listed, plaintext: "p", context });
    await world.apply(name, blobOf(ciphertext, keyId()));
    await world.sync();
    await refused(world, name, "NotAllowed", ["data[0] (B)", rule]);
    expect(aws.log()).toEqual([]);
    expect(await world.secret(name)).toBeUndefined();
  });

  it("that are listed open their own blobs, and no other key's", async () => {
    await world.apply("key-own", blobOf(await aws.encrypt({ keyId: listed, plaintext: "p", context }), listed));
    await world.apply("key-other", blobOf(await aws.encrypt({ keyId: other, plaintext: "p", context }), listed));
    await world.sync();
    expect(await world.data("key-own")).toEqual({ B: "p" });
    await refused(world, "key-other", "DecryptFailed", [listed]);
    expect(await world.secret("key-other")).toBeUndefined();
  });
});
