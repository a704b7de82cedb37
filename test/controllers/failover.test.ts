import { afterEach, describe, expect, it } from "vitest";
import type { ClusterAWSConnection, SyncedSecretSpec } from "../../src/api/types.ts";
import { clusterAWSConnections, type KubeObject } from "../../src/kube/resource.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { one, refused, steady } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "failover");
const { aws, namespace } = world;
const [minute, home, central, virginia] = [60_000, "eu-west-1", "eu-central-1", "us-east-1"];
const url = `${aws.url}/{region}`;
const regional = { failoverRegions: [central, virginia], endpoints: { ssm: url, kms: url, sts: url } };

/** Creates the connection and a process that knows of no outage. */
async function begin(spec: object = {}): Promise<void> {
  await world.makeConnection({ ...regional, ...spec });
  await world.restart();
  await world.sync();
  aws.resetCalls();
}
afterEach(async () => {
  aws.allowAll();
  aws.clearFaults();
  await world.kubectl(["delete", "syncedsecrets,secrets", "--all"]);
  await world.sync();
});

const fail = (operation: string, region = home, kind: "503" | "reset" = "503") =>
  aws.fault({ operation, kind, region });
/** Lets the operator detect a fault. */
const notice = () => world.pass(minute, 12);
/** Ends every outage, and lets the operator detect it. */
async function mend(): Promise<void> {
  aws.clearFaults();
  await notice();
}
const put = (name: string, value: string, region: string) => aws.putParameter({ name, value }, { region });
/** In every region, with the region's name as value. */
async function putEverywhere(name: string): Promise<void> {
  for (const region of [home, central, virginia]) await put(name, region, region);
}
const callsIn = (region: string, service = "ssm") => aws.log({ service, region, via: "client" });
const spec = (name: string): SyncedSecretSpec => ({ data: [one("A", name)] });
const conditionOf = async (name: string) =>
  (await world.synced(name)).status?.conditions?.find(({ type }) => type === "FailedOver");
const ofConnection = async () => {
  const found = await world.client.get<ClusterAWSConnection & KubeObject>(clusterAWSConnections, undefined, namespace);
  return found.status?.conditions?.find(({ type }) => type === "FailedOver");
};
async function eventsOf(name: string, kind = "SyncedSecret"): Promise<string[]> {
  await world.engine.recorder.flush();
  const where = kind === "SyncedSecret" ? ["--namespace", namespace] : ["--namespace", "default"];
  const { stdout } = await cluster.kubectl([...where, "get", "events.events.k8s.io", "-o", "json"]);
  const { items } = JSON.parse(stdout) as {
    items: { regarding: { kind: string; name: string }; type: string; note: string }[];
  };
  return items
    .filter(({ regarding }) => regarding.kind === kind && regarding.name === name)
    .map(({ type, note }) => `${type}: ${note}`);
}

