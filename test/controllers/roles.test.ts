import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClusterAWSConnection, SyncedSecretSpec } from "../../src/api/types.ts";
import { awsConnections, clusterAWSConnections, type KubeObject, syncedSecrets } from "../../src/kube/resource.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { one, refused, steady } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "roles", { clusterName: "demo" });
const { aws, namespace } = world;
const neighbour = await cluster.freshNamespace("roles-neighbour");
world.neighbours.push(neighbour);

const minute = 60_000;
const account = "333333333333";
const hub = "arn:aws:iam::222222222222:role/hub";
const tenantOf = (name: string) => `arn:aws:iam::${account}:role/tenant-${name}`;
const user = "arn:aws:iam::123456789012:user/AKIAKEYFERRYTEST";
const session = (where: string) => `arn:aws:sts::${account}:assumed-role/tenant-${where}/keyferry.demo.${where}`;
const both = { namespaces: { names: [namespace, neighbour] }, parameters: ["/*"] };
const secretRef = { name: "aws-credentials", namespace };
const eachNamespace = {
  allow: both,
  auth: {
    secretRef,
    assumeRole: [
      { roleArn: hub },
      {
        roleArn: tenantOf("{namespace}"),
        externalId: "an-external-id",
        sessionTags: { ns: "{namespace}" },
        sourceIdentity: "kf-{namespace}",
      },
    ],
  },
};

beforeEach(() => aws.resetCalls());
afterEach(async () => {
  aws.allowAll();
  aws.clearFaults();
  for (const role of [hub, ...[namespace, neighbour].map(tenantOf)]) aws.role(role, {});
  for (const where of [namespace, neighbour]) {
    await cluster.run(["--namespace", where, "delete", "syncedsecrets,awsconnections", "--all"]);
  }
  await world.makeConnection();
  await world.restart();
  await world.sync();
});

const put = (name: string, value: string, where = account) => aws.putParameter({ name, value }, { account: where });

const applyIn = (where: string, name: string, spec: SyncedSecretSpec) => world.apply(name, spec, { namespace: where });

const readyIn = async (where: string, name: string) => {
  const { status } = await world.client.get<KubeObject & { status: ClusterAWSConnection["status"] }>(
    syncedSecrets,
    where,
    name,
  );
  return status?.conditions?.find(({ type }) => type === "Ready");
};
const clusterConnection = async () =>
  (await world.client.get<ClusterAWSConnection & KubeObject>(clusterAWSConnections, undefined, namespace)).status!;
const readsOf = (accessKeyId: string) => aws.log({ service: "ssm", accessKeyId, via: "client" });
const keysThatRead = () => new Set(aws.log({ service: "ssm", via: "client" }).map(({ accessKeyId }) => accessKeyId));

