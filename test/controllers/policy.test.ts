import { beforeAll, expect, it } from "vitest";
import { stringify } from "yaml";
import type { ClusterAWSConnection, SyncedSecretSpec } from "../../src/api/types.ts";
import { clusterAWSConnections, type KubeObject } from "../../src/kube/resource.ts";
import type { Document, KeyStatements } from "../../src/policy/document.ts";
import { keyferry } from "../cli/run.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { allows } from "../emulator/policy.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const hub = "arn:aws:iam::222222222222:role/hub";
const account = "333333333333";
const reader = `arn:aws:iam::${account}:role/reader`;
const world = await makeWorld(cluster, "policy", { clusterName: "prod" });
const { aws, namespace } = world;
const start = `the keys of Secret ${namespace}/aws-credentials`;
const keys = { parameters: "", bound: "", alias: "", free: "" };
const specs: Record<string, SyncedSecretSpec> = {};

const tags = { ResourceType: "Parameter", ResourceId: "/shop/path/a", Tags: [{ Key: "env", Value: "prod" }] };

interface Printed {
  identities: { identity: string; policy: Document }[];
  keys: KeyStatements[];
}

const connection: Record<string, unknown> = {
  auth: {
    secretRef: { name: "aws-credentials", namespace },
    assumeRole: [{ roleArn: hub, sessionTags: { team: "shop" } }, { roleArn: reader }],
  },
  allow: { namespaces: { names: [namespace] }, parameters: ["/shop/*"], keyIds: ["*"] },
  binding: { scope: "Name", allowUnbound: true },
};

beforeAll(async () => {
  const scope = { account };
  for (const name of ["parameters", "bound", "free"] as const) keys[name] = await aws.createKey({}, scope);
  keys.alias = await aws.createKey({ alias: "alias/shop" }, scope);
  const put = (name: string, type = "SecureString") =>
    aws.putParameter(
      { name, value: `value of ${name}`, type, keyId: type === "SecureString" ? keys.parameters : undefined } as never,
      scope,
    );
  for (const name of ["/shop/db", "/shop/path/a", "/shop/path/b", "/shop/other"]) await put(name);
  await aws.direct("ssm", "AddTagsToResource", tags, scope);
  const context = { "keyferry.io/cluster": "prod", "keyferry.io/namespace": namespace, "keyferry.io/name": "blobs" };
  const blob = (keyId: string, bound: object = { context }) =>
    aws.encrypt({ keyId, plaintext: "a blob", ...bound }, scope);
  specs.parameters = {
    data: [{ key: "DB", parameter: { name: "/shop/db" } }],
    dataFrom: [{ path: { name: "/shop/path", tags: { env: "prod" } } }],
  };
  specs.blobs = {
    data: [
      { key: "A", kms: { ciphertext: await blob(keys.bound), keyId: keys.bound } },
      { key: "B", kms: { ciphertext: await blob(keys.alias), keyId: "alias/shop" } },
      { key: "C", kms: { ciphertext: await blob(keys.free, {}), keyId: keys.free, bound: false } },
    ],
  };
  await world.makeConnection(connection);
});

async function policy(...args: string[]): Promise<Printed> {
  const apiVersion = "keyferry.io/v1alpha1";
  const endpoints = { ssm: aws.url, kms: aws.url, sts: aws.url, sqs: aws.url };
  const connectionRef = { kind: "ClusterAWSConnection", name: namespace };
  const objects = [
    ...Object.entries(specs).map(([name, spec]) => ({
      ...{ apiVersion, kind: "SyncedSecret", metadata: { name, namespace } },
      spec: { connectionRef, ...spec },
    })),
    {
      ...{ apiVersion, kind: "ClusterAWSConnection", metadata: { name: namespace } },
      spec: { region: "eu-west-1", endpoints, ...connection },
    },
  ];
  const input = objects.map((object) => stringify(object)).join("---\n");
  const ran = await keyferry(["policy", "--cluster-name", "prod", "--parameter-key", keys.parameters, ...args], {
    input,
  });
  expect([ran.code, ran.err]).toEqual([0, ""]);
  return JSON.parse(ran.out) as Printed;
}

