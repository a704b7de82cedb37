import { describe, expect, it } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { holdTrue, one, refused, steady, type Trial } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "bad-input");
const { aws } = world;
const minute = 60_000;

const put = (name: string, value: string, more: object = {}) => aws.putParameter({ name, value, ...more });
const document = (name: string, format: "JSON" | "YAML" | "Dotenv" | "StringList", more: object = {}) => ({
  dataFrom: [{ parameter: { name }, format, ...more }],
});
/** Entries that reach just over 1 MiB when the one parameter has 8 KiB. */
const many = Array.from({ length: 129 }, (_, index) => one(`K${index}`, "/large"));
const each = (value: string) => Object.fromEntries(many.map(({ key }) => [key, value]));

const trials: Record<string, Trial> = {
  "more than 1 MiB": {
    setUp: () => put("/large", "a", { tier: "Advanced" }),
    spec: { data: many },
    holds: each("a"),
    breaks: () => put("/large", "sesame".padEnd(8_192, "x"), { tier: "Advanced" }),
    reason: "TooLarge",
    says: ["1056768 bytes", "at most 1048576"],
    mends: () => put("/large", "b", { tier: "Advanced" }),
    becomes: each("b"),
  },
  "a list with an item without a name": {
    setUp: () => put("/list", "A=a"),
    spec: document("/list", "StringList"),
    holds: { A: "a" },
    breaks: () => put("/list", "A=a,sesame"),
    reason: "InvalidData",
    says: ["dataFrom[0]", "item 2"],
    mends: () => put("/list", "A=b"),
    becomes: { A: "b" },
  },
  "several missing parameters, all named": {
    setUp: () => put("/absent/a", "a"),
    spec: { data: [one("A", "/absent/a")] },
    holds: { A: "a" },
    breaks: async () => ({
      data: [one("A", "/absent/a"), one("B", "/absent/b"), one("C", "/absent/c")],
      ...document("/absent/d", "JSON"),
    }),
    reason: "ParameterNotFound",
    says: ["data[1] (B): parameter /absent/b", "data[2] (C): parameter /absent/c", "dataFrom[0]: parameter /absent/d"],
    mends: () => Promise.all([put("/absent/b", "b"), put("/absent/c", "c"), put("/absent/d", '{"D":"d"}')]),
    becomes: { A: "a", B: "b", C: "c", D: "d" },
  },
  "truncated JSON": {
    setUp: () => put("/json", '{"A":"a"}'),
    spec: document("/json", "JSON"),
    holds: { A: "a" },
    breaks: () => put("/json", '{"A":"sesame'),
    reason: "InvalidData",
    says: ["dataFrom[0]"],
    mends: () => put("/json", '{"A":"b"}'),
    becomes: { A: "b" },
  },
  "JSON that is not an object": {
    setUp: () => put("/json-list", '{"A":"a"}'),
    spec: document("/json-list", "JSON"),
    holds: { A: "a" },
    breaks: () => put("/json-list", '["sesame"]'),
    reason: "InvalidData",
    says: ["dataFrom[0]"],
    mends: () => put("/json-list", "{}\n").then(() => put("/json-list", '{"B":"b"}')),
    becomes: { B: "b" },
  },
  "invalid YAML": {
    setUp: () => put("/yaml", "A: a"),
    spec: document("/yaml", "YAML"),
    holds: { A: "a" },
    breaks: () => put("/yaml", "A: [sesame\nB: }"),
    reason: "InvalidData",
    says: ["dataFrom[0]"],
    mends: () => put("/yaml", "A: b"),
    becomes: { A: "b" },
  },
  "a dotenv line without =": {
    setUp: () => put("/dotenv", "A=a"),
    spec: document("/dotenv", "Dotenv"),
    holds: { A: "a" },
    breaks: () => put("/dotenv", "A=a\nsesame"),
    reason: "InvalidData",
    says: ["dataFrom[0]", "line 2"],
    mends: () => put("/dotenv", "A=b"),
    becomes: { A: "b" },
  },
  "a document without the property": {
    setUp: () => put("/none", '{"A":"a"}'),
    spec: document("/none", "JSON"),
    holds: { A: "a" },
    breaks: () => put("/none", "{}"),
    reason: "EmptyResult",
    says: ["dataFrom[0]"],
    mends: () => put("/none", '{"A":"b"}'),
    becomes: { A: "b" },
  },
  "a missing property": {
    setUp: () => put("/property", '{"user":"u"}'),
    spec: { data: [{ ...one("U", "/property"), jmesPath: "user" }] },
    holds: { U: "u" },
    breaks: () => put("/property", '{"other":"sesame"}'),
    reason: "InvalidData",
    says: ["data[0] (U)", "jmesPath user"],
    mends: () => put("/property", '{"user":"v"}'),
    becomes: { U: "v" },
  },
  "a property of a value that is not JSON": {
    setUp: () => put("/no-json", '{"user":"u"}'),
    spec: { data: [{ ...one("U", "/no-json"), jmesPath: "user" }] },
    holds: { U: "u" },
    breaks: () => put("/no-json", "sesame"),
    reason: "InvalidData",
    says: ["data[0] (U)"],
    mends: () => put("/no-json", '{"user":"v"}'),
    becomes: { U: "v" },
  },
  "invalid base64": {
    setUp: () => put("/base64", "YQ=="),
    spec: { data: [{ ...one("A", "/base64"), decode: "Base64" }] },
    holds: { A: "a" },
    breaks: () => put("/base64", "ses*me"),
    reason: "InvalidData",
    says: ["data[0] (A)"],
    mends: () => put("/base64", "Yg=="),
    becomes: { A: "b" },
  },
  "a path without parameters": {
    setUp: () => put("/full/A", "a"),
    spec: { dataFrom: [{ path: { name: "/full" } }] },
    holds: { A: "a" },
    breaks: async () => ({ dataFrom: [{ path: { name: "/empty" } }] }),
    reason: "EmptyResult",
    says: ["dataFrom[0]", "/empty"],
    mends: () => put("/empty/B", "b"),
    becomes: { B: "b" },
  },
  "a path whose parameters are all excluded": {
    setUp: () => put("/excluded/A", "a"),
    spec: { dataFrom: [{ path: { name: "/excluded" } }] },
    holds: { A: "a" },
    breaks: async () => ({ dataFrom: [{ path: { name: "/excluded", exclude: ["A$"] } }] }),
    reason: "EmptyResult",
    says: ["dataFrom[0]"],
    mends: async () => ({ dataFrom: [{ path: { name: "/excluded" } }] }),
  },
  "tags that no parameter below the path has": {
    setUp: () => put("/tagged/A", "a"),
    spec: { dataFrom: [{ path: { name: "/tagged" } }] },
    holds: { A: "a" },
    breaks: async () => ({ dataFrom: [{ path: { name: "/tagged", tags: { env: "prod" } } }] }),
    reason: "EmptyResult",
    says: ["dataFrom[0]", "/tagged with the tags env=prod", "ssm:DescribeParameters", "allowEmpty: true"],
    mends: () =>
      aws.direct("ssm", "AddTagsToResource", {
        ResourceType: "Parameter",
        ResourceId: "/tagged/A",
        Tags: [{ Key: "env", Value: "prod" }],
      }),
  },
  "the same key in two documents": {
    setUp: () => Promise.all([put("/equal/1", '{"A":"a"}'), put("/equal/2", '{"B":"b"}')]),
    spec: {
      dataFrom: [
        { parameter: { name: "/equal/1" }, format: "JSON" },
        { parameter: { name: "/equal/2" }, format: "JSON" },
      ],
    },
    holds: { A: "a", B: "b" },
    breaks: () => put("/equal/2", '{"A":"sesame"}'),
    reason: "KeyConflict",
    says: ["dataFrom[1]", "key A", "dataFrom[0]", "onConflict: Override"],
    mends: async () => ({
      dataFrom: [
        { parameter: { name: "/equal/1" }, format: "JSON" as const },
        { parameter: { name: "/equal/2" }, format: "JSON" as const, onConflict: "Override" as const },
      ],
    }),
    becomes: { A: "sesame" },
  },
  "the same key twice in one path": {
    setUp: () => put("/rewritten/a", "a"),
    spec: { dataFrom: [{ path: { name: "/rewritten" }, rename: { case: "Upper" } }] },
    holds: { A: "a" },
    breaks: () => put("/rewritten/A", "sesame"),
    reason: "KeyConflict",
    says: ["dataFrom[0]", "/rewritten/a", "/rewritten/A"],
    mends: async () => ({ dataFrom: [{ path: { name: "/rewritten", exclude: ["A$"] }, rename: { case: "Upper" } }] }),
  },
  "a template that names a missing key": {
    setUp: () => put("/template", "u"),
    spec: { data: [one("USER", "/template")], target: { template: { data: { conf: "{{ USER }}" } } } },
    holds: { conf: "u" },
    breaks: async () => ({
      data: [one("USER", "/template")],
      target: { template: { data: { conf: "{{ USER }} {{ PASS }}" } } },
    }),
    reason: "InvalidData",
    says: ["target.template.data (conf)", "PASS"],
    mends: async () => ({
      data: [one("USER", "/template"), one("PASS", "/template")],
      target: { template: { data: { conf: "{{ USER }} {{ PASS }}" } } },
    }),
    becomes: { conf: "u u" },
  },
  "a foreign Secret with the target's name": {
    setUp: async () => {
      await put("/foreign", "a");
      await world.kubectl(["create", "secret", "generic", "a-strangers", "--from-literal=X=x"]);
    },
    spec: { data: [one("A", "/foreign")] },
    holds: { A: "a" },
    breaks: async () => ({ data: [one("A", "/foreign")], target: { name: "a-strangers" } }),
    reason: "SecretConflict",
    says: ["Secret a-strangers is not ours", "is not changed"],
    mends: async () => ({ data: [one("A", "/foreign")] }),
  },
  "an immutable Secret that would have to change": {
    setUp: () => put("/immutable", "a"),
    spec: { data: [one("A", "/immutable")], target: { immutable: true }, refresh: { policy: "Once" } },
    holds: { A: "a" },
    breaks: async () => ({
      data: [one("A", "/immutable"), one("B", "/immutable")],
      target: { immutable: true },
      refresh: { policy: "Once" },
    }),
    reason: "SecretConflict",
    says: ["immutable", "target.name"],
    mends: async () => ({
      data: [one("A", "/immutable")],
      target: { immutable: true },
      refresh: { policy: "Once" },
    }),
  },
  "data that the Secret type does not allow": {
    setUp: () => put("/basic", '{"username":"u","password":"p"}'),
    spec: {
      ...document("/basic", "JSON"),
      target: { type: "kubernetes.io/ssh-auth" },
      data: [one("ssh-privatekey", "/basic")],
    },
    holds: { username: "u", password: "p", "ssh-privatekey": '{"username":"u","password":"p"}' },
    breaks: async () => ({ ...document("/basic", "JSON"), target: { type: "kubernetes.io/ssh-auth" } }),
    reason: "InvalidData",
    says: ["data[ssh-privatekey]"],
    mends: async () => ({
      ...document("/basic", "JSON"),
      target: { type: "kubernetes.io/ssh-auth" },
      data: [one("ssh-privatekey", "/basic")],
    }),
  },
  "content that is invalid for the Secret type": {
    setUp: () => put("/docker", '{"auths":{}}'),
    spec: { data: [one(".dockerconfigjson", "/docker")], target: { type: "kubernetes.io/dockerconfigjson" } },
    holds: { ".dockerconfigjson": '{"auths":{}}' },
    breaks: () => put("/docker", "sesame"),
    reason: "InvalidData",
    says: ["data[.dockerconfigjson]", "needs registry credentials as JSON in it"],
    mends: () => put("/docker", '{"auths":{"r":{}}}'),
    becomes: { ".dockerconfigjson": '{"auths":{"r":{}}}' },
  },
  "a missing connection": {
    setUp: () => put("/unconnected", "a"),
    spec: { data: [one("A", "/unconnected")] },
    holds: { A: "a" },
    breaks: async () => ({
      data: [one("A", "/unconnected")],
      connectionRef: { kind: "AWSConnection", name: "nowhere" },
    }),
    reason: "ConnectionNotReady",
    says: ["there is no AWSConnection nowhere", "spec.connectionRef"],
    mends: async () => ({ data: [one("A", "/unconnected")] }),
  },
};

