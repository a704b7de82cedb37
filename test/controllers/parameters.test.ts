import { afterEach, describe, expect, it } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { costsOf, nothing } from "./costs.ts";
import { secretsManager } from "./secrets-manager.ts";
import { one, refused, steady } from "./trials.ts";
import { makeWorld } from "./world.ts";

/** Every kind of parameter, with a real API server. */

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "kinds");
const { aws } = world;
const minute = 60_000;

/** Runs the next poll and its consequences. */
const poll = () => world.pass(6 * minute, 3);
const tag = (name: string, Key: string, Value: string) =>
  aws.direct("ssm", "AddTagsToResource", { ResourceType: "Parameter", ResourceId: name, Tags: [{ Key, Value }] });
const untag = (name: string, key: string) =>
  aws.direct("ssm", "RemoveTagsFromResource", { ResourceType: "Parameter", ResourceId: name, TagKeys: [key] });

afterEach(() => aws.allowAll());

describe("a label", () => {
  it("is followed when it moves, forward and back, for one parameter and below a path", async () => {
    for (const value of ["1", "2", "3"]) await aws.putParameter({ name: "/label/a", value, type: "SecureString" });
    await aws.putParameter({ name: "/label/unlabelled", value: "u" });
    await aws.labelParameterVersion("/label/a", ["prod"], 1);
    await world.apply("label", {
      data: [{ key: "ONE", parameter: { name: "/label/a", label: "prod" } }],
      dataFrom: [{ path: { name: "/label", label: "prod" } }],
    });
    await world.sync();
    expect(await world.data("label")).toEqual({ ONE: "1", a: "1" });
    for (const version of [3, 2]) {
      await aws.labelParameterVersion("/label/a", ["prod"], version);
      await poll();
      expect(await world.data("label")).toEqual({ ONE: String(version), a: String(version) });
      const { status } = await world.synced("label");
      expect(status?.sources).toMatchObject([{ name: "/label/a", selector: "prod", version }]);
    }
  });

  it("that no version has is reported, and the Secret is kept", async () => {
    await aws.putParameter({ name: "/unlabel/a", value: "1" });
    await world.apply("unlabel", { data: [{ key: "A", parameter: { name: "/unlabel/a", label: "prod" } }] });
    await world.sync();
    await refused(world, "unlabel", "VersionNotFound", ["data[0] (A): parameter /unlabel/a has no label prod"]);
    expect(await world.secret("unlabel")).toBeUndefined();
  });
});

