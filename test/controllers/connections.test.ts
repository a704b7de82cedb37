import { afterEach, describe, expect, it } from "vitest";
import type { Condition } from "../../src/api/conditions.ts";
import type { AWSConnection, SyncedSecretSpec } from "../../src/api/types.ts";
import { awsConnections, clusterAWSConnections, type KubeObject, syncedSecrets } from "../../src/kube/resource.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { one, refused, steady } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "connections");
const { aws, namespace } = world;
const minute = 60_000;
const neighbour = await cluster.freshNamespace("neighbour");
world.neighbours.push(neighbour);

// A namespaced connection cannot set an endpoint.
world.redirectToTheEmulator();

afterEach(async () => {
  world.tamper = (identity) => identity;
  aws.allowAll();
  aws.clearFaults();
  for (const where of [namespace, neighbour]) {
    await cluster.run(["--namespace", where, "delete", "syncedsecrets,awsconnections", "--all"]);
  }
  await world.makeConnection();
  await world.restart();
  await world.sync();
});

const put = (name: string, value: string) => aws.putParameter({ name, value, type: "SecureString" });

/** Creates the Secret with static keys that connections of a namespace name. */
async function credentials(where: string, accessKeyId: string, name = "tenant"): Promise<void> {
  const stringData = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: "not-checked" };
  const secret = { apiVersion: "v1", kind: "Secret", metadata: { name, namespace: where }, stringData };
  await cluster.run(["apply", "-f", "-"], JSON.stringify(secret));
}

async function ownConnection(where: string, spec: object = {}): Promise<void> {
  const connection = {
    apiVersion: "keyferry.io/v1alpha1",
    kind: "AWSConnection",
    metadata: { name: "aws", namespace: where },
    spec: { region: "eu-west-1", auth: { secretRef: { name: "tenant" } }, ...spec },
  };
  await cluster.run(["apply", "-f", "-"], JSON.stringify(connection));
}

const connection = (where: string) =>
  world.client.get<AWSConnection & KubeObject>(awsConnections, where, "aws").then(({ status }) => status!);
const clusterConnection = () =>
  world.client
    .get<AWSConnection & KubeObject>(clusterAWSConnections, undefined, namespace)
    .then(({ status }) => status!);
const readyOf = (conditions: Condition[] | undefined) => conditions?.find(({ type }) => type === "Ready");

const own = (spec: SyncedSecretSpec): SyncedSecretSpec => ({
  connectionRef: { kind: "AWSConnection", name: "aws" },
  ...spec,
});

/** Applies a SyncedSecret of any namespace. */
const applyIn = (where: string, name: string, spec: SyncedSecretSpec) => world.apply(name, spec, { namespace: where });

async function dataIn(where: string, name: string): Promise<Record<string, string> | undefined> {
  const { stdout, code } = await cluster.kubectl(["--namespace", where, "get", "secret", name, "-o", "json"]);
  return code === 0 ? (JSON.parse(stdout) as { data: Record<string, string> }).data : undefined;
}

async function readyIn(where: string, name: string): Promise<Condition> {
  const { status } = await world.client.get<KubeObject & { status: { conditions: Condition[] } }>(
    syncedSecrets,
    where,
    name,
  );
  return readyOf(status.conditions)!;
}

