import { beforeAll, describe, expect, it } from "vitest";
import { parse, parseAllDocuments, stringify } from "yaml";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import type { SecretIntent } from "../../src/kube/write/secret.ts";
import { keyferry, loggedIn } from "../cli/run.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { connectionManifests } from "../support/connection-manifests.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "render", { clusterName: "prod" });
const { aws, namespace } = world;
const canary = "hunter2-canary";
const connectionRef = { kind: "ClusterAWSConnection", name: namespace } as const;

/** The world's connection, as a manifest. */
const connection = (more: object = {}) =>
  connectionManifests(
    namespace,
    aws.url,
    { namespace },
    {
      allow: { namespaces: { names: [namespace] }, parameters: ["/*"], keyIds: ["*"] },
      ...more,
    },
  ).connection;

const manifest = (name: string, spec: SyncedSecretSpec) => ({
  apiVersion: "keyferry.io/v1alpha1",
  kind: "SyncedSecret",
  metadata: { name, namespace },
  spec: { connectionRef, ...spec },
});

const render = (objects: object[], args: string[] = []) =>
  keyferry(["render", ...args, "--allow-insecure-endpoints"], {
    input: objects.map((object) => stringify(object)).join("---\n"),
    env: { ...loggedIn(aws.url), AWS_REGION: "eu-west-1" },
  });

let blob = "";
let bound = "";
let key = "";

beforeAll(async () => {
  key = await aws.createKey();
  const put = (Name: string, Value: string, Type = "SecureString") =>
    aws.direct("ssm", "PutParameter", { Name, Value, Type, Overwrite: true });
  await put("/shop/db", canary);
  await put("/shop/json", JSON.stringify({ user: { name: canary }, port: 5432 }));
  await put("/shop/env", `A=${canary}\nB=2`);
  await put("/shop/list/one", canary);
  await put("/shop/list/two/deep", "2", "String");
  const encrypt = async (EncryptionContext: object) => {
    const Plaintext = Buffer.from(canary).toString("base64");
    return String((await aws.direct("kms", "Encrypt", { KeyId: key, Plaintext, EncryptionContext })).CiphertextBlob);
  };
  blob = await encrypt({ team: "shop" });
  bound = await encrypt({
    "keyferry.io/cluster": "prod",
    "keyferry.io/namespace": namespace,
    "keyferry.io/name": "bound",
  });
});

describe("the output of keyferry render equals what the operator makes", () => {
  it.each<[string, () => SyncedSecretSpec]>([
    [
      "everything",
      () => ({
        data: [
          { key: "DB", parameter: { name: "/shop/db" } },
          { key: "PINNED", parameter: { name: "/shop/db", version: 1 } },
          { key: "USER", parameter: { name: "/shop/json" }, jmesPath: "user.name" },
          { key: "GONE", parameter: { name: "/shop/gone" }, optional: true },
          { key: "USUAL", parameter: { name: "/shop/gone" }, default: "as usual" },
          { key: "BLOB", kms: { ciphertext: blob, encryptionContext: { team: "shop" } } },
        ],
        dataFrom: [
          { path: { name: "/shop/list", recursive: true }, rename: { case: "Upper" } },
          { parameter: { name: "/shop/env" }, format: "Dotenv" },
        ],
        target: { labels: { team: "shop" }, annotations: { note: "ours" }, type: "example.com/type" },
      }),
    ],
    [
      "template",
      () => ({
        data: [{ key: "DB", parameter: { name: "/shop/db" } }],
        target: { name: "templated", template: { data: { url: "postgres://{{ DB }}" } } },
        refresh: { policy: "Once" as const },
      }),
    ],
  ])("%s", async (name, specOf) => {
    const spec = specOf();
    const { code, out, err } = await render([manifest(name, spec), connection()], ["--show-values"]);
    expect([code, err]).toEqual([0, ""]);
    const rendered = parse(out) as SecretIntent;
    await world.apply(name, spec);
    await world.sync();
    const made = (await world.secret(spec.target?.name ?? name))!;
    expect(rendered.data).toEqual(made.data);
    expect(Object.keys(rendered.data!).length).toBeGreaterThan(0);
    expect(rendered.type).toBe(made.type);
    expect(rendered.metadata.labels).toEqual(made.metadata.labels);
    const { "keyferry.io/owner-uid": _uid, ...annotations } = made.metadata.annotations!;
    expect(rendered.metadata.annotations).toEqual(annotations);
  });

  it("for a bound blob, with the operator's --cluster-name", async () => {
    const binding = { scope: "Name" };
    const spec = { data: [{ key: "A", kms: { ciphertext: bound } }] };
    const objects = [manifest("bound", spec), connection({ binding })];
    const { out } = await render(objects, ["--cluster-name", "prod", "--show-values"]);
    expect(Buffer.from((parse(out) as SecretIntent).data!.A!, "base64").toString()).toBe(canary);
    const without = await render(objects);
    expect(without).toMatchObject({ code: 1, out: "", err: expect.stringContaining("give --cluster-name") });
    const elsewhere = await render([manifest("other", spec), connection({ binding })], ["--cluster-name", "prod"]);
    expect(elsewhere).toMatchObject({ code: 1, out: "", err: expect.stringContaining("data[0] (A)") });
  });
});