/** Makes the emulator allow only what these policies allow. */
function enforce(identities: Printed["identities"]): void {
  const byIdentity = new Map(identities.map((one) => [one.identity, one.policy]));
  aws.allowOnly((request) => {
    const role = /^arn:aws:sts::([0-9]+):assumed-role\/([^/]+)\//.exec(request.principal);
    const document = byIdentity.get(role ? `arn:aws:iam::${role[1]}:role/${role[2]}` : start);
    return document !== undefined && allows(document, request);
  });
}

/** The reasons of the SyncedSecrets, created for the first time by a new process. */
async function reasons(identities: Printed["identities"]): Promise<string[]> {
  aws.allowAll();
  for (const name of Object.keys(specs)) {
    await world.kubectl(["delete", "syncedsecret,secret", name, "--ignore-not-found"]);
    await world.apply(name, specs[name]!);
  }
  enforce(identities);
  await world.restart();
  await world.sync();
  return Promise.all(Object.keys(specs).map(async (name) => (await world.ready(name)).reason));
}

it("the output of keyferry policy is sufficient for the operator, and no statement can be left out", async () => {
  const { identities } = await policy("--no-optional");
  expect(identities.map(({ identity }) => identity)).toEqual([hub, reader, start]);
  expect(await reasons(identities)).toEqual(["Synced", "Synced"]);
  const dropped: string[] = [];
  for (const { identity, policy: whole } of identities) {
    for (const statement of whole.Statement) {
      const rest = { ...whole, Statement: whole.Statement.filter((other) => other !== statement) };
      const less = identities.map((one) => (one.identity === identity ? { identity, policy: rest } : one));
      expect([statement.Sid, await reasons(less)]).not.toEqual([statement.Sid, ["Synced", "Synced"]]);
      dropped.push(statement.Sid);
    }
  }
  expect(dropped.sort()).toEqual([
    ...[
      "AssumeRoles",
      "AssumeRoles",
      "DecryptBlobs",
      "DecryptBoundBlobs",
      "DecryptBoundBlobs2",
      "DecryptSecureStrings",
    ],
    ...["ListPaths", "ReadParameters", "TagsOfPaths"],
  ]);
}, 60_000);

it("no resource can be left out either, except those below a path, which are only read when missing", async () => {
  const { identities } = await policy("--no-optional");
  const needless: string[] = [];
  for (const { identity, policy: whole } of identities) {
    for (const statement of whole.Statement) {
      const resources = [statement.Resource].flat();
      if (resources.length === 1) continue;
      for (const resource of resources) {
        const less = { ...statement, Resource: resources.filter((other) => other !== resource) };
        const rest = { ...whole, Statement: whole.Statement.map((other) => (other === statement ? less : other)) };
        const all = identities.map((one) => (one.identity === identity ? { identity, policy: rest } : one));
        if ((await reasons(all)).every((reason) => reason === "Synced")) needless.push(resource);
      }
    }
  }
  const members = `arn:aws:ssm:eu-west-1:${account}:parameter/shop/path/*`;
  expect(needless).toEqual([members]);
  const afterDeletion = async (policies: Printed["identities"]) => {
    const secure = { type: "SecureString", keyId: keys.parameters } as const;
    await aws.putParameter({ name: "/shop/path/a", value: "a", ...secure }, { account });
    await aws.direct("ssm", "AddTagsToResource", tags, { account });
    expect(await reasons(policies)).toEqual(["Synced", "Synced"]);
    await aws.deleteParameter("/shop/path/a", { account });
    await world.pass(20 * 60_000);
    return Object.keys((await world.data("parameters"))!).sort();
  };
  specs.parameters!.refresh = { whenMissing: "DeleteKeys" };
  specs.parameters!.dataFrom![0]!.allowEmpty = true;
  // As a resource, not in the key's condition, which the values of the members need.
  const without = JSON.parse(JSON.stringify(identities)) as Printed["identities"];
  for (const statement of without.flatMap(({ policy: { Statement } }) => Statement)) {
    statement.Resource = [statement.Resource].flat().filter((resource) => resource !== members);
  }
  expect(await afterDeletion(without)).toEqual(["DB", "a"]);
  expect(await afterDeletion(identities)).toEqual(["DB"]);
}, 60_000);