describe("a path", () => {
  it("selects by types, tags, label, include and exclude", async () => {
    const put = (name: string, type: "String" | "SecureString" | "StringList" = "SecureString") =>
      aws.putParameter({ name: `/path/${name}`, value: `of ${name}`, type });
    for (const name of ["a", "b", "deep/c", "untagged", "other", "not-included", "excluded"]) await put(name);
    await put("plain", "String");
    for (const name of ["a", "b", "deep/c", "plain", "not-included", "excluded"]) {
      await tag(`/path/${name}`, "env", "prod");
      await tag(`/path/${name}`, "team", "shop");
    }
    await tag("/path/other", "env", "test");
    for (const name of ["a", "deep/c", "untagged", "other", "plain", "not-included", "excluded"]) {
      await aws.labelParameterVersion(`/path/${name}`, ["live"]);
    }
    const path = {
      name: "/path",
      recursive: true,
      label: "live",
      types: ["SecureString" as const],
      tags: { env: "prod", team: "shop" },
      include: ["/[a-z]$", "excluded"],
      exclude: ["excl"],
    };
    await world.apply("path", { dataFrom: [{ path }] });
    await world.sync();
    expect(await world.data("path")).toEqual({ a: "of a", deep_c: "of deep/c" });
    // The keys appear with the first status that is written, or checked, after they are known.
    await world.pass(5_000, 1);
    world.engine.syncedSecrets.triggers.enqueue(`${world.namespace}/path`, "bulk");
    await world.sync();
    expect((await world.synced("path")).status?.sources?.[0]).toMatchObject({ keyId: "alias/aws/ssm" });
    await steady(world, "path");
  });

  it("removes a parameter that lost its tag, after the grace, and takes it back, by polls", async () => {
    for (const name of ["/tags/a", "/tags/b"]) {
      await aws.putParameter({ name, value: "v" });
      await tag(name, "env", "prod");
    }
    const dataFrom = [{ path: { name: "/tags", tags: { env: "prod" } } }];
    await world.apply("tags", { dataFrom, refresh: { whenMissing: "DeleteKeys" } });
    await world.sync();
    expect(await world.data("tags")).toEqual({ a: "v", b: "v" });
    await untag("/tags/a", "env");
    await poll();
    expect(await world.data("tags"), "it is only suspected").toEqual({ a: "v", b: "v" });
    await world.pass(11 * minute);
    expect(await world.data("tags")).toEqual({ b: "v" });
    await tag("/tags/a", "env", "prod");
    await poll();
    expect(await world.data("tags")).toEqual({ a: "v", b: "v" });
  });

  it("with tags that nothing has is an error that names them and the permission, unless allowEmpty", async () => {
    await aws.putParameter({ name: "/tagless/a", value: "v" });
    const path = { name: "/tagless", tags: { team: "shop", env: "prod" } };
    await world.apply("tagless", { dataFrom: [{ path }] });
    await world.sync();
    const says = [
      "dataFrom[0]",
      "/tagless with the tags env=prod, team=shop",
      "ssm:DescribeParameters",
      "allowEmpty: true",
    ];
    await refused(world, "tagless", "EmptyResult", says);
    expect(await world.secret("tagless")).toBeUndefined();
    await world.apply("tagless", { dataFrom: [{ path, allowEmpty: true }] });
    await world.sync();
    expect(await world.ready("tagless")).toMatchObject({ status: "True" });
    expect(await world.data("tagless")).toEqual({});
  });

  it("with tags reports a denied DescribeParameters, and the last good Secret is kept", async () => {
    await aws.putParameter({ name: "/tagdeny/a", value: "v" });
    await tag("/tagdeny/a", "env", "prod");
    await world.apply("tagdeny", { dataFrom: [{ path: { name: "/tagdeny", tags: { env: "prod" } } }] });
    await world.sync();
    const good = await world.secret("tagdeny");
    aws.deny({ action: "ssm:DescribeParameters" });
    await poll();
    await refused(world, "tagdeny", "AccessDenied", [
      "dataFrom[0]",
      "may not ssm:DescribeParameters on *",
      "IAM policy",
    ]);
    expect(await world.secret("tagdeny")).toEqual(good);
    aws.allowAll();
    await world.pass(11 * minute);
    expect(await world.ready("tagdeny")).toMatchObject({ status: "True" });
  });
});

describe("a parameter", () => {
  it("of 4 KB, and an advanced one of 8 KB, are synced whole", async () => {
    await aws.putParameter({ name: "/size/standard", value: "s".repeat(4_096), type: "SecureString" });
    await aws.putParameter({
      name: "/size/advanced",
      value: "a".repeat(8_192),
      type: "SecureString",
      tier: "Advanced",
    });
    await world.apply("size", { data: [one("S", "/size/standard"), one("A", "/size/advanced")] });
    await world.sync();
    expect(await world.data("size")).toEqual({ S: "s".repeat(4_096), A: "a".repeat(8_192) });
  });

  it("of type StringList is its text for one key, and its items as a document", async () => {
    await aws.putParameter({ name: "/list", value: "a=1,b=2", type: "StringList" });
    await world.apply("list", {
      data: [one("LIST", "/list")],
      dataFrom: [{ parameter: { name: "/list" }, format: "StringList" }],
    });
    await world.sync();
    expect(await world.data("list")).toEqual({ LIST: "a=1,b=2", a: "1", b: "2" });
  });

  it("that was deleted and recreated is new in version 1, without a call for its history", async () => {
    await aws.putParameter({ name: "/again", value: "first", type: "SecureString" });
    await world.apply("again", { data: [one("A", "/again")] });
    await world.sync();
    aws.resetCalls();
    await aws.deleteParameter("/again");
    await new Promise((resolve) => setTimeout(resolve, 5));
    await aws.putParameter({ name: "/again", value: "second", type: "SecureString" });
    await poll();
    expect(await world.data("again")).toEqual({ A: "second" });
    expect((await world.synced("again")).status?.sources).toMatchObject([{ name: "/again", version: 1 }]);
    expect(aws.count({ operation: "GetParameterHistory" })).toBe(0);
  });
});