describe("a connection that assumes roles", () => {
  it("reads in the last role's account, and reports its caller", async () => {
    await put("/a", "theirs");
    await world.makeConnection({ auth: { secretRef, assumeRole: [{ roleArn: hub }, { roleArn: tenantOf("x") }] } });
    await world.apply("a", { data: [one("A", "/a")] });
    await world.sync();
    expect(await world.data("a")).toEqual({ A: "theirs" });
    expect(await clusterConnection()).toMatchObject({
      accountID: account,
      callerARN: `arn:aws:sts::${account}:assumed-role/tenant-x/keyferry.demo`,
    });
    expect(aws.count({ operation: "AssumeRole" })).toBe(2);
    await steady(world, "a");
  });

  it("of one namespace begins with its own keys, and {namespace} is its own", async () => {
    await put("/a", "theirs");
    const tenant = { AWS_ACCESS_KEY_ID: "AKIAOFTENANT", AWS_SECRET_ACCESS_KEY: "x" };
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "tenant" }, stringData: tenant };
    await world.kubectl(["apply", "-f", "-"], JSON.stringify(secret));
    const connection = {
      apiVersion: "keyferry.io/v1alpha1",
      kind: "AWSConnection",
      metadata: { name: "aws", namespace },
      spec: {
        region: "eu-west-1",
        auth: { secretRef: { name: "tenant" }, assumeRole: [{ roleArn: tenantOf("{namespace}") }] },
      },
    };
    await world.atTheEmulator(async () => {
      await world.kubectl(["apply", "-f", "-"], JSON.stringify(connection));
      await world.apply("a", { connectionRef: { kind: "AWSConnection", name: "aws" }, data: [one("A", "/a")] });
      await world.sync();
    });
    expect(await world.data("a")).toEqual({ A: "theirs" });
    const { status } = await world.client.get<ClusterAWSConnection & KubeObject>(awsConnections, namespace, "aws");
    expect(status).toMatchObject({ accountID: account });
    expect(status!.callerARN).toBe(`arn:aws:sts::${account}:assumed-role/tenant-${namespace}/keyferry.demo`);
    expect(aws.sessions().at(-1)).toMatchObject({
      by: "arn:aws:iam::123456789012:user/AKIAOFTENANT",
      roleArn: tenantOf(namespace),
    });
  });

  it("is not ready while a role is refused, reports which and what to do, and recovers by itself", async () => {
    await put("/a", "theirs");
    aws.role(tenantOf("x"), { trusts: [user] });
    const external = "shh-an-external-id";
    await world.makeConnection({
      auth: { secretRef, assumeRole: [{ roleArn: hub }, { roleArn: tenantOf("x"), externalId: external }] },
    });
    await world.apply("a", { data: [one("A", "/a")] });
    await world.sync();
    const message = await refused(world, "a", "ConnectionNotReady", [
      "auth.assumeRole[1]: arn:aws:sts::222222222222:assumed-role/hub/keyferry.demo may not sts:AssumeRole on",
      "its trust policy must name that caller with sts:AssumeRole",
    ]);
    expect(`${message}${world.lines.join()}${JSON.stringify(await clusterConnection())}`).not.toContain(external);
    aws.role(tenantOf("x"), {});
    await world.pass(2 * minute);
    expect(await world.data("a")).toEqual({ A: "theirs" });
  });
});