describe("while Parameter Store does not answer in the home region", () => {
  it("a new SyncedSecret gets its Secret from the next region, which is reported, and returns home by itself", async () => {
    await putEverywhere("/new");
    await begin();
    fail("ssm:*");
    await world.apply("new", spec("/new"));
    await world.sync();
    await refused(world, "new", "Unreachable", ["AWS Systems Manager in eu-west-1"]);
    expect(callsIn(central)).toEqual([]);
    await notice();
    expect(await world.data("new")).toEqual({ A: central });
    expect(await world.ready("new")).toMatchObject({ status: "True", reason: "Synced" });
    expect(await conditionOf("new")).toMatchObject({ status: "True", reason: "ReadInFailoverRegion" });
    expect((await conditionOf("new"))!.message).toBe(
      "parameters were read in eu-central-1 because eu-west-1 does not answer; versions there are independent, so the parameters are read in eu-west-1 as soon as it answers",
    );
    expect(await ofConnection()).toMatchObject({ status: "True", reason: "Unreachable" });
    expect((await ofConnection())!.message).toContain(
      "AWS Systems Manager in eu-west-1 does not answer: eu-central-1, us-east-1 stand in",
    );
    expect(await eventsOf("new")).toContainEqual(
      expect.stringContaining("Warning: parameters were read in eu-central-1"),
    );
    expect(await world.metrics.registry.metrics()).toContain(
      'keyferry_failover_reads_total{service="ssm",region="eu-central-1"} 1',
    );
    expect(callsIn(virginia)).toEqual([]);

    await mend();
    expect(await world.data("new")).toEqual({ A: home });
    expect(await conditionOf("new")).toBeUndefined();
    expect(await ofConnection()).toBeUndefined();
    expect(await eventsOf("new")).toContainEqual(
      expect.stringContaining("Normal: the connection's own region answers again"),
    );
    // The revision is the home region's: the next process has nothing to do.
    aws.resetCalls();
    await steady(world, "new");
    expect(aws.log({ decrypt: true })).toEqual([]);
    expect(callsIn(central)).toEqual([]);
  });

  it("values read elsewhere are not followed there: neither newer versions nor deletions", async () => {
    await putEverywhere("/kept");
    await begin();
    fail("ssm:*");
    await world.apply("kept", spec("/kept"));
    await world.sync();
    await notice();
    const made = await world.secret("kept");
    await put("/kept", "newer there", central);
    await world.pass(20 * minute);
    expect(await world.secret("kept")).toEqual(made);
    await aws.deleteParameter("/kept", { region: central });
    await world.pass(20 * minute);
    expect(await world.secret("kept")).toEqual(made);
    expect(await conditionOf("kept")).toMatchObject({ status: "True" });
    expect(callsIn(central)).toHaveLength(1);
    await world.kubectl(["delete", "secret", "kept"]);
    await put("/kept", "again there", central);
    await notice();
    expect(await world.data("kept")).toEqual({ A: "again there" });
    await mend();
    expect(await world.data("kept")).toEqual({ A: home });
  });

  it("an existing Secret stays as it is, even if deleted by hand, until the home region answers", async () => {
    await putEverywhere("/old");
    await begin();
    await world.apply("old", spec("/old"));
    await world.sync();
    const good = await world.secret("old");
    fail("ssm:*");
    await put("/old", "newer", home);
    await world.pass(20 * minute);
    expect(await world.secret("old")).toEqual(good);
    await world.kubectl(["delete", "secret", "old"]);
    await world.apply("old", { data: [one("A", "/old"), one("B", "/old")] });
    await notice();
    expect(await world.secret("old")).toBeUndefined();
    expect(callsIn(central)).toEqual([]);
    expect(await conditionOf("old")).toBeUndefined();
    await mend();
    expect(await world.data("old")).toEqual({ A: "newer", B: "newer" });
  });

  it("a Secret deleted for a missing parameter is not recreated from another region", async () => {
    await putEverywhere("/deleted");
    await begin();
    await world.apply("deleted", { ...spec("/deleted"), refresh: { whenMissing: "DeleteSecret" } });
    await world.sync();
    await aws.deleteParameter("/deleted", { region: home });
    await world.pass(20 * minute);
    expect(await world.secret("deleted")).toBeUndefined();
    fail("ssm:*");
    await notice();
    await world.apply("other", spec("/deleted"));
    await notice();
    expect(await world.data("other")).toEqual({ A: central });
    expect(await world.secret("deleted")).toBeUndefined();
    await mend();
    expect(await world.secret("deleted")).toBeUndefined();
  });

  const never: Record<string, SyncedSecretSpec> = {
    "a version": { data: [{ key: "A", parameter: { name: "/never", version: 1 } }] },
    "a version among others": { data: [one("B", "/never"), { key: "A", parameter: { name: "/never", version: 1 } }] },
    "a parameter under Once": { ...spec("/never"), refresh: { policy: "Once" } },
    "a parameter by its ARN at home": spec("arn:aws:ssm:eu-west-1:123456789012:parameter/never"),
    "a name that is not allowed": spec("/secret/never"),
  };
  it.each(Object.entries(never).map((row, index) => [...row, `never-${index}`] as const))(
    "%s is not read elsewhere",
    async (_, wanted, name) => {
      await putEverywhere("/never");
      await putEverywhere("/secret/never");
      const parameters = ["/never", "arn:aws:ssm:eu-west-1:123456789012:parameter/never"];
      await begin({ allow: { namespaces: { names: [namespace] }, parameters } });
      fail("ssm:*");
      // Another SyncedSecret detects that the home region is down.
      await world.apply("other", spec("/never"));
      await world.apply(name, wanted);
      await world.sync();
      await notice();
      expect(await world.data("other")).toEqual({ A: central });
      expect(await world.secret(name)).toBeUndefined();
      expect(aws.log({ service: "ssm", region: central, decrypt: true }).flatMap(({ names }) => names)).toEqual([
        "/never",
      ]);
    },
  );

  it("a label, a path and a document are read elsewhere, and parameters that exist only there are removed later", async () => {
    for (const region of [home, central]) {
      await put("/many/A", region, region);
      await put("/doc", JSON.stringify({ D: region }), region);
      await put("/labelled", region, region);
      await aws.labelParameterVersion("/labelled", ["prod"], undefined, { region });
    }
    await put("/many/ONLY_THERE", "x", central);
    await begin();
    fail("ssm:*");
    await world.apply("many", {
      data: [{ key: "L", parameter: { name: "/labelled", label: "prod" } }],
      dataFrom: [{ path: { name: "/many" } }, { parameter: { name: "/doc" }, format: "JSON" }],
    });
    await world.sync();
    await notice();
    expect(await world.data("many")).toEqual({ A: central, ONLY_THERE: "x", D: central, L: central });
    await mend();
    expect(await world.data("many")).toEqual({ A: home, D: home, L: home });
    expect(await world.ready("many")).toMatchObject({ status: "True", reason: "Synced" });
  });

  it("the second next region is used if the next one is down or lacks a parameter", async () => {
    await putEverywhere("/next");
    await put("/partly", home, home);
    await put("/partly", virginia, virginia);
    await begin();
    fail("ssm:*");
    await world.apply("partly", { data: [one("A", "/next"), one("B", "/partly")] });
    await world.sync();
    await notice();
    expect(await world.data("partly")).toEqual({ A: virginia, B: virginia });
    expect((await conditionOf("partly"))!.message).toContain("parameters were read in us-east-1");
    fail("ssm:*", central);
    await world.apply("next", spec("/next"));
    await world.pass(3 * minute, 20);
    expect(await world.data("next")).toEqual({ A: virginia });
    await mend();
    expect(await world.data("next")).toEqual({ A: home });
  });

  it("if no region has it, the home region's outage is reported", async () => {
    await begin();
    fail("ssm:*");
    await world.apply("nowhere", spec("/nowhere"));
    await world.sync();
    await notice();
    await refused(world, "nowhere", "Unreachable", ["AWS Systems Manager in eu-west-1"]);
    expect(await conditionOf("nowhere")).toBeUndefined();
  });

  it("a process started meanwhile serves new SyncedSecrets too, and knows which were served elsewhere", async () => {
    await putEverywhere("/start");
    await begin();
    fail("*");
    await world.apply("before", spec("/start"));
    await world.sync();
    await notice();
    expect(await world.data("before")).toEqual({ A: central });
    await world.restart();
    await world.apply("after", spec("/start"));
    await world.sync();
    await notice();
    expect(await world.data("after")).toEqual({ A: central });
    expect(await conditionOf("before")).toMatchObject({ status: "True" });
    expect(await world.ready("before")).toMatchObject({ status: "True" });
    await mend();
    expect([await world.data("before"), await world.data("after")]).toEqual([{ A: home }, { A: home }]);
  });

  it("the home region is probed every half minute until it answers or no failover region is left", async () => {
    await putEverywhere("/probe");
    await begin();
    fail("ssm:*");
    await world.apply("probe", spec("/probe"));
    await world.sync();
    await notice();
    const probes = () =>
      aws.log({ service: "ssm", region: home }).filter(({ names }) => names?.[0] === "/keyferry/probe").length;
    let before = probes();
    await world.pass(5 * minute);
    expect(probes() - before).toBe(10);
    await world.makeConnection({ ...regional, failoverRegions: [] });
    await world.sync();
    expect(await ofConnection()).toBeUndefined();
    before = probes();
    await world.pass(5 * minute);
    expect(probes()).toBe(before);
    await world.makeConnection(regional);
  });

  it("each namespace's role is assumed at the other region's STS", async () => {
    const roleArn = "arn:aws:iam::333333333333:role/{namespace}";
    await aws.putParameter({ name: "/role", value: "theirs" }, { account: "333333333333", region: central });
    const secretRef = { name: "aws-credentials", namespace };
    await begin({ auth: { secretRef, assumeRole: [{ roleArn }] } });
    fail("*", home, "reset");
    await world.apply("role", spec("/role"));
    await world.sync();
    await notice();
    expect(await world.data("role")).toEqual({ A: "theirs" });
    expect(aws.sessions().at(-1)).toMatchObject({ region: central, name: `keyferry.${namespace}` });
  });
});

