import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningOperator, until } from "../support/operator.ts";
import { connectionOf, documents, keysOf, openStage, type Stage, synced } from "./stage.ts";

/** A connection of one request a second with a long queue, and a neighbouring namespace. */

const waiting = 1_100;
let stage: Stage;
let operator: RunningOperator | undefined;

const of = (namespace: string, name: string, names: string[]) =>
  synced(namespace, name, { connectionRef: { kind: "ClusterAWSConnection", name: namespace }, ...keysOf(names) });

async function apply(objects: object[]): Promise<void> {
  await stage.cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
}

async function ready(namespace: string, name: string): Promise<string> {
  const jsonpath = '{.status.conditions[?(@.type=="Ready")].status}';
  return stage.cluster.run(["get", "syncedsecret", name, "-n", namespace, "-o", `jsonpath=${jsonpath}`]);
}

beforeAll(async () => {
  stage = await openStage();
  const { aws, cluster } = stage;
  aws.identity("AKIASLOW", { account: "210987654321", arn: "arn:aws:iam::210987654321:user/slow" });
  for (const namespace of ["slow", "beside"]) await cluster.run(["create", "namespace", namespace]);
  for (const name of ["/beside/a", "/beside/b"]) {
    await aws.putParameter({ name, type: "SecureString", value: name }, { region: "eu-west-1" });
  }
  await apply([
    ...connectionOf("slow", stage.aws.url, 1),
    ...connectionOf("beside", stage.aws.url, 100),
    of("beside", "before", ["/beside/a"]),
  ]);
  operator = await stage.operator();
  await until(async () => (await ready("beside", "before")) === "True");
  const tenNames = (n: number) => Array.from({ length: 10 }, (_, key) => `/slow/p${n}/k${key}`);
  await apply(Array.from({ length: waiting }, (_, n) => of("slow", `r${n}`, tenNames(n))));
}, 240_000);
afterAll(async () => {
  await operator?.stop();
  await stage.close();
});

it("neither delays new SyncedSecrets in another namespace, nor a repair there", async () => {
  await apply([of("beside", "after", ["/beside/b"])]);
  await until(async () => (await ready("beside", "after")) === "True", 2_000);
  const read = () => stage.cluster.run(["get", "secret", "before", "-n", "beside", "-o", "jsonpath={.data}"]);
  const was = await read();
  const edit = JSON.stringify({ stringData: { [Object.keys(JSON.parse(was))[0]!]: "edited" } });
  await stage.cluster.run(["patch", "secret", "before", "-n", "beside", "--type=merge", "-p", edit]);
  await until(async () => (await read()) === was, 2_000);
}, 30_000);

it("makes no call later than a second after the Secret with its credentials is deleted", async () => {
  const ofSlow = () => stage.aws.count({ account: "210987654321" });
  expect(ofSlow()).toBeGreaterThan(0);
  await stage.cluster.run(["delete", "secret", "aws", "-n", "slow"]);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const before = ofSlow();
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  expect(ofSlow()).toBe(before);
}, 30_000);