it("the policy does not go beyond what the manifests name", async () => {
  const { identities } = await policy();
  enforce(identities);
  const whole = identities.find(({ identity }) => identity === reader)!.policy;
  const arn = (name: string) => `arn:aws:ssm:eu-west-1:${account}:parameter${name}`;
  const ask = (action: string, resource: string, context: Record<string, string> = {}) =>
    allows(whole, { action, resource, principal: reader, context: new Map(Object.entries(context)) });
  const via = { "kms:ViaService": "ssm.eu-west-1.amazonaws.com" };
  const bound = {
    "kms:EncryptionContext:keyferry.io/cluster": "prod",
    "kms:EncryptionContext:keyferry.io/namespace": namespace,
    "kms:EncryptionContext:keyferry.io/name": "blobs",
  };
  expect(ask("ssm:GetParameters", arn("/shop/db"))).toBe(true);
  expect(ask("ssm:GetParameters", arn("/shop/other"))).toBe(false);
  expect(ask("ssm:PutParameter", arn("/shop/db"))).toBe(false);
  const secure = (name: string) => ({ ...via, "kms:EncryptionContext:PARAMETER_ARN": arn(name) });
  expect(ask("kms:Decrypt", keys.parameters, secure("/shop/db"))).toBe(true);
  expect(ask("kms:Decrypt", keys.parameters, secure("/shop/other"))).toBe(false);
  expect(ask("kms:Decrypt", keys.parameters, { ...secure("/shop/db"), "kms:ViaService": "" })).toBe(false);
  expect(ask("kms:Decrypt", keys.bound, bound)).toBe(true);
  expect(ask("kms:Decrypt", keys.bound, { ...bound, "kms:EncryptionContext:keyferry.io/name": "other" })).toBe(false);
  expect(ask("kms:Decrypt", keys.bound)).toBe(false);
  expect(ask("kms:Decrypt", keys.alias, bound)).toBe(false);
  expect(ask("kms:Decrypt", keys.alias, { ...bound, "kms:RequestAlias": "alias/shop" })).toBe(true);
  expect(ask("kms:DescribeKey", keys.bound)).toBe(true);
});

it("lists what each key's policy must allow, and to whom", async () => {
  const printed = await policy("--no-optional");
  const alias = `arn:aws:kms:eu-west-1:${account}:alias/shop`;
  expect(printed.keys.map(({ key }) => key)).toEqual([alias, ...[keys.bound, keys.free, keys.parameters].sort()]);
  const [statement] = printed.keys.find(({ key }) => key === keys.bound)!.statements;
  expect(statement).toEqual({
    Sid: "DecryptBoundBlobs",
    Effect: "Allow",
    Principal: { AWS: reader },
    Action: "kms:Decrypt",
    Resource: "*",
    Condition: {
      StringEquals: {
        "kms:EncryptionContext:keyferry.io/cluster": "prod",
        "kms:EncryptionContext:keyferry.io/namespace": namespace,
        "kms:EncryptionContext:keyferry.io/name": "blobs",
      },
    },
  });
});

it("receiving from an event queue needs both of its statements", async () => {
  const queueUrl = await aws.createQueue(`policy-${namespace}`, { account });
  const endpoints = { ssm: aws.url, kms: aws.url, sts: aws.url, sqs: aws.url };
  connection.events = { queueUrl };
  await world.makeConnection({ ...connection, endpoints });
  const { identities } = await policy("--no-optional");
  const ready = async (policies: Printed["identities"], wanted: string) => {
    enforce(policies);
    await world.restart();
    world.engine.events.begin();
    const said = async () => {
      await world.sync();
      const { status } = await world.client.get<KubeObject & ClusterAWSConnection>(
        clusterAWSConnections,
        undefined,
        namespace,
      );
      return status?.conditions?.find(({ type }) => type === "EventsReady")?.status;
    };
    await expect.poll(said, { timeout: 5_000 }).toBe(wanted);
  };
  const without = (sid: string) =>
    identities.map(({ identity, policy: { Version, Statement } }) => ({
      identity,
      policy: { Version, Statement: Statement.filter(({ Sid }) => Sid !== sid) },
    }));
  await ready(identities, "True");
  await ready(without("ReceiveEvents"), "False");
  await ready(identities, "True");
  await ready(without("TagsOfQueues"), "False");
}, 60_000);