holdTrue(world, trials);

describe("a foreign Secret with the target's name", () => {
  it("is left unchanged, and the target is written once it is deleted", async () => {
    await put("/way", "a");
    await world.kubectl(["create", "secret", "generic", "in-the-way", "--from-literal=X=x"]);
    const strangers = await world.secret("in-the-way");
    await world.apply("in-the-way", { data: [one("A", "/way")] });
    await world.pass(minute);
    await refused(world, "in-the-way", "SecretConflict", ["Secret in-the-way is not ours"]);
    await steady(world, "in-the-way");
    expect(await world.secret("in-the-way")).toEqual(strangers);
    await world.kubectl(["delete", "secret", "in-the-way"]);
    await world.pass(minute);
    expect(await world.data("in-the-way")).toEqual({ A: "a" });
    expect(await world.ready("in-the-way")).toMatchObject({ status: "True" });
  });
});

describe("unusual but valid input", () => {
  it("allowEmpty creates an empty Secret for a path without parameters", async () => {
    await world.apply("may-be-empty", { dataFrom: [{ path: { name: "/nothing" }, allowEmpty: true }] });
    await world.sync();
    expect(await world.ready("may-be-empty")).toMatchObject({ status: "True" });
    expect(await world.data("may-be-empty")).toEqual({});
    await put("/nothing/A", "a");
    await world.pass(6 * minute);
    expect(await world.data("may-be-empty")).toEqual({ A: "a" });
  });

  it("property names of JavaScript's Object are ordinary keys", async () => {
    await put("/proto", '{"__proto__":"p","constructor":"c","toString":"t"}');
    await world.apply("proto", document("/proto", "JSON"));
    await world.sync();
    const secret = await world.kubectl(["get", "secret", "proto", "-o", "json"]);
    const data = Object.entries((JSON.parse(secret) as { data: Record<string, string> }).data);
    expect(new Map(data)).toEqual(
      new Map([
        ["__proto__", "cA=="],
        ["constructor", "Yw=="],
        ["toString", "dA=="],
      ]),
    );
    expect(await world.ready("proto")).toMatchObject({ status: "True" });
    await steady(world, "proto");
  });

  it("200 entries of data and 50 of dataFrom form one Secret", async () => {
    const data = Array.from({ length: 200 }, (_, index) => one(`K${index}`, `/size/k${index}`));
    await Promise.all(data.map(({ parameter }, index) => put(parameter.name, `v${index}`)));
    const documents = Array.from({ length: 50 }, (_, index) => `/size/documents/${index}`);
    await Promise.all(documents.map((name, index) => put(name, `{"D${index}":"d${index}"}`)));
    const dataFrom = documents.map((name) => ({ parameter: { name }, format: "JSON" as const }));
    aws.resetCalls();
    await world.apply("size", { data, dataFrom });
    await world.sync();
    expect(await world.ready("size")).toMatchObject({ status: "True" });
    const expected = [
      ...data.map(({ key }, index) => [key, `v${index}`]),
      ...documents.map((_, index) => [`D${index}`, `d${index}`]),
    ];
    expect(await world.data("size")).toEqual(Object.fromEntries(expected));
    expect(aws.count({ operation: "GetParameters" })).toBe(25);
    expect(aws.count({ operation: "GetParameter" })).toBe(0);
    const { status } = await world.synced("size");
    expect(status).toMatchObject({ keyCount: 250, sourcesOmitted: 150 });
    expect(status!.sources).toHaveLength(100);
    await steady(world, "size");
  });
});