describe("parameters published by AWS", async () => {
  const allow = {
    namespaces: { selector: {} },
    parameters: ["/*", "/aws/service/*", "/aws/reference/secretsmanager/*"],
  };
  const own = await makeWorld(cluster, "kinds-aws", {}, { allow });
  // Otherwise the first call that needs moto would wait for its start.
  const region = "/aws/service/global-infrastructure/regions/eu-west-1";
  await own.aws.direct("ssm", "GetParameter", { Name: region });

  it("are read below /aws/service like any other, if the connection lists them explicitly", async () => {
    await own.apply("public", { data: [one("REGION", region)] });
    await own.sync();
    expect(await own.data("public")).toEqual({ REGION: "eu-west-1" });
    await own.pass(10_000);
    expect(own.aws.count({ operation: "DescribeParameters" })).toBe(0);
    await world.apply("public", { data: [one("REGION", region)] });
    await world.sync();
    await refused(world, "public", "NotAllowed", [region]);
  }, 60_000);

  const ask = (target: string, body: object) => secretsManager(own.aws.url, target, body);
  const db = "/aws/reference/secretsmanager/db";

  it("and secrets of Secrets Manager are decrypted at each look, ten minutes apart, and compared by version id", async () => {
    await ask("CreateSecret", { Name: "db", SecretString: "one" });
    await own.apply("secret", { data: [one("DB", db)], refresh: { pollInterval: "10s" } });
    await own.sync();
    expect(await own.data("secret")).toEqual({ DB: "one" });
    const source = async () => (await own.synced("secret")).status!.sources![0]!;
    expect(await source()).toMatchObject({ name: db, version: 0, versionId: expect.stringMatching(/^[A-Za-z0-9-]+$/) });
    const before = await source();

    const costs = await costsOf(cluster, own);
    own.aws.resetCalls();
    await own.pass(60 * minute, 60);
    const looks = own.aws.log().filter(({ names }) => names?.includes(db));
    expect(looks.length).toBeGreaterThanOrEqual(5);
    expect(looks.length).toBeLessThanOrEqual(7);
    expect(looks.every(({ decrypt, error }) => decrypt && !error)).toBe(true);
    const audited = own.audited.map((line) => JSON.parse(line) as { source: string; requestId: string });
    const requests = new Set(audited.filter(({ source }) => source === db).map(({ requestId }) => requestId));
    for (const { requestId } of looks) expect(requests).toContain(requestId);
    expect(await own.ready("secret")).toMatchObject({ status: "True" });
    expect(await costs()).toMatchObject({ ...nothing, decryptions: expect.any(Number), looks: expect.any(Number) });

    await own.restart();
    await own.sync();
    expect(await costs()).toEqual(nothing);

    await ask("PutSecretValue", { SecretId: "db", SecretString: "two" });
    await own.pass(11 * minute, 11);
    expect(await own.data("secret")).toEqual({ DB: "two" });
    expect((await source()).versionId).not.toBe(before.versionId);
  }, 60_000);

  it("and a missing secret is missing, and a deleted one is gone", async () => {
    await own.apply("nosecret", { data: [one("DB", "/aws/reference/secretsmanager/none")] });
    await own.sync();
    await refused(own, "nosecret", "ParameterNotFound", ["/aws/reference/secretsmanager/none"]);
  });

  it("and secrets cannot be listed, and have no version numbers", async () => {
    await own.apply("listed", { dataFrom: [{ path: { name: "/aws/reference/secretsmanager/" } }] });
    await own.apply("numbered", { data: [{ key: "DB", parameter: { name: db, version: 1 } }] });
    await own.sync();
    await refused(own, "listed", "InvalidData", ["dataFrom[0]", "name each secret by parameter"]);
    await refused(own, "numbered", "InvalidData", ["data[0] (DB)", "remove version"]);
  });

  it("and a pattern for everything does not include secrets", async () => {
    await world.apply("reference", { data: [one("DB", db)] });
    await world.sync();
    await refused(world, "reference", "NotAllowed", [db]);
  });
});