describe("no other region is used for", () => {
  const rows: [string, () => Promise<unknown> | unknown, string][] = [
    ["a denial", () => aws.deny({ parameter: "/quiet" }), "AccessDenied"],
    ["a missing parameter", () => aws.deleteParameter("/quiet"), "ParameterNotFound"],
    ["a throttle", () => aws.fault({ operation: "ssm:*", kind: "throttle", region: home }), "Throttled"],
    [
      "a parameter that AWS fails to return while it answers other calls",
      () => aws.fault({ operation: "ssm:*", kind: "500", region: home, names: ["/quiet"] }),
      "Unreachable",
    ],
  ];
  it.each(rows)("%s", async (_, breaks, reason) => {
    await putEverywhere("/quiet");
    await begin();
    await breaks();
    await world.apply("quiet", spec("/quiet"));
    await world.sync();
    await world.pass(20 * minute, 20);
    await refused(world, "quiet", reason as never);
    expect(callsIn(central)).toEqual([]);
    expect(await ofConnection()).toBeUndefined();
  });

  it("an outage of less than half a minute, or without a failover region", async () => {
    await putEverywhere("/short");
    await begin();
    fail("ssm:*");
    await world.apply("short", spec("/short"));
    await world.sync();
    await world.pass(25_000);
    aws.clearFaults();
    await notice();
    expect(await world.data("short")).toEqual({ A: home });
    expect(callsIn(central)).toEqual([]);
    await begin({ failoverRegions: [] });
    fail("ssm:*");
    await world.apply("alone", spec("/short"));
    await world.sync();
    await notice();
    await refused(world, "alone", "Unreachable");
    expect(callsIn(central)).toEqual([]);
  });
});

