import { readFile } from "node:fs/promises";
import { inspect } from "node:util";
import { afterAll, describe, expect, it, vi } from "vitest";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import { SyncedSecretReconciler } from "../../src/controllers/syncedsecret/reconcile.ts";
import { secrets } from "../../src/kube/resource.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { pythonEncrypt } from "../emulator/encryption-sdk.ts";
import { encodings, makeCanary, traces } from "./canary.ts";
import { one } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "canary");
const { aws } = world;
const minute = 60_000;

const canary = makeCanary();
const { value } = canary;
const json = JSON.stringify;

/** The results of reconciles: outcomes with failures, and errors thrown. */
const outcomes: string[] = [];
const shown = (what: unknown) => inspect(what, { depth: 20, showHidden: true, maxStringLength: null });
const reconcile = SyncedSecretReconciler.prototype.reconcile;
const reconciles = vi.spyOn(SyncedSecretReconciler.prototype, "reconcile").mockImplementation(async function (
  this: SyncedSecretReconciler,
  ...args
) {
  try {
    const outcome = await reconcile.apply(this, args);
    outcomes.push(shown(outcome));
    return outcome;
  } catch (error) {
    outcomes.push(shown(error));
    throw error;
  }
});
const printed: string[] = [];
const outputs = [process.stdout, process.stderr].map((stream) => {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  return vi.spyOn(stream, "write").mockImplementation(((...args: unknown[]) => {
    printed.push(String(args[0]));
    return write(...args);
  }) as never);
});
afterAll(() => {
  for (const spy of [reconciles, ...outputs]) spy.mockRestore();
});

const put = (name: string, text: string, more: object = {}) =>
  aws.putParameter({ name, value: text, type: "SecureString", ...more });

/** Every output that others than the Secret's readers may see, by kind. */
async function everything(): Promise<Record<string, string>> {
  await world.engine.recorder.flush();
  const kinds = (await world.kubectl(["api-resources", "--verbs=list", "--namespaced", "--output", "name"])).trim();
  const names = kinds.split("\n").filter((kind) => kind !== "secrets");
  const [objects, connection, ofSecrets, audit, metrics] = await Promise.all([
    world.kubectl(["get", names.join(","), "--output", "json", "--show-managed-fields"]),
    world.kubectl(["get", "clusterawsconnections", world.namespace, "--output", "json", "--show-managed-fields"]),
    world.client.list(secrets, { namespace: world.namespace, metadataOnly: true }),
    readFile(cluster.auditLogPath, "utf8"),
    world.metrics.registry.metrics(),
  ]);
  return {
    objects,
    connection,
    "metadata of Secrets": json(ofSecrets),
    // Only this namespace's: requests of other test files are in the log too, without this canary.
    "audit log": linesOf(audit, world.namespace),
    metrics,
    log: world.lines.join("\n"),
    audit: world.audited.join(""),
    outcomes: outcomes.join("\n"),
    output: printed.join("\n"),
  };
}

function linesOf(log: string, word: string): string {
  return log
    .split("\n")
    .filter((line) => line.includes(word))
    .join("\n");
}

async function expectNowhere(): Promise<void> {
  for (const [where, text] of Object.entries(await everything())) {
    expect(text.length, where).toBeGreaterThan(where === "output" ? -1 : 10);
    expect(traces(text, canary), where).toEqual([]);
  }
}

describe("the search for the canary", () => {
  it.each(Object.keys(encodings))("finds it %s, within other text, and in part", (name) => {
    const encode = encodings[name]!;
    for (const around of ["", "a", "ab", "abc"]) {
      expect(traces(`x ${encode(around + value + around)} x`, canary)).toContain(name);
      const part = encode(`${around}${canary.core.slice(9, 24)}`);
      expect(traces(json({ in: json({ a: part }) }), canary)).toContain(name);
    }
    expect(traces(encode(makeCanary().value), canary)).toEqual([]);
  });
});