describe("an AWSConnection", () => {
  it("calls AWS only with the credentials of its own namespace, and reports its caller", async () => {
    aws.identity("AKIATENANTONE", { account: "123456789012", arn: "arn:aws:iam::123456789012:user/tenant-one" });
    await put("/own", "a");
    await credentials(namespace, "AKIATENANTONE");
    await ownConnection(namespace, { pollInterval: "90s" });
    await world.sync();
    expect(await connection(namespace)).toMatchObject({
      observedGeneration: 1,
      accountID: "123456789012",
      callerARN: "arn:aws:iam::123456789012:user/tenant-one",
      pollInterval: "1m30s",
      conditions: [{ type: "Ready", status: "True", reason: "Synced" }],
    });
    aws.resetCalls();
    await world.apply("own", own({ data: [one("A", "/own")] }));
    await world.sync();
    await world.pass(6 * minute);
    expect(await world.data("own")).toEqual({ A: "a" });
    expect(new Set(aws.log({ via: "client" }).map(({ accessKeyId }) => accessKeyId))).toEqual(
      new Set(["AKIATENANTONE"]),
    );
  });

  it("reads what its credentials allow, restricted to the names it lists", async () => {
    await put("/any/a", "a");
    await credentials(namespace, "AKIATENANT");
    await ownConnection(namespace);
    await world.apply("any", own({ data: [one("A", "/any/a")] }));
    await world.sync();
    expect(await world.data("any")).toEqual({ A: "a" });
    await ownConnection(namespace, { allow: { parameters: ["/{namespace}/*"] } });
    await world.sync();
    await refused(world, "any", "NotAllowed", [`namespace ${namespace} has "/${namespace}/*"`]);
    expect(await world.data("any")).toEqual({ A: "a" });
  });

  it("of another namespace cannot be used, nor be distinguished from a missing one", async () => {
    await put("/theirs", "a");
    await credentials(neighbour, "AKIATHEIRS");
    await world.apply("theirs", own({ data: [one("A", "/theirs")] }));
    await world.sync();
    const without = await refused(world, "theirs", "ConnectionNotReady", [
      `no AWSConnection aws in namespace ${namespace}`,
    ]);
    await ownConnection(neighbour);
    await world.sync();
    expect(readyOf((await connection(neighbour)).conditions)).toMatchObject({ status: "True" });
    aws.resetCalls();
    await world.pass(11 * minute);
    expect(await refused(world, "theirs", "ConnectionNotReady")).toBe(without);
    expect(aws.log()).toEqual([]);
    expect(await world.secret("theirs")).toBeUndefined();
  });

  it("uses no credentials of another namespace, and recovers once its own exist", async () => {
    await put("/lacking", "a");
    await credentials(neighbour, "AKIATHEIRS", "aws-keys");
    await ownConnection(namespace, { auth: { secretRef: { name: "aws-keys" } } });
    await world.apply("lacking", own({ data: [one("A", "/lacking")] }));
    await world.sync();
    const missing = `Secret ${namespace}/aws-keys, which spec.auth.secretRef names, does not exist`;
    const ready = readyOf((await connection(namespace)).conditions);
    expect(ready).toMatchObject({ status: "False", reason: "ConnectionNotReady" });
    expect(ready!.message).toContain(missing);
    await refused(world, "lacking", "ConnectionNotReady", ["AWSConnection aws is not ready", missing]);
    await steady(world, "lacking");
    await credentials(namespace, "AKIAOURS", "aws-keys");
    await world.pass(2 * minute);
    expect(await world.data("lacking")).toEqual({ A: "a" });
    expect(readyOf((await connection(namespace)).conditions)).toMatchObject({ status: "True" });
  });

  it("keeps its Secrets when deleted, stops its AWS calls, and resumes without a decryption when it is back", async () => {
    await put("/deleted", "a");
    await credentials(namespace, "AKIATENANT");
    await ownConnection(namespace);
    await world.apply("deleted", own({ data: [one("A", "/deleted")] }));
    await world.sync();
    const good = await world.secret("deleted");
    await world.kubectl(["delete", "awsconnection", "aws"]);
    await world.sync();
    await refused(world, "deleted", "ConnectionNotReady", ["there is no AWSConnection aws"]);
    aws.resetCalls();
    await world.pass(60 * minute);
    expect(aws.log()).toEqual([]);
    await ownConnection(namespace);
    await world.pass(6 * minute);
    expect(await world.ready("deleted")).toMatchObject({ status: "True" });
    expect(await world.secret("deleted")).toEqual(good);
    expect(aws.count({ decrypt: true })).toBe(0);
  });
});

