import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningOperator, until } from "../support/operator.ts";
import { connectionOf, documents, keysOf, openStage, type Stage, synced } from "./stage.ts";

/** A failing identity, account or name does not affect its neighbours. */

const each = 60;
const namespaces = ["healthy", "denied", "hanging", "throttled"] as const;
type Namespace = (typeof namespaces)[number];

let stage: Stage;
let operator: RunningOperator | undefined;

/** The reasons of Ready in a namespace, sorted. */
async function reasons(namespace: Namespace): Promise<string[]> {
  const jsonpath = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].reason}{"\\n"}{end}';
  const lines = await stage.cluster.run(["get", "syncedsecrets", "-n", namespace, "-o", `jsonpath=${jsonpath}`]);
  return lines.split("\n").filter((line) => line !== "");
}

beforeAll(async () => {
  stage = await openStage();
  const { aws, cluster } = stage;
  // The throttled identity has its own account; the others share an account and its quota.
  aws.identity("AKIATHROTTLED", { account: "210987654321", arn: "arn:aws:iam::210987654321:user/throttled" });
  const objects: object[] = [];
  for (const namespace of namespaces) {
    await cluster.run(["create", "namespace", namespace]);
    objects.push(...connectionOf(namespace, stage.aws.url, 100));
    const account = namespace === "throttled" ? { account: "210987654321" } : {};
    for (let i = 0; i < each; i++) {
      const name = `/${namespace}/p${i}`;
      await aws.putParameter({ name, type: "SecureString", value: name }, { ...account, region: "eu-west-1" });
      objects.push(
        synced(namespace, `r${i}`, {
          connectionRef: { kind: "ClusterAWSConnection", name: namespace },
          ...keysOf([name]),
        }),
      );
    }
  }
  aws.fault({ kind: "hang", operation: "GetParameters", names: ["/hanging/*"] });
  aws.fault({ kind: "throttle", operation: "GetParameters", names: ["/throttled/*"] });
  // One name of each ten, so that every call of ten fails as a whole.
  for (let i = 0; i < each; i += 10) aws.deny({ parameter: `/denied/p${i}` });
  await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
  aws.resetCalls();
  operator = await stage.operator();
}, 240_000);
afterAll(async () => {
  await operator?.stop();
  await stage.close();
});

it("healthy identities sync before the first calls of a hanging identity end", async () => {
  await until(
    async () => (await reasons("healthy")).filter((reason) => reason === "Synced").length === each,
    60_000,
    "the healthy",
  );
  const reads = stage.aws.log({ operation: "GetParameters" });
  const of = (namespace: Namespace) => reads.filter(({ names }) => names![0]!.startsWith(`/${namespace}/`));
  // The first calls may leave before all are queued; no hanging call is repeated.
  expect(of("healthy").length).toBeLessThan(each / 2);
  expect(of("hanging").length).toBeLessThan(each / 2);
  expect((await reasons("hanging")).filter((reason) => reason !== "Pending")).toEqual([]);
}, 90_000);

it("next to a denied name the other nine of its call sync, and only it is denied", async () => {
  const settled = async () => (await reasons("denied")).filter((reason) => reason !== "Pending").sort();
  const expected = [...Array(each / 10).fill("AccessDenied"), ...Array((9 * each) / 10).fill("Synced")];
  await until(async () => (await settled()).length === each, 30_000, "the denied and their neighbours");
  expect(await settled()).toEqual(expected);
}, 60_000);

it("the throttled and the hanging identities report it, and recover by themselves", async () => {
  await until(async () => (await reasons("throttled")).includes("Throttled"), 60_000, "word of the throttle");
  await until(async () => (await reasons("hanging")).includes("Unreachable"), 60_000, "word of the silence");
  stage.aws.clearFaults();
  for (const namespace of ["throttled", "hanging"] as const) {
    const count = async () => (await reasons(namespace)).filter((reason) => reason === "Synced").length;
    await until(async () => (await count()) === each, 120_000, `all of the ${namespace}`);
  }
}, 240_000);