describe("a connection with {namespace} in its roles", () => {
  it("gives each namespace its own identity, which AWS sees and which shares no call", async () => {
    await Promise.all([put("/shared", "s"), put("/a", "a"), put("/b", "b")]);
    await world.makeConnection(eachNamespace);
    await world.apply("a", { data: [one("A", "/a"), one("S", "/shared")] });
    await applyIn(neighbour, "b", { data: [one("B", "/b"), one("S", "/shared")] });
    await world.sync();
    expect(await world.data("a")).toEqual({ A: "a", S: "s" });
    expect(await readyIn(neighbour, "b")).toMatchObject({ status: "True" });
    const sessions = aws.sessions().filter(({ name }) => name.startsWith("keyferry.demo.roles"));
    for (const where of [namespace, neighbour]) {
      expect(sessions).toContainEqual(
        expect.objectContaining({ roleArn: hub, by: user, name: `keyferry.demo.${where}` }),
      );
      expect(sessions).toContainEqual(
        expect.objectContaining({
          roleArn: tenantOf(where),
          by: `arn:aws:sts::222222222222:assumed-role/hub/keyferry.demo.${where}`,
          tags: { ns: where },
          sourceIdentity: `kf-${where}`,
          externalId: "an-external-id",
        }),
      );
    }
    expect(aws.count({ operation: "AssumeRole" })).toBe(4);
    const keys = [...keysThatRead()];
    expect(keys).toHaveLength(2);
    expect(
      keys
        .map((key) =>
          readsOf(key)
            .flatMap(({ names }) => names!)
            .sort(),
        )
        .sort(),
    ).toEqual([
      ["/a", "/shared"],
      ["/b", "/shared"],
    ]);
    const lines = await world.metrics.registry.metrics();
    expect(lines).toContain(`keyferry_aws_quota_used_ratio{account="${account}",region="eu-west-1",service="ssm"}`);
    expect(lines).not.toContain('keyferry_aws_quota_used_ratio{account="of');
    await steady(world, "a");
  });

  it("has no caller of its own, and counts the namespaces that use it", async () => {
    await put("/a", "a");
    await world.makeConnection(eachNamespace);
    await world.sync();
    const status = await clusterConnection();
    expect(status).toMatchObject({
      accountID: account,
      conditions: [{ type: "Ready", status: "True", reason: "Synced" }],
    });
    expect(status.callerARN).toBeUndefined();
    expect(status.conditions![0]!.message).toContain(
      `each namespace calls AWS account ${account} in eu-west-1 by a role of its own; 0 namespaces use it`,
    );
    expect(aws.log()).toEqual([]);
    await world.apply("a", { data: [one("A", "/a")] });
    await world.sync();
    await world.pass(6 * minute);
    expect((await clusterConnection()).conditions![0]!.message).toContain("1 namespace uses it");
    await world.deleteSynced("a");
    await world.sync();
    await world.pass(6 * minute);
    expect((await clusterConnection()).conditions![0]!.message).toContain("0 namespaces use it");
  });

  it("reports a refusal to its own namespace, while others continue", async () => {
    await Promise.all([put("/a", "a"), put("/b", "b")]);
    aws.role(tenantOf(neighbour), { trusts: [] });
    await world.makeConnection(eachNamespace);
    await world.apply("a", { data: [one("A", "/a")] });
    await applyIn(neighbour, "b", { data: [one("B", "/b")] });
    await world.sync();
    expect(await world.data("a")).toEqual({ A: "a" });
    const ready = await readyIn(neighbour, "b");
    expect(ready).toMatchObject({ status: "False", reason: "AccessDenied" });
    expect(ready!.message).toContain(
      `data[0] (B): auth.assumeRole[1]: arn:aws:sts::222222222222:assumed-role/hub/keyferry.demo.${neighbour} may not sts:AssumeRole on ${tenantOf(neighbour)}`,
    );
    expect(ready!.message).toContain("sts:AssumeRole, sts:TagSession, sts:SetSourceIdentity");
    expect(ready!.message).not.toContain("an-external-id");
    await world.pass(6 * minute);
    const { conditions } = await clusterConnection();
    expect(conditions![0]).toMatchObject({ type: "Ready", status: "True" });
    expect(conditions![0]!.message).toContain(
      "2 namespaces use it, 1 of which cannot be assumed: their SyncedSecrets say why",
    );
    aws.role(tenantOf(neighbour), {});
    await world.pass(6 * minute);
    expect(await readyIn(neighbour, "b")).toMatchObject({ status: "True" });
  });

  it("makes few STS calls while 500 blobs wait for a denied role, and opens all once it is granted", async () => {
    const key = await aws.createKey({}, { account });
    const ciphertext = await aws.encrypt({ keyId: key, plaintext: "p" }, { account });
    const blobs = Array.from({ length: 50 }, (_, n) => ({ key: `K${n}`, kms: { ciphertext, keyId: key } }));
    aws.role(tenantOf(namespace), { trusts: [] });
    await world.makeConnection({ ...eachNamespace, allow: { ...both, keyIds: [key] } });
    for (let n = 0; n < 10; n++) await world.apply(`s${n}`, { data: blobs });
    await world.sync();
    await refused(world, "s0", "AccessDenied", [`may not sts:AssumeRole on ${tenantOf(namespace)}`]);
    expect(aws.count({ operation: "AssumeRole" })).toBeLessThanOrEqual(6);
    expect(aws.count({ operation: "Decrypt" })).toBe(0);
    aws.role(tenantOf(namespace), {});
    await world.pass(6 * minute);
    for (let n = 0; n < 10; n++) expect(Object.keys((await world.data(`s${n}`))!)).toHaveLength(50);
    expect(aws.count({ operation: "Decrypt" })).toBe(500);
  });

  it("names a namespace's caller in a denial", async () => {
    await put("/a", "a");
    aws.deny({ principal: session(namespace), parameter: "/a" });
    await world.makeConnection(eachNamespace);
    await world.apply("a", { data: [one("A", "/a")] });
    await world.sync();
    await refused(world, "a", "AccessDenied", [`${session(namespace)} may not ssm:GetParameters`]);
  });

  it("has one quota for all of its namespaces, to which limits apply", async () => {
    await put("/a", "a");
    await world.makeConnection({ ...eachNamespace, limits: { ssmRequestsPerSecond: 7 } });
    await world.apply("a", { data: [one("A", "/a")] });
    await applyIn(neighbour, "b", { data: [one("A", "/a")] });
    await world.sync();
    const places = [...world.quotas].filter(({ account: whose, service }) => whose === account && service === "ssm");
    expect(places.map(({ quota }) => quota.limit)).toEqual([7]);
    await world.makeConnection({ ...eachNamespace, limits: { ssmRequestsPerSecond: 9 } });
    await world.sync();
    expect(places.map(({ quota }) => quota.limit)).toEqual([9]);
  });

  it("uses changed roles from the next look on", async () => {
    await Promise.all([put("/a", "a"), put("/a", "other", "444444444444")]);
    await world.makeConnection(eachNamespace);
    await world.apply("a", { data: [one("A", "/a")] });
    await world.sync();
    expect(await world.data("a")).toEqual({ A: "a" });
    await world.makeConnection({
      allow: both,
      auth: { secretRef, assumeRole: [{ roleArn: "arn:aws:iam::444444444444:role/{namespace}" }] },
    });
    await world.sync();
    expect(await world.data("a")).toEqual({ A: "other" });
    expect(await clusterConnection()).toMatchObject({ accountID: "444444444444" });
  });

  it("reports a role name that is too long for a namespace", async () => {
    await world.makeConnection({
      allow: both,
      auth: { secretRef, assumeRole: [{ roleArn: `arn:aws:iam::${account}:role/${"x".repeat(50)}-{namespace}` }] },
    });
    await world.apply("a", { data: [one("A", "/a")] });
    await world.sync();
    await refused(world, "a", "InvalidData", [`a role's name of over 64 characters for namespace ${namespace}`]);
    expect(aws.log()).toEqual([]);
  });
});

