import { afterAll, describe, expect, it } from "vitest";
import { type AuditedRequest, countRequests } from "../cluster/audit.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import { documents, keysOf, openStage, readyCount, synced } from "./stage.ts";

const resources = 300;
const keys = 10;
/** Milliseconds for a test with hundreds of resources on a busy machine. */
const longMs = 120_000;
const stage = await openStage();
const { cluster, aws, audit } = stage;
let operator: RunningOperator;

afterAll(async () => {
  await operator?.stop();
  await stage.close();
});

const parametersOf = (index: number) => Array.from({ length: keys }, (_, key) => `/bulk/r${index}/k${key}`);
const isOperators = ({ userAgent }: AuditedRequest) => userAgent.startsWith("keyferry/");
const isWrite = ({ verb }: AuditedRequest) => !["get", "list", "watch"].includes(verb);
/** With AWS credentials from the environment, the operator needs no connection Secret. */
const env = { AWS_ACCESS_KEY_ID: "AKIAKEYFERRYTEST", AWS_SECRET_ACCESS_KEY: "any" };
const connect = (ssmRequestsPerSecond: number, pollInterval: string) =>
  stage.connect({ auth: undefined, pollInterval, limits: { ssmRequestsPerSecond } });
/** The operator's writes and Secret reads since the last call. */
const deeds = async () =>
  countRequests(
    (await audit.take()).filter(
      (r) => isOperators(r) && (isWrite(r) || (r.verb === "get" && r.resource === "secrets")),
    ),
  );

describe("300 resources of 10 SecureStrings each", () => {
  it(
    "are synced by 300 GetParameters calls at 40 a second, none throttled, and two writes each, without an event",
    async () => {
      await cluster.run(["create", "namespace", "bulk"]);
      // Above the limit of 40: on a busy machine delayed calls arrive together with later ones.
      aws.quota(50);
      await connect(40, "5m");
      const all = Array.from({ length: resources }, (_, index) => index);
      for (const index of all) {
        for (const name of parametersOf(index))
          await aws.putParameter({ name, type: "SecureString", value: `of ${name}` });
      }
      const objects = all.map((index) => synced("bulk", `r${index}`, keysOf(parametersOf(index))));
      await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
      aws.resetCalls();
      await audit.take();

      operator = await stage.operator([], { env });
      await until(async () => (await readyCount(cluster, "bulk")) === resources, 60_000, "300 times Ready");
      expect(aws.count({ error: "ThrottlingException" })).toBe(0);
      const reads = aws.log({ operation: "GetParameters" }).filter(({ decrypt }) => decrypt);
      expect(reads).toHaveLength(resources);
      expect(reads.every(({ names }) => names!.length === keys)).toBe(true);
      expect(aws.count({ operation: "GetParameter" })).toBe(0);
      expect(await deeds()).toEqual({
        "patch secrets": resources,
        "patch syncedsecrets/status": resources,
        "patch clusterawsconnections/status": 1,
      });
      const secret = await cluster.run(["get", "secret", "r299", "-n", "bulk", "-o", "jsonpath={.data.K9}"]);
      expect(Buffer.from(secret, "base64").toString()).toBe("of /bulk/r299/k9");
    },
    longMs,
  );

  it(
    "cost 300 calls per poll, without decryption, without KMS, and without reads or writes in the cluster",
    async () => {
      // Polls use a quarter of the quota at most, which would stretch the interval.
      aws.quota("none");
      await connect(10_000, "10s");
      // The first round of polls fixes the batches of parameters.
      const polls = () => aws.log({ operation: "GetParameters" }).filter(({ decrypt }) => !decrypt).length;
      await until(() => polls() >= resources, 30_000, "a round of polls");
      await audit.take();
      aws.resetCalls();
      await until(() => polls() >= 2 * resources, 30_000, "two rounds of polls");
      const log = aws.log({ operation: "GetParameters" }).filter(({ decrypt }) => !decrypt);
      const names = log.slice(0, resources).flatMap((call) => call.names!);
      expect(new Set(names).size).toBeGreaterThan(0.97 * resources * keys);
      expect(aws.log().some(({ decrypt }) => decrypt)).toBe(false);
      expect(aws.count({ service: "kms" })).toBe(0);
      expect(aws.count({ operation: "GetParameter" })).toBe(0);
      expect(await deeds()).toEqual({});
    },
    longMs,
  );

  it(
    "decrypt nothing and write nothing at a restart without changes",
    async () => {
      await operator.stop();
      await audit.take();
      aws.resetCalls();
      operator = await stage.operator([], { env });
      const polled = () => new Set(aws.log({ operation: "GetParameters" }).flatMap(({ names }) => names!)).size;
      await until(() => polled() === resources * keys, 30_000, "a poll of every parameter");
      expect(aws.log().some(({ decrypt }) => decrypt)).toBe(false);
      expect(aws.count({ service: "kms" })).toBe(0);
      expect(await deeds()).toEqual({});
    },
    longMs,
  );
});

