import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClusterAWSConnection, SyncedSecretSpec } from "../../src/api/types.ts";
import { awsConnections, clusterAWSConnections, type KubeObject, syncedSecrets } from "../../src/kube/resource.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { one } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "accounts", { clusterName: "demo" });
const { aws, namespace } = world;
const neighbour = await cluster.freshNamespace("accounts-neighbour");
world.neighbours.push(neighbour);

const account = "333333333333";
const elsewhere = "444444444444";
const roleOf = (where: string, of = account) => `arn:aws:iam::${of}:role/app-${where}`;
const tenant = `arn:aws:iam::${account}:role/tenant`;
const annotation = "eks.amazonaws.com/role-arn";
const allow = { namespaces: { names: [namespace, neighbour] }, parameters: ["/*"] };
const endpoints = { ssm: aws.url, kms: aws.url, sts: aws.url };

const serviceAccount = (where: string, role?: string) => ({
  apiVersion: "v1",
  kind: "ServiceAccount",
  metadata: { name: "checkout", namespace: where, ...(role ? { annotations: { [annotation]: role } } : {}) },
});
const applied = (...objects: object[]) =>
  cluster.run(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
const put = (name: string, value: string, of = account) => aws.putParameter({ name, value }, { account: of });
const applyIn = (where: string, name: string, spec: SyncedSecretSpec) => world.apply(name, spec, { namespace: where });
const readyIn = async (where: string, name: string) => {
  const { status } = await world.client.get<KubeObject & { status?: ClusterAWSConnection["status"] }>(
    ...([syncedSecrets, where, name] as const),
  );
  return status?.conditions?.find(({ type }) => type === "Ready");
};
/** Runs the queues until nothing happens while ServiceAccounts are read in the background. */
const settled = async () => {
  for (let round = 0; round < 3; round++) {
    await world.sync();
    await world.engine.serviceAccounts.whenRead();
  }
  await world.sync();
};
const connection = async () =>
  (await world.client.get<ClusterAWSConnection & KubeObject>(clusterAWSConnections, undefined, namespace)).status!;
const secretIn = async (where: string, name: string) =>
  (await cluster.run([
    "--namespace",
    where,
    "get",
    "secret",
    name,
    "--ignore-not-found",
    "-o",
    "jsonpath={.data.A}",
  ])) || undefined;

let before = 0;
/** The sessions of this test. */
const begun = () => aws.sessions().slice(before);

beforeEach(async () => {
  aws.resetCalls();
  before = aws.sessions().length;
  await applied(serviceAccount(namespace, roleOf(namespace)), serviceAccount(neighbour, roleOf(neighbour)));
});
afterEach(async () => {
  aws.allowAll();
  aws.clearFaults();
  for (const role of [tenant, roleOf(namespace), roleOf(neighbour)]) aws.role(role, {});
  const seen = await cluster.run([
    "get",
    "syncedsecrets,awsconnections,clusterawsconnections,events",
    "-A",
    "-o",
    "json",
  ]);
  expect(seen).not.toMatch(/eyJ[A-Za-z0-9_-]{17,}\.eyJ/);
  for (const where of [namespace, neighbour]) {
    await cluster.run(["--namespace", where, "delete", "syncedsecrets,awsconnections,serviceaccounts", "--all"]);
  }
  expect(world.lines.join("\n")).not.toMatch(/eyJ[A-Za-z0-9_-]{17,}\.eyJ/);
  await world.makeConnection();
  await world.restart();
  await settled();
});

const single = { auth: { serviceAccountRef: { name: "checkout", namespace } }, allow, endpoints };
const ofEach = { auth: { serviceAccountRef: { name: "checkout" } }, allow, endpoints };
const subjectOf = (where: string) => `system:serviceaccount:${where}:checkout`;
const minute = 60_000;

describe("a connection with the ServiceAccount of one namespace", () => {
  it("reads with the role of the ServiceAccount, and reports it as its caller", async () => {
    await put("/a", "theirs");
    aws.role(roleOf(namespace), { webIdentity: { subjects: [subjectOf(namespace)] } });
    await world.makeConnection(single);
    await world.apply("a", { data: [one("A", "/a")] });
    await settled();
    expect(await world.data("a")).toEqual({ A: "theirs" });
    expect(await connection()).toMatchObject({
      accountID: account,
      callerARN: `arn:aws:sts::${account}:assumed-role/app-${namespace}/keyferry.demo`,
    });
    expect(aws.count({ operation: "AssumeRoleWithWebIdentity" })).toBe(1);
  });

  it("continues with assumeRole, and hands its session tags down", async () => {
    await put("/a", "theirs");
    const hub = `arn:aws:iam::${elsewhere}:role/hub`;
    const assumeRole = [
      { roleArn: hub, sessionTags: { team: "shop", stage: "prod" }, transitiveTagKeys: ["team"] },
      { roleArn: tenant },
    ];
    await world.makeConnection({ ...single, auth: { ...single.auth, assumeRole } });
    await world.apply("a", { data: [one("A", "/a")] });
    await settled();
    expect(await world.data("a")).toEqual({ A: "theirs" });
    const all = begun().map(({ roleArn, by, tags }) => ({ roleArn, by, tags }));
    expect(all).toEqual([
      { roleArn: roleOf(namespace), by: subjectOf(namespace), tags: {} },
      {
        roleArn: hub,
        by: `arn:aws:sts::${account}:assumed-role/app-${namespace}/keyferry.demo`,
        tags: { team: "shop", stage: "prod" },
      },
      { roleArn: tenant, by: `arn:aws:sts::${elsewhere}:assumed-role/hub/keyferry.demo`, tags: { team: "shop" } },
    ]);
  });

  it("reports the role that does not allow sts:TagSession for inherited tags", async () => {
    aws.role(tenant, { tagSession: false });
    const hub = {
      roleArn: `arn:aws:iam::${elsewhere}:role/hub`,
      sessionTags: { team: "a" },
      transitiveTagKeys: ["team"],
    };
    const assumeRole = [hub, { roleArn: tenant }];
    await world.makeConnection({ ...single, auth: { ...single.auth, assumeRole } });
    await settled();
    const { conditions } = await connection();
    expect(conditions).toContainEqual(
      expect.objectContaining({
        ...{ type: "Ready", status: "False", reason: "AccessDenied" },
        message: expect.stringMatching(
          /^auth\.assumeRole\[1\]: .*assumed-role\/hub\/keyferry\.demo may not sts:TagSession on .*role\/tenant .*sts:AssumeRole, sts:TagSession/,
        ),
      }),
    );
  });

  it("refuses a role that sets an inherited tag again, without a call", async () => {
    const assumeRole = [
      { roleArn: tenant, sessionTags: { team: "a" }, transitiveTagKeys: ["team"] },
      { roleArn: tenant, sessionTags: { Team: "b" } },
    ];
    await world.makeConnection({ ...single, auth: { ...single.auth, assumeRole } });
    await settled();
    expect((await connection()).conditions).toContainEqual(
      expect.objectContaining({
        type: "Stalled",
        reason: "InvalidData",
        message: expect.stringContaining("tag Team again"),
      }),
    );
    expect(aws.count({ service: "sts" })).toBe(0);
  });

  it("keeps a session until its end, and begins the next with a new token", async () => {
    await put("/a", "1");
    await world.makeConnection(single);
    await world.apply("a", { data: [one("A", "/a")] });
    await settled();
    await world.pass(50 * minute);
    expect(aws.count({ operation: "AssumeRoleWithWebIdentity" })).toBe(1);
    await world.pass(10 * minute);
    expect(aws.count({ operation: "AssumeRoleWithWebIdentity" })).toBe(2);
    expect(await world.ready("a")).toMatchObject({ status: "True" });
  });

  it("drops the token when the connection is deleted", async () => {
    await world.makeConnection(single);
    await settled();
    expect(world.engine.serviceAccounts.tokenCount).toBe(1);
    await world.client.delete(clusterAWSConnections, undefined, namespace);
    await settled();
    expect(world.engine.serviceAccounts.tokenCount).toBe(0);
  });
});

describe("an AWSConnection with a ServiceAccount", () => {
  it("reads with the ServiceAccount of its own namespace, in a session with the namespace's name", async () => {
    await put("/a", "theirs");
    await world.atTheEmulator(async () => {
      const own = {
        ...{ apiVersion: "keyferry.io/v1alpha1", kind: "AWSConnection", metadata: { name: "own", namespace } },
        spec: { region: "eu-west-1", auth: { serviceAccountRef: { name: "checkout" } } },
      };
      await applied(own);
      await world.apply("a", { connectionRef: { kind: "AWSConnection", name: "own" }, data: [one("A", "/a")] });
      await settled();
      expect(await world.data("a")).toEqual({ A: "theirs" });
      const { status } = await world.client.get<ClusterAWSConnection & KubeObject>(awsConnections, namespace, "own");
      expect(status!.callerARN).toBe(
        `arn:aws:sts::${account}:assumed-role/app-${namespace}/keyferry.demo.${namespace}`,
      );
    });
  });
});

describe("a connection with a ServiceAccount for each namespace", () => {
  it("reads with each namespace's own ServiceAccount, in each role's account", async () => {
    await applied(serviceAccount(neighbour, roleOf(neighbour, elsewhere)));
    await put("/a", "ours");
    await put("/a", "the neighbour's", elsewhere);
    await world.makeConnection(ofEach);
    await applyIn(namespace, "a", { data: [one("A", "/a")] });
    await applyIn(neighbour, "a", { data: [one("A", "/a")] });
    await settled();
    const text = (base64 = "") => Buffer.from(base64, "base64").toString();
    expect(text(await secretIn(namespace, "a"))).toBe("ours");
    expect(text(await secretIn(neighbour, "a"))).toBe("the neighbour's");
    expect(
      begun()
        .map(({ by, name }) => `${by} ${name}`)
        .sort(),
    ).toEqual([namespace, neighbour].map((where) => `${subjectOf(where)} keyferry.demo.${where}`).sort());
    await world.engine.connections.handle(`ClusterAWSConnection//${namespace}`);
    const status = await connection();
    expect(status.accountID).toBeUndefined();
    expect(status.conditions).toContainEqual(
      expect.objectContaining({
        ...{ type: "Ready", status: "True" },
        message:
          "each namespace calls AWS in eu-west-1 by the role of its ServiceAccount checkout; 2 namespaces use it",
      }),
    );
  });

  it.each<[string, () => Promise<unknown> | unknown, string, RegExp]>([
    [
      "that does not exist",
      () => cluster.run(["--namespace", namespace, "delete", "serviceaccount", "checkout"]),
      "ConnectionNotReady",
      /^ServiceAccount NS\/checkout, which auth\.serviceAccountRef of the connection names, does not exist: create it/,
    ],
    [
      "without the annotation",
      () => cluster.run(["--namespace", namespace, "annotate", "serviceaccount", "checkout", `${annotation}-`]),
      "ConnectionNotReady",
      /^ServiceAccount NS\/checkout has no annotation eks\.amazonaws\.com\/role-arn: set it/,
    ],
    [
      "whose annotation is no role",
      () =>
        cluster.run([
          "--namespace",
          namespace,
          "annotate",
          "--overwrite",
          "serviceaccount",
          "checkout",
          `${annotation}=app`,
        ]),
      "ConnectionNotReady",
      /^the annotation eks\.amazonaws\.com\/role-arn of ServiceAccount NS\/checkout is not the ARN of a role/,
    ],
    [
      "that the trust policy of its role does not name",
      () => aws.role(roleOf(namespace), { webIdentity: { subjects: [subjectOf("other")] } }),
      "AccessDenied",
      /ServiceAccount NS\/checkout may not sts:AssumeRoleWithWebIdentity on arn:aws:iam::333333333333:role\/app-NS: .*system:serviceaccount:NS:checkout as sub and sts\.amazonaws\.com as aud/,
    ],
    [
      "whose token's audience the OIDC provider does not have",
      () => aws.role(roleOf(namespace), { webIdentity: { audience: "something.else" } }),
      "ConnectionNotReady",
      /the token of ServiceAccount NS\/checkout for arn:aws:iam::333333333333:role\/app-NS: the OIDC provider in IAM does not have the token's audience sts\.amazonaws\.com/,
    ],
    [
      "whose account has no OIDC provider for the cluster",
      () => aws.role(roleOf(namespace), { webIdentity: { hasProvider: false } }),
      "ConnectionNotReady",
      /the role's account has no OIDC provider in IAM for the cluster's issuer/,
    ],
  ])(
    "reports a ServiceAccount %s, writes nothing, and lets other namespaces go on",
    async (_, damage, reason, says) => {
      await put("/a", "x");
      await damage();
      await world.makeConnection(ofEach);
      await applyIn(namespace, "a", { data: [one("A", "/a")] });
      await applyIn(neighbour, "a", { data: [one("A", "/a")] });
      await settled();
      const ready = await readyIn(namespace, "a");
      expect(ready).toMatchObject({ status: "False", reason });
      expect(ready!.message.replaceAll(namespace, "NS")).toMatch(says);
      expect(await secretIn(namespace, "a")).toBeUndefined();
      expect(await readyIn(neighbour, "a")).toMatchObject({ status: "True" });
    },
  );

  it("requests no token for a namespace that the connection does not allow", async () => {
    await world.makeConnection({ ...ofEach, allow: { ...allow, namespaces: { names: [neighbour] } } });
    await applyIn(namespace, "a", { data: [one("A", "/a")] });
    await settled();
    expect(await readyIn(namespace, "a")).toMatchObject({ reason: "NotAllowed" });
    expect(world.engine.serviceAccounts.tokenCount).toBe(0);
    expect(aws.count({})).toBe(0);
  });

  it("reads with another role within six minutes after the annotation has changed", async () => {
    await put("/a", "old");
    await put("/a", "new", elsewhere);
    await world.makeConnection(ofEach);
    await world.apply("a", { data: [one("A", "/a")] });
    await settled();
    expect(await world.data("a")).toEqual({ A: "old" });
    await applied(serviceAccount(namespace, roleOf(namespace, elsewhere)));
    await world.pass(6 * minute, 6);
    await settled();
    expect(await world.data("a")).toEqual({ A: "new" });
    expect(begun().map(({ roleArn }) => roleArn)).toContain(roleOf(namespace, elsewhere));
  });

  it("keeps the Secret while the annotation is missing, and recovers within a minute once it is back", async () => {
    await put("/a", "kept");
    await world.makeConnection(ofEach);
    await world.apply("a", { data: [one("A", "/a")] });
    await settled();
    await cluster.run(["--namespace", namespace, "annotate", "serviceaccount", "checkout", `${annotation}-`]);
    await world.pass(6 * minute, 6);
    await settled();
    expect(await readyIn(namespace, "a")).toMatchObject({ status: "False", reason: "ConnectionNotReady" });
    expect(await world.data("a")).toEqual({ A: "kept" });
    await applied(serviceAccount(namespace, roleOf(namespace)));
    await world.pass(2 * minute, 2);
    await settled();
    expect(await readyIn(namespace, "a")).toMatchObject({ status: "True" });
  });
});