describe("a resource of another account", () => {
  const arn = (name: string, region = "eu-west-1") => `arn:aws:ssm:${region}:999999999999:parameter${name}`;
  const allowed = { namespaces: { names: [namespace] }, parameters: [arn("/*"), arn("/*", "eu-central-1"), "/*"] };

  it("is read by its ARN, with a name of the own account, in one call", async () => {
    await aws.putParameter({ name: "/a", value: "theirs", tier: "Advanced" }, { account: "999999999999" });
    await aws.putParameter({ name: "/a", value: "ours" });
    await world.makeConnection({ allow: allowed });
    await world.apply("a", { data: [one("THEIRS", arn("/a")), one("OURS", "/a")] });
    await world.sync();
    expect(await world.data("a")).toEqual({ THEIRS: "theirs", OURS: "ours" });
    expect(aws.count({ operation: "GetParameters" })).toBe(1);
    await aws.putParameter({ name: "/a", value: "newer", tier: "Advanced" }, { account: "999999999999" });
    await world.pass(6 * minute);
    expect(await world.data("a")).toEqual({ THEIRS: "newer", OURS: "ours" });
    await steady(world, "a");
  });

  it("that is missing may also not be shared", async () => {
    await world.makeConnection({ allow: allowed });
    await world.apply("a", { data: [one("A", arn("/none"))] });
    await world.sync();
    await refused(world, "a", "ParameterNotFound", [
      "does not exist in account 999999999999, or is not shared with account 123456789012 by AWS RAM",
    ]);
  });

  it("in another region is refused before any AWS call", async () => {
    await world.makeConnection({ allow: allowed });
    await world.sync();
    aws.resetCalls();
    await world.apply("a", { data: [one("A", arn("/a", "eu-central-1"))] });
    await world.sync();
    await refused(world, "a", "InvalidData", ["is in region eu-central-1, but the connection reads in eu-west-1"]);
    expect(aws.log()).toEqual([]);
  });

  it("opens blobs if it is a key", async () => {
    const key = await aws.createKey({}, { account: "999999999999" });
    const ciphertext = await aws.encrypt({ keyId: key, plaintext: "p" }, { account: "999999999999" });
    await world.makeConnection({ allow: { ...allowed, keyIds: [key] } });
    await world.apply("a", { data: [{ key: "A", kms: { ciphertext, keyId: key } }] });
    await world.sync();
    expect(await world.data("a")).toEqual({ A: "p" });
  });

  it("if it is a denied key, is reported with both policies", async () => {
    const key = await aws.createKey({}, { account: "999999999999" });
    const ciphertext = await aws.encrypt({ keyId: key, plaintext: "p" }, { account: "999999999999" });
    aws.deny({ key });
    await world.apply("a", { data: [{ key: "A", kms: { ciphertext, keyId: key } }] });
    await world.sync();
    await refused(world, "a", "AccessDenied", [`${user} may not kms:Decrypt on ${key}`]);
  });
});