describe("while KMS does not answer in the home region, a blob", () => {
  let key = "";
  const blob = async (more: object = {}, keyId = key, plaintext = "p"): Promise<SyncedSecretSpec> => ({
    data: [{ key: "B", kms: { ciphertext: await aws.encrypt({ keyId, plaintext }), ...more } }],
  });
  async function replicated(): Promise<string> {
    if (key) return key;
    key = await aws.createKey({ multiRegion: true });
    await aws.direct("kms", "ReplicateKey", { KeyId: key, ReplicaRegion: central });
    return key;
  }
  const opens = (region: string) => aws.log({ operation: "Decrypt", region }).length;

  it.each([
    ["under a multi-Region key that it names", () => ({ keyId: key })],
    ["under a multi-Region key that it names by its id", () => ({ keyId: key.slice(key.indexOf("mrk-")) })],
    ["without a key in its spec, under a multi-Region key", () => ({})],
  ])("%s opens in the next region", async (_, more) => {
    await replicated();
    await begin();
    fail("kms:*");
    await put("/beside", home, home);
    const { data } = await blob(more());
    await world.apply("blob", { data: [...data!, one("A", "/beside")] });
    await world.sync();
    await notice();
    expect(await world.data("blob")).toEqual({ B: "p", A: home });
    expect((await conditionOf("blob"))!.message).toBe(
      "blobs were decrypted in eu-central-1 because eu-west-1 does not answer",
    );
    expect((await world.synced("blob")).status!.kmsKeys).toEqual([key]);
    expect(await world.metrics.registry.metrics()).toMatch(
      /failover_reads_total\{service="kms",region="eu-central-1"\} [1-9]/,
    );
    expect(callsIn(central)).toEqual([]);
    const made = await world.secret("blob");
    const opened = opens(central);
    await world.pass(20 * minute);
    expect(await conditionOf("blob")).toMatchObject({ status: "True" });
    await mend();
    // It is the same blob: nothing has to be opened again.
    expect(await conditionOf("blob")).toBeUndefined();
    expect(await world.secret("blob")).toEqual(made);
    expect([opens(central), aws.log({ operation: "Decrypt", region: home, status: 200 }).length]).toEqual([opened, 0]);
    await world.kubectl(["delete", "syncedsecret", "blob"]);
  });

  it("opens with a key that the connection lists, by the same rule", async () => {
    await replicated();
    const other = await aws.createKey({ multiRegion: true });
    await aws.direct("kms", "ReplicateKey", { KeyId: other, ReplicaRegion: central });
    await begin({ allow: { namespaces: { names: [namespace] }, parameters: ["/*"], keyIds: [key] } });
    fail("kms:*");
    await world.apply("listed", await blob({ keyId: key }));
    await world.apply("unlisted", await blob({ keyId: other }, other));
    await world.sync();
    await notice();
    expect(await world.data("listed")).toEqual({ B: "p" });
    await refused(world, "unlisted", "NotAllowed", ["allow.keyIds of its connection does not list it"]);
  });

  it("of a SyncedSecret with a Secret opens too if its spec has changed", async () => {
    await replicated();
    await begin();
    await world.apply("changed", await blob({ keyId: key }));
    await world.sync();
    fail("kms:*");
    await world.apply("changed", await blob({ keyId: key }, key, "newer"));
    await world.sync();
    expect(await world.data("changed")).toEqual({ B: "p" });
    await notice();
    expect(await world.data("changed")).toEqual({ B: "newer" });
  });

  it.each([
    ["that exists in one region only", () => aws.createKey(), true],
    ["that exists in one region only, and is not named", () => aws.createKey(), false],
  ])("under a key %s waits for the home region", async (_, make, isNamed) => {
    const alone = await make();
    await begin();
    fail("kms:*");
    await world.apply("alone", await blob(isNamed ? { keyId: alone } : {}, alone));
    await world.sync();
    await notice();
    await refused(world, "alone", "Unreachable", [
      "data[0] (B): AWS KMS in eu-west-1",
      "decryption in eu-central-1, us-east-1 failed too",
    ]);
    await mend();
    expect(await world.data("alone")).toEqual({ B: "p" });
    expect(await conditionOf("alone")).toBeUndefined();
  });

  it("is not opened elsewhere if KMS fails only at decrypting it", async () => {
    await replicated();
    await begin();
    fail("kms:Decrypt");
    await world.apply("poison", await blob({ keyId: key }));
    await world.sync();
    await world.pass(20 * minute, 20);
    await refused(world, "poison", "Unreachable", ["AWS KMS in eu-west-1"]);
    expect(callsIn(central, "kms")).toEqual([]);
    expect(await ofConnection()).toBeUndefined();
    aws.clearFaults();
    await world.pass(20 * minute, 20);
    expect(await world.data("poison")).toEqual({ B: "p" });
  });

  it("is not opened elsewhere after a denial, or while its key is disabled", async () => {
    await replicated();
    await begin();
    aws.deny({ action: "kms:Decrypt", key });
    await world.apply("denied", await blob({ keyId: key }));
    await world.sync();
    await world.pass(20 * minute);
    await refused(world, "denied", "AccessDenied");
    aws.allowAll();
    await aws.direct("kms", "DisableKey", { KeyId: key });
    await world.pass(20 * minute);
    await refused(world, "denied", "KeyUnavailable");
    expect(callsIn(central, "kms")).toEqual([]);
    await aws.direct("kms", "EnableKey", { KeyId: key });
  });
});