it(
  "100 resources that share 10 parameters cost one call",
  async () => {
    await operator.stop();
    await cluster.run(["create", "namespace", "shared"]);
    const ten = Array.from({ length: keys }, (_, index) => `/shared/p${index}`);
    for (const name of ten) await aws.putParameter({ name, type: "SecureString", value: "v" });
    const objects = Array.from({ length: 100 }, (_, index) => synced("shared", `s${index}`, keysOf(ten)));
    await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
    aws.resetCalls();
    operator = await stage.operator(["--namespaces", "shared,default"]);
    // Installed for some namespaces only, the operator cannot see cluster connections.
    await until(async () => (await operator.metric("keyferry_syncs_total", { reason: "ConnectionNotReady" })) >= 100);
    expect(aws.count({ service: "ssm" })).toBe(0);
    await operator.stop();
    operator = await stage.operator([], { env });
    await until(async () => (await readyCount(cluster, "shared")) === 100, 60_000, "100 times Ready");
    const calls = aws
      .log()
      .filter(({ names, decrypt }) => decrypt && names?.some((name) => name.startsWith("/shared/")));
    expect(calls).toHaveLength(1);
    // Nothing waits for key and policy metadata: it arrives after all is synced.
    await until(() => aws.log({ operation: "DescribeParameters" }).length === 1, 10_000, "the descriptions");
  },
  longMs,
);

it(
  "an invalid name costs one GetParameter call, and is not requested again",
  async () => {
    await aws.putParameter({ name: "/invalid/there", value: "v" });
    await cluster.run(["create", "namespace", "invalid"]);
    const spec = keysOf(["/invalid/there", "/invalid/absent"]);
    await cluster.run(["apply", "-f", "-"], documents([synced("invalid", "one", spec)]));
    const asked = () =>
      aws.log({ operation: "GetParameters" }).filter(({ names }) => names!.includes("/invalid/absent"));
    await until(() => asked().length >= 3, 40_000, "three looks");
    expect(aws.log({ operation: "GetParameter" }).map(({ names }) => names)).toEqual([["/invalid/absent"]]);
  },
  longMs,
);

it("a resource of 200 entries of data and 50 of dataFrom syncs, and works with kubectl wait and get", async () => {
  await cluster.run(["create", "namespace", "large"]);
  const names = Array.from({ length: 200 }, (_, index) => `/large/p${index}`);
  for (const name of names) await aws.putParameter({ name, value: "v" });
  for (let index = 0; index < 50; index++) {
    await aws.putParameter({ name: `/many/d${index}`, value: JSON.stringify({ [`D${index}`]: index }) });
  }
  const dataFrom = Array.from({ length: 50 }, (_, index) => ({
    parameter: { name: `/many/d${index}` },
    format: "JSON" as const,
  }));
  const object = synced("large", "large", { ...keysOf(names), dataFrom });
  await cluster.run(["apply", "--server-side", "-f", "-"], documents([object]));
  await cluster.run(["wait", "--for=condition=Ready", "--timeout=20s", "syncedsecret/large", "-n", "large"]);
  const columns = (await cluster.run(["get", "kss", "-n", "large"])).trim().split("\n");
  expect(columns[0]!.split(/\s+/)).toEqual(["NAME", "READY", "REASON", "SECRET", "KEYS", "CHANGED", "AGE"]);
  expect(columns[1]!.split(/\s+/).slice(0, 5)).toEqual(["large", "True", "Synced", "large", "250"]);
  const { status } = JSON.parse(await cluster.run(["get", "kss", "large", "-n", "large", "-o", "json"])) as {
    status: { sources: unknown[]; sourcesOmitted: number };
  };
  expect([status.sources.length, status.sourcesOmitted]).toEqual([100, 150]);
});