describe("the queue of a connection with one identity per namespace", () => {
  const wake = async () => {
    world.engine.events.begin();
    await world.sync();
    await expect.poll(() => aws.count({ operation: "ReceiveMessage" })).toBeGreaterThan(0);
    await expect
      .poll(async () => {
        await world.sync();
        return (await clusterConnection()).conditions!.find(({ type }) => type === "EventsReady")?.status;
      })
      .toBe("True");
  };
  const receivers = () => new Set(aws.log({ operation: "ReceiveMessage" }).map(({ accessKeyId }) => accessKeyId));

  it("is received from by the base identity, and its events trigger looks in each namespace", {
    timeout: 30_000,
  }, async () => {
    const queueUrl = await aws.createQueue(`roles-${namespace}`);
    await Promise.all([put("/a", "a"), put("/b", "b")]);
    const endpoints = { ssm: aws.url, kms: aws.url, sts: aws.url, sqs: aws.url };
    await world.makeConnection({ ...eachNamespace, endpoints, events: { queueUrl } });
    await world.apply("a", { data: [one("A", "/a")] });
    await applyIn(neighbour, "b", { data: [one("A", "/a")] });
    await wake();
    expect(receivers()).toEqual(new Set(["AKIAKEYFERRYTEST"]));
    aws.resetCalls();
    await put("/a", "newer");
    await sendChange(queueUrl, "/a");
    await expect.poll(() => keysThatRead().size).toBe(2);
    await world.sync();
    const synced = async () => {
      await world.sync();
      return world.data("a");
    };
    await expect.poll(synced).toEqual({ A: "newer" });
  });

  it("is received from by its own roles if it names them", { timeout: 30_000 }, async () => {
    const queueUrl = await aws.createQueue(`roles-own-${namespace}`, { account: "222222222222" });
    const endpoints = { ssm: aws.url, kms: aws.url, sts: aws.url, sqs: aws.url };
    await world.makeConnection({
      ...eachNamespace,
      endpoints,
      events: { queueUrl, auth: { assumeRole: [{ roleArn: hub }] } },
    });
    await wake();
    expect(aws.sessions().at(-1)).toMatchObject({ roleArn: hub, by: user, name: "keyferry.demo" });
    expect([...receivers()][0]).toMatch(/^ASIA/);
  });

  async function sendChange(queueUrl: string, name: string): Promise<void> {
    const event = {
      ...{
        version: "0",
        id: "1",
        source: "aws.ssm",
        "detail-type": "Parameter Store Change",
        account,
        region: "eu-west-1",
      },
      time: new Date().toISOString(),
      resources: [`arn:aws:ssm:eu-west-1:${account}:parameter${name}`],
      detail: { operation: "Update", name, type: "String" },
    };
    const { SQS } = await import("@aws-sdk/client-sqs");
    const sqs = new SQS({ ...aws.config(), useQueueUrlAsEndpoint: false });
    await sqs.sendMessage({ QueueUrl: queueUrl, MessageBody: JSON.stringify(event) });
  }
});