describe("keyferry render", () => {
  it("masks every value, identically in each run", async () => {
    const spec = {
      data: [{ key: "DB", parameter: { name: "/shop/db" } }],
      dataFrom: [{ path: { name: "/shop/list" } }],
    };
    const objects = [manifest("masked", spec), connection()];
    const [first, second] = [await render(objects), await render(objects, ["-o", "json"])];
    expect((parse(first.out) as SecretIntent).data).toEqual({
      DB: `<masked, ${canary.length} bytes>`,
      one: `<masked, ${canary.length} bytes>`,
    });
    expect(JSON.parse(second.out)).toEqual(parse(first.out));
    for (const text of [first.out, first.err, second.out, second.err]) {
      expect(text).not.toContain(canary);
      expect(text).not.toContain(Buffer.from(canary).toString("base64"));
    }
  });

  it("reports all problems of all manifests, prints the valid Secrets, and exits with 1", async () => {
    const spec = {
      data: [
        { key: "A", parameter: { name: "/shop/gone" } },
        { key: "B", parameter: { name: "/shop/gone-too" } },
        { key: "C", kms: { ciphertext: "AAAA" } },
      ],
    };
    const good = { data: [{ key: "DB", parameter: { name: "/shop/db" } }] };
    const { code, out, err } = await render([manifest("bad", spec), manifest("good", good), connection()]);
    expect(code).toBe(1);
    expect(parseAllDocuments(out).map((one) => (one.toJS() as SecretIntent).metadata.name)).toEqual(["good"]);
    const lines = err.trim().split("\n");
    expect(lines).toHaveLength(3);
    for (const part of ["data[0] (A)", "data[1] (B)", "data[2] (C)"])
      expect(err).toContain(`${namespace}/bad: ${part}`);
  });

  it("checks every name against the connection before any AWS call", async () => {
    aws.resetCalls();
    const allow = { namespaces: { selector: { matchLabels: { team: "shop" } } }, parameters: ["/{namespace}/*"] };
    const spec = { data: [{ key: "DB", parameter: { name: "/shop/db" } }] };
    const { code, err } = await render([manifest("refused", spec), connection({ allow })]);
    expect([code, err]).toEqual([1, expect.stringContaining("parameter /shop/db is not allowed")]);
    expect(aws.log().map(({ operation }) => operation)).toEqual(["GetCallerIdentity"]);
  });

  it("replaces a connection that is not given by one in the region of the AWS environment", async () => {
    const spec = { data: [{ key: "DB", parameter: { name: "/shop/db" } }] };
    const { code, out, err } = await render([manifest("alone", spec)]);
    expect([code, err]).toEqual([0, ""]);
    expect((parse(out) as SecretIntent).metadata).not.toHaveProperty("ownerReferences");
  });

  it("omits metadata with a uid that the manifest lacks, and prints it otherwise", async () => {
    const data = [{ key: "DB", parameter: { name: "/shop/db" } }];
    const names = {
      Owner: ["keyferry.io/key-digest", "keyferry.io/revision"],
      Orphan: ["keyferry.io/key-digest", "keyferry.io/revision"],
      Merge: [],
    };
    for (const [creationPolicy, annotations] of Object.entries(names)) {
      const object = manifest("uids", { data, target: { creationPolicy: creationPolicy as "Owner" } });
      const without = parse((await render([object, connection()])).out) as SecretIntent;
      expect(Object.keys(without.metadata.annotations!).sort()).toEqual(annotations);
      expect(without.metadata).not.toHaveProperty("ownerReferences");
      const whole = { ...object, metadata: { ...object.metadata, uid: "one" } };
      const { metadata } = parse((await render([whole, connection()])).out) as SecretIntent;
      const marks = {
        Owner: metadata.ownerReferences?.[0]?.uid,
        Orphan: metadata.annotations!["keyferry.io/orphan-of"],
        Merge: metadata.annotations!["keyferry.io/revision-one"] && "one",
      };
      expect(marks[creationPolicy as "Owner"]).toBe("one");
    }
  });

  it("names unknown fields and wrong types before any call", async () => {
    aws.resetCalls();
    const spec = { data: [{ key: "A", paramter: { name: canary } }], refresh: { policy: canary } };
    const { code, out, err } = await render([manifest("typo", spec as never)]);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("spec.data[0].paramter is an unknown field");
    expect(err).toContain("spec.refresh.policy must be Follow or Once");
    expect(err).not.toContain(canary);
    expect(aws.log()).toEqual([]);
  });

  it("tells the user to log in if there are no credentials", async () => {
    const objects = [manifest("nobody", { data: [{ key: "DB", parameter: { name: "/shop/db" } }] }), connection()];
    const input = objects.map((object) => stringify(object)).join("---\n");
    const ran = await keyferry(["render", "--allow-insecure-endpoints"], { input });
    expect(ran).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("no AWS credentials are found: log in"),
    });
  });
});