describe("a value appears only in its Secret", () => {
  it("while all syncs succeed, for every kind of source", async () => {
    const keyId = await aws.createKey();
    const ciphertext = await aws.encrypt({ keyId, plaintext: value, context: { team: "shop" } });
    const [message] = await pythonEncrypt(aws.url, [{ plain: value, keys: [keyId] }]);
    await put("/well/plain", value);
    await put("/well/json", json({ deep: { secret: value }, other: value }));
    await put("/well/document", json({ FROM_JSON: value }));
    await put("/well/yaml", `FROM_YAML: ${json(value)}`);
    await put("/well/dotenv", `FROM_DOTENV=${canary.core}`);
    await put("/well/base64", Buffer.from(value).toString("base64"));
    await put("/well/path/FROM_PATH", value);
    await world.apply("well", {
      data: [
        one("PLAIN", "/well/plain"),
        { ...one("PROPERTY", "/well/json"), jmesPath: "deep.secret" },
        { ...one("DECODED", "/well/base64"), decode: "Base64" },
        { key: "BLOB", kms: { ciphertext, encryptionContext: { team: "shop" } } },
        { key: "MESSAGE", encryptionSDK: { ciphertext: message!, keyIds: [keyId] } },
      ],
      dataFrom: [
        { parameter: { name: "/well/document" }, format: "JSON" },
        { parameter: { name: "/well/yaml" }, format: "YAML" },
        { parameter: { name: "/well/dotenv" }, format: "Dotenv" },
        { path: { name: "/well/path" } },
      ],
      target: { template: { data: { "conf.ini": "pin = {{ PLAIN }}" }, includeSourceKeys: true } },
    });
    await world.sync();
    const data = (await world.data("well"))!;
    const { FROM_DOTENV, "conf.ini": conf, ...others } = data;
    expect(Object.keys(others)).toHaveLength(8);
    for (const [key, text] of Object.entries(others)) expect(text, key).toBe(value);
    expect([FROM_DOTENV, conf]).toEqual([canary.core, `pin = ${value}`]);
    expect(traces(await world.kubectl(["get", "secret", "well", "--output", "json"]), canary)).toContain("base64");

    await put("/well/plain", `${value}2`);
    await world.pass(6 * minute);
    expect((await world.data("well"))!.PLAIN).toBe(`${value}2`);
    await world.kubectl(["patch", "secret", "well", "--patch", '{"data":{"PLAIN":"eA=="}}']);
    await world.sync();
    await world.restart();
    await world.sync();
    expect((await world.data("well"))!.PLAIN).toBe(`${value}2`);
    await expectNowhere();
  });

  const document =
    (format: "JSON" | "YAML" | "Dotenv" | "StringList", more: object = {}) =>
    (name: string) => ({
      dataFrom: [{ parameter: { name }, format, ...more }],
    });
  const property = (jmesPath: string) => (name: string) => ({ data: [{ ...one("A", name), jmesPath }] });
  const decoded = (decode: "Base64" | "Base64URL") => (name: string) => ({ data: [{ ...one("A", name), decode }] });
  const template = (text: string) => (name: string) => ({
    data: [one("PIN", name)],
    target: { template: { data: { conf: text } } },
  });
  const typed = (type: string, key: string) => (name: string) => ({
    data: [one(key, name)],
    target: { type: type as never },
  });

  const contents: [string, string, (name: string) => SyncedSecretSpec][] = [
    ["truncated JSON", `{"a":${json(value).slice(0, -1)}`, document("JSON")],
    ["JSON without quotes", `{"a": ${value}}`, document("JSON")],
    ["a value that is not JSON", value, document("JSON")],
    ["a value of letters that is not JSON", canary.core, document("JSON")],
    ["a JSON list", json([value]), document("JSON")],
    ["a JSON string", json(value), document("JSON")],
    ["JSON with a duplicate property", `{"a":${json(value)},"a":${json(value)}}`, document("JSON")],
    ["JSON with trailing text", `{"a":1} ${value}`, document("JSON")],
    ["JSON with a property that is not a valid key", json({ [value]: value }), document("JSON")],
    ["JSON with a null property", json({ [canary.core]: null }), document("JSON")],
    [
      "JSON with properties that map to the same key",
      json({ "a-b": value, a_b: value }),
      document("JSON", { rename: { rewrite: [{ pattern: "-", replacement: "_" }] } }),
    ],
    ["a missing property", json({ a: value }), property("b")],
    ["a property of a value that is not JSON", value, property("a")],
    ["an unknown function", json({ a: value }), property("abs(a)")],
    ["a function applied to a list", json({ a: value }), property("join(a, a)")],
    ["a function applied to a list of objects", json({ a: [value] }), property("sort_by(a, &b)")],
    ["an object instead of a string", json({ [canary.core]: null, a: value }), property(`"${"x".repeat(8)}".a`)],
    ["no base64", value, decoded("Base64")],
    ["no base64url", value, decoded("Base64URL")],
    ["truncated base64", `${Buffer.from(value).toString("base64").slice(0, 41)}`, decoded("Base64")],
    ["truncated YAML", `a: [${canary.core}`, document("YAML")],
    ["YAML with a wrong bracket", `a: ${canary.core}\nb: }`, document("YAML")],
    ["a YAML list", `- ${canary.core}`, document("YAML")],
    ["a YAML string", canary.core, document("YAML")],
    ["YAML with an undefined alias", `a: *${canary.core}`, document("YAML")],
    ["YAML with a tag", `a: !${canary.core} ${canary.core}`, document("YAML")],
    ["YAML with a duplicate property", `a: ${canary.core}\na: ${canary.core}`, document("YAML")],
    ["YAML with tabs", `a:\n\t- ${canary.core}`, document("YAML")],
    ["YAML with a directive", `%${canary.core} 1\n---\na: b`, document("YAML")],
    ["dotenv without =", canary.core, document("Dotenv")],
    ["dotenv with an unterminated quote", `A="${canary.core}`, document("Dotenv")],
    ["dotenv with text after a quoted value", `A="x\n" ${canary.core}`, document("Dotenv")],
    ["dotenv with a # in a value", `A=${canary.core}#`, document("Dotenv")],
    ["dotenv with a duplicate name", `A=${canary.core}\nA=${canary.core}`, document("Dotenv")],
    ["a list without names", `${canary.core},a=${canary.core}`, document("StringList")],
    ["a list with a duplicate name", `a=${canary.core},a=${canary.core}`, document("StringList")],
    ["a template that uses a value as a name", value, template("{{ data[PIN] }}")],
    ["a template that reads a property of a value", value, template("{{ PIN.secret }}")],
    ["a template with an undefined name", value, template("{{ PIN }} {{ PASS }}")],
    ["a template with a forbidden filter", value, template("{{ PIN | where: PIN }}")],
    ["a truncated template", value, template("{{ PIN }} {% if PIN %}")],
    ["a template with an endless loop", value, template("{% for i in (1..PIN) %}{{ PIN }}{% endfor %}")],
    ["an invalid Docker configuration", value, typed("kubernetes.io/dockerconfigjson", ".dockerconfigjson")],
    ["an invalid legacy Docker configuration", value, typed("kubernetes.io/dockercfg", ".dockercfg")],
    ["a Secret type that requires other keys", value, typed("kubernetes.io/tls", "tls.crt")],
    [
      "more than 1 MiB",
      value.padEnd(8_000, "x"),
      (name) => ({ data: Array.from({ length: 140 }, (_, i) => one(`K${i}`, name)) }),
    ],
    [
      "the same key in two entries",
      json({ a: value }),
      (name) => ({ dataFrom: [...document("JSON")(name).dataFrom, ...document("JSON")(name).dataFrom] }),
    ],
    [
      "a foreign Secret with the target's name",
      value,
      (name) => ({ data: [one("A", name)], target: { name: "aws-credentials" } }),
    ],
    ["another parameter that is missing", value, (name) => ({ data: [one("A", name), one("B", "/nowhere")] })],
    [
      "another blob that is damaged",
      value,
      (name) => ({ data: [one("A", name), { key: "B", kms: { ciphertext: "AQICAHh4eHh4eHh4eHh4" } }] }),
    ],
  ];

  it("when its content cannot be used", async () => {
    const named = contents.map(([sentence, text, spec], index) => ({ sentence, text, spec, name: `content-${index}` }));
    for (const { name, text } of named) {
      await put(`/${name}`, text, text.length > 4_096 ? { tier: "Advanced" } : {});
    }
    await Promise.all(named.map(({ name, spec }) => world.apply(name, spec(`/${name}`))));
    await world.pass(minute);
    for (const { name, sentence } of named) {
      expect(await world.ready(name), sentence).toMatchObject({ status: "False" });
      if (sentence !== "a foreign Secret with the target's name")
        expect(await world.secret(name), sentence).toBeUndefined();
    }
    await world.pass(11 * minute);
    await expectNowhere();
  });

  it("when it breaks a Secret that was good", async () => {
    const names = contents.slice(0, 45).map(([, text, spec], index) => ({ text, spec, name: `spoilt-${index}` }));
    const simple = (name: string): SyncedSecretSpec => ({ data: [one("A", `/${name}`)] });
    for (const { name } of names) await put(`/${name}`, value);
    await Promise.all(names.map(({ name }) => world.apply(name, simple(name))));
    await world.sync();
    for (const { name, text } of names) await put(`/${name}`, text, text.length > 4_096 ? { tier: "Advanced" } : {});
    await Promise.all(names.map(({ name, spec }) => world.apply(name, { ...spec(`/${name}`) })));
    await world.pass(11 * minute);
    for (const { name } of names) {
      expect(await world.ready(name), name).toMatchObject({ status: "False" });
      expect(await world.data(name), name).toEqual({ A: value });
    }
    await expectNowhere();
  });

  it("when AWS refuses it or no longer has it", async () => {
    const [key, off] = [await aws.createKey(), await aws.createKey()];
    const blob = async (name: string, keyId: string, more: object = {}) => {
      const ciphertext = await aws.encrypt({ keyId, plaintext: value, context: { team: "shop" } });
      const kms = { ciphertext, encryptionContext: { team: "shop" }, ...more };
      return [name, { data: [{ key: "A", kms }] }] as [string, SyncedSecretSpec];
    };
    const [message] = await pythonEncrypt(aws.url, [{ plain: value, keys: [key] }]);
    const sealed = (name: string, ciphertext: string): [string, SyncedSecretSpec] => [
      name,
      { data: [{ key: "A", encryptionSDK: { ciphertext, keyIds: [key] } }] },
    ];
    const bytes = Buffer.from(message!, "base64");
    bytes[bytes.length - 1]! ^= 1;
    const failing = [
      sealed("message-cut", bytes.subarray(0, -30).toString("base64")),
      sealed("message-damaged", bytes.toString("base64")),
      await blob("context", key, { encryptionContext: { team: "stock" } }),
      await blob("other-key", key, { keyId: off }),
      await blob("disabled", off),
      await blob("property", key),
    ];
    failing[5]![1].data![0]!.jmesPath = "a";
    await aws.direct("kms", "DisableKey", { KeyId: off });
    const names = ["denied", "gone", "gone-keys", "gone-secret", "edited", "merged"];
    for (const name of names) {
      await put(`/taken/${name}`, value);
      await put(`/taken/${name}-2`, value);
    }
    const two = (name: string, more: object = {}): [string, SyncedSecretSpec] => [
      name,
      { data: [one("A", `/taken/${name}`), one("B", `/taken/${name}-2`)], ...more },
    ];
    await world.kubectl(["create", "secret", "generic", "shared", "--from-literal=A=x"]);
    await world.kubectl(["annotate", "secret", "shared", "keyferry.io/allow-merge=merged"]);
    const taken = [
      two("denied"),
      two("gone"),
      two("gone-keys", { refresh: { whenMissing: "DeleteKeys" } }),
      two("gone-secret", { refresh: { whenMissing: "DeleteSecret" } }),
      two("edited"),
      two("merged", { target: { name: "shared", creationPolicy: "Merge" } }),
    ];
    await Promise.all([...failing, ...taken].map(([name, spec]) => world.apply(name, spec)));
    await world.pass(minute);
    for (const [name] of failing) expect(await world.ready(name), name).toMatchObject({ status: "False" });
    for (const name of names.slice(0, 5)) expect(await world.data(name), name).toEqual({ A: value, B: value });
    expect(await world.ready("merged")).toMatchObject({ status: "False", reason: "SecretConflict" });

    aws.fault({ kind: "throttle", times: 30 });
    await world.pass(6 * minute);
    aws.fault({ kind: "500", times: 30 });
    await world.pass(6 * minute);
    aws.clearFaults();
    for (const name of names.slice(1, 4)) await aws.deleteParameter(`/taken/${name}`);
    aws.deny({ parameter: "/taken/denied*" });
    for (let round = 0; round < 3; round++) await world.pass(12 * minute);
    const edit = json({ data: { A: Buffer.from(`edited ${value}`).toString("base64") } });
    aws.deny({ action: "ssm:*" });
    await world.kubectl(["patch", "secret", "edited", "--patch", edit]);
    await world.pass(6 * minute);
    aws.allowAll();
    await world.pass(12 * minute);
    expect(await world.data("gone-keys")).toEqual({ B: value });
    expect(await world.data("gone-secret")).toBeUndefined();
    expect(await world.data("edited")).toEqual({ A: value, B: value });
    expect(await world.ready("gone")).toMatchObject({ status: "False", reason: "SourceGone" });
    await expectNowhere();
  });

  it("when it is a connection's secret access key", async () => {
    const keys = (secret: string) =>
      json({ data: { AWS_SECRET_ACCESS_KEY: Buffer.from(secret).toString("base64"), AWS_SESSION_TOKEN: null } });
    await world.kubectl(["patch", "secret", "aws-credentials", "--patch", keys(value)]);
    await put("/credentials", "harmless");
    await world.restart();
    await world.apply("credentials", { data: [one("A", "/credentials")] });
    await world.sync();
    expect(await world.data("credentials")).toEqual({ A: "harmless" });
    aws.deny({ action: "*" });
    await world.restart();
    await world.pass(6 * minute);
    expect(await world.ready("credentials")).toMatchObject({ status: "False" });
    await world.kubectl(["patch", "secret", "aws-credentials", "--patch", '{"data":{"AWS_ACCESS_KEY_ID":null}}']);
    await world.restart();
    await world.pass(6 * minute);
    expect(await world.ready("credentials")).toMatchObject({ status: "False", reason: "ConnectionNotReady" });
    aws.allowAll();
    await expectNowhere();
  });
});