describe("a ClusterAWSConnection", () => {
  const broken: [string, () => Promise<unknown>, () => Promise<unknown>, string, string][] = [
    [
      "with a missing Secret",
      () => world.kubectl(["delete", "secret", "aws-credentials"]),
      () => world.makeConnection(),
      "ConnectionNotReady",
      "aws-credentials, which spec.auth.secretRef names, does not exist",
    ],
    [
      "with an incomplete Secret",
      () => world.kubectl(["patch", "secret", "aws-credentials", "--patch", '{"data":{"AWS_SECRET_ACCESS_KEY":null}}']),
      () => world.makeConnection(),
      "ConnectionNotReady",
      "must have the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ],
    [
      "with credentials that AWS rejects",
      async () => {
        await credentials(namespace, "AKIAUNKNOWN", "aws-credentials");
        aws.deny({ action: "sts:GetCallerIdentity", principal: "AKIAUNKNOWN" });
      },
      async () => aws.allowAll(),
      "AccessDenied",
      "sts:GetCallerIdentity",
    ],
    [
      "with an account that AWS does not return",
      async () => {
        await credentials(namespace, "AKIASILENT", "aws-credentials");
        aws.fault({ operation: "GetCallerIdentity", kind: "503" });
      },
      async () => aws.clearFaults(),
      "Unreachable",
      "a server error",
    ],
  ];
  it.each(broken.map((row, index) => [...row, `broken-${index}`] as const))(
    "%s is not ready and reports why, as do its SyncedSecrets, and recovers by itself",
    async (_, breaks, mends, reason, says, name) => {
      await put(`/${name}`, "a");
      await breaks();
      await world.restart();
      await world.apply(name, { data: [one("A", `/${name}`)] });
      await world.sync();
      const ready = readyOf((await clusterConnection()).conditions);
      expect(ready, ready?.message).toMatchObject({ status: "False", reason });
      expect(ready!.message).toContain(says);
      await refused(world, name, "ConnectionNotReady", [`ClusterAWSConnection ${namespace} is not ready`, says]);
      expect(await world.secret(name)).toBeUndefined();
      await steady(world, name);
      await mends();
      await world.pass(10 * minute);
      expect(readyOf((await clusterConnection()).conditions)).toMatchObject({ status: "True" });
      expect(await world.data(name)).toEqual({ A: "a" });
    },
  );

  it("stays ready while AWS does not answer", async () => {
    aws.fault({ kind: "503" });
    await world.pass(20 * minute);
    expect(readyOf((await clusterConnection()).conditions)).toMatchObject({ status: "True" });
  });

  it("reports its account, caller and poll interval, and updates them with its spec", async () => {
    aws.identity("AKIAOTHERS", { account: "210987654321", arn: "arn:aws:iam::210987654321:user/others" });
    expect(await clusterConnection()).toMatchObject({ accountID: "123456789012", pollInterval: "5m" });
    await credentials(namespace, "AKIAOTHERS", "others");
    await world.makeConnection({ auth: { secretRef: { name: "others", namespace } }, pollInterval: "30s" });
    await world.sync();
    expect(await clusterConnection()).toMatchObject({
      accountID: "210987654321",
      callerARN: "arn:aws:iam::210987654321:user/others",
      pollInterval: "30s",
      conditions: [{ type: "Ready", status: "True", message: "calls AWS account 210987654321 in eu-west-1" }],
    });
  });

  it("detects replaced keys within five minutes, regardless of its poll interval", async () => {
    await credentials(namespace, "AKIABEFORE", "rotated");
    await world.makeConnection({ auth: { secretRef: { name: "rotated", namespace } }, pollInterval: "24h" });
    await world.sync();
    expect((await clusterConnection()).callerARN).toContain("AKIABEFORE");
    await credentials(namespace, "AKIAAFTER", "rotated");
    await world.pass(5 * minute);
    expect((await clusterConnection()).callerARN).toContain("AKIAAFTER");
  });

  it("is reported as missing, and its SyncedSecrets sync once it is created", async () => {
    await put("/absent", "a");
    await world.client.delete(clusterAWSConnections, undefined, namespace);
    await world.apply("absent", { data: [one("A", "/absent")] });
    await world.sync();
    await refused(world, "absent", "NotAllowed", [
      `ClusterAWSConnection ${namespace} does not exist, or does not allow namespace ${namespace}`,
    ]);
    await world.makeConnection();
    await world.sync();
    expect(await world.data("absent")).toEqual({ A: "a" });
  });

  it("returns no plaintext under a key that it does not list", async () => {
    const [listed, other] = [await aws.createKey(), await aws.createKey()];
    world.tamper = (identity) => ({
      ...identity,
      kms: {
        ...identity.kms,
        decrypt: async (...call) => ({ ...(await identity.kms.decrypt(...call)), keyId: other }),
      },
    });
    const allow = { namespaces: { names: [namespace] }, parameters: ["/*"], keyIds: [listed] };
    await world.makeConnection({ allow });
    await world.restart();
    const ciphertext = await aws.encrypt({ keyId: listed, plaintext: "p" });
    await world.apply("used", { data: [{ key: "B", kms: { ciphertext, keyId: listed } }] });
    await world.sync();
    await refused(world, "used", "NotAllowed", ["data[0] (B)", other, "which KMS used"]);
    expect(await world.secret("used")).toBeUndefined();
  });
});

describe("two tenants of one connection", () => {
  const allow = { namespaces: { names: [namespace, neighbour] }, parameters: ["/{namespace}/*", "/shared/*"] };

  it("share one read of a parameter both may read, and do not get each other's parameters", async () => {
    await Promise.all([put("/shared/s", "s"), put(`/${namespace}/x`, "ours"), put(`/${neighbour}/x`, "theirs")]);
    await world.makeConnection({ allow });
    await world.sync();
    aws.resetCalls();
    for (const where of [namespace, neighbour]) {
      await applyIn(where, "shared", { data: [one("S", "/shared/s"), one("X", `/${where}/x`)] });
    }
    await applyIn(neighbour, "curious", { data: [one("X", `/${namespace}/x`)] });
    await world.sync();
    const b64 = (text: string) => Buffer.from(text).toString("base64");
    expect(await dataIn(namespace, "shared")).toEqual({ S: b64("s"), X: b64("ours") });
    expect(await dataIn(neighbour, "shared")).toEqual({ S: b64("s"), X: b64("theirs") });
    expect(await readyIn(neighbour, "curious")).toMatchObject({ status: "False", reason: "NotAllowed" });
    expect(await dataIn(neighbour, "curious")).toBeUndefined();
    const asked = aws.log({ operation: "GetParameters" }).flatMap(({ names = [] }) => names);
    expect(asked.sort()).toEqual([`/${namespace}/x`, `/${neighbour}/x`, "/shared/s"].sort());
  });

  it("are not affected when AWS denies the other tenant's name in the same call", async () => {
    await Promise.all([put(`/${namespace}/ok`, "ours"), put(`/${neighbour}/denied`, "theirs")]);
    await world.makeConnection({ allow });
    await world.sync();
    aws.deny({ parameter: `/${neighbour}/*` });
    await applyIn(namespace, "undisturbed", { data: [one("X", `/${namespace}/ok`)] });
    await applyIn(neighbour, "disturbed", { data: [one("X", `/${neighbour}/denied`)] });
    await world.sync();
    expect(await world.data("undisturbed")).toEqual({ X: "ours" });
    expect(await world.ready("undisturbed")).toMatchObject({ status: "True" });
    const theirs = await readyIn(neighbour, "disturbed");
    expect(theirs).toMatchObject({ status: "False", reason: "AccessDenied" });
    expect(theirs.message).not.toContain(namespace);
  });

  it("with credentials of their own never travel in one call", async () => {
    await put("/both/x", "x");
    for (const [where, accessKeyId] of [
      [namespace, "AKIAONE"],
      [neighbour, "AKIATWO"],
    ] as const) {
      await credentials(where, accessKeyId);
      await ownConnection(where);
      await applyIn(where, "apart", own({ data: [one("X", "/both/x")] }));
    }
    aws.deny({ principal: "AKIATWO", parameter: "/both/x" });
    aws.resetCalls();
    await world.sync();
    expect(await world.data("apart")).toEqual({ X: "x" });
    expect(await readyIn(neighbour, "apart")).toMatchObject({ status: "False", reason: "AccessDenied" });
    expect(await dataIn(neighbour, "apart")).toBeUndefined();
    expect(aws.count({ operation: "GetParameters", accessKeyId: "AKIAONE" })).toBe(1);
  });
});

it("a protected namespace is left unchanged, whatever its connection allows", async () => {
  await put("/protected", "a");
  const name = `keyferry-${namespace}`;
  await world.makeConnection({ allow: { namespaces: { names: ["kube-system"] }, parameters: ["/*"] } });
  world.neighbours.push("kube-system");
  try {
    await applyIn("kube-system", name, { data: [one("A", "/protected")] });
    aws.resetCalls();
    await world.sync();
    await world.pass(11 * minute);
    const ready = await readyIn("kube-system", name);
    expect(ready).toMatchObject({ status: "False", reason: "NotAllowed" });
    expect(ready.message).toContain("--protected-namespaces");
    expect(aws.log({ service: "ssm" })).toEqual([]);
    expect(await dataIn("kube-system", name)).toBeUndefined();
  } finally {
    world.neighbours.pop();
    await world.client.delete(syncedSecrets, "kube-system", name);
  }
});
