import { afterAll, beforeAll, expect, it } from "vitest";
import { ensureHelm } from "../cluster/helm.ts";
import { Release } from "../helm/release.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import { documents, keysOf, openStage, readyCount, synced } from "./stage.ts";

const stage = await openStage();
await ensureHelm();
const { cluster, aws, audit } = stage;
const release = new Release(cluster, "keyferry-system");
let operator: RunningOperator | undefined;

beforeAll(async () => {
  for (const name of [release.namespace, "team-a", "team-b"]) await cluster.run(["create", "namespace", name]);
});

afterAll(async () => {
  await operator?.stop();
  await stage.close();
});

/** Uses every right of the operator: sync, change, drift, rename, deletion, failure and its event. */
async function goThroughLife(namespace: string): Promise<void> {
  for (const key of ["a", "b", "gone"]) await aws.putParameter({ name: `/${namespace}/${key}`, value: key });
  const secret = async (name: string) => (await cluster.kubectl(["get", "secret", name, "-n", namespace])).code === 0;
  const spec = keysOf([`/${namespace}/a`, `/${namespace}/b`]);
  await cluster.run(["apply", "-f", "-"], documents([synced(namespace, "one", spec)]));
  await until(async () => (await readyCount(cluster, namespace)) === 1, 20_000, "the first sync");
  await cluster.run(["patch", "secret", "one", "-n", namespace, "-p", '{"data":{"K0":"eA=="}}']);
  const first = ["get", "secret", "one", "-n", namespace, "-o", "jsonpath={.data.K0}"];
  await until(async () => (await cluster.run(first)) === Buffer.from("a").toString("base64"), 20_000, "the repair");
  await cluster.run(["apply", "-f", "-"], documents([synced(namespace, "one", { ...spec, target: { name: "two" } })]));
  await until(async () => (await secret("two")) && !(await secret("one")), 20_000, "the rename");
  await cluster.run(["apply", "-f", "-"], documents([synced(namespace, "missing", keysOf([`/${namespace}/none`]))]));
  const events = ["get", "events.v1.events.k8s.io", "-n", namespace, "-o", "jsonpath={.items[*].reason}"];
  await until(async () => (await cluster.run(events)).includes("ParameterNotFound"), 20_000, "an event");
}

/** The requests that the API server refused to the ServiceAccount. */
async function refused(): Promise<string[]> {
  const requests = (await audit.take()).filter(({ user, code }) => user === release.user && code === 403);
  return requests.map(({ verb, resource, namespace, name }) => `${verb} ${resource} ${namespace}/${name}`);
}

it("the chart's rights for all namespaces are sufficient", async () => {
  await release.install({ crds: { install: false }, aws: { region: "eu-west-1" } });
  await stage.connect({ allow: { namespaces: { names: ["team-a"] }, parameters: ["/{namespace}/*"] } });
  await cluster.run(["create", "secret", "generic", "unrelated", "-n", "team-a", "--from-literal=a=b"]);
  const kubeconfig = await cluster.kubeconfigFor(release.namespace, release.name);
  await audit.take();
  operator = await stage.operator(["--default-connection-region", "eu-west-1"], { kubeconfig });
  await goThroughLife("team-a");
  await operator.stop();
  expect(await refused()).toEqual([]);
});

it("the chart's rights for some namespaces are sufficient, with the default connection in the operator's own", async () => {
  await release.install({
    crds: { install: false },
    namespaces: ["team-b"],
    defaultConnection: `${release.namespace}/aws`,
  });
  const credentials = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "keys", namespace: release.namespace },
    stringData: { AWS_ACCESS_KEY_ID: "AKIAKEYFERRYTEST", AWS_SECRET_ACCESS_KEY: "any" },
  };
  const connection = {
    apiVersion: "keyferry.io/v1alpha1",
    kind: "AWSConnection",
    metadata: { name: "aws", namespace: release.namespace },
    spec: { region: "eu-west-1", auth: { secretRef: { name: "keys" } }, allow: { parameters: ["/{namespace}/*"] } },
  };
  await cluster.run(["apply", "-f", "-"], documents([credentials, connection]));
  const kubeconfig = await cluster.kubeconfigFor(release.namespace, release.name);
  await audit.take();
  const args = ["--namespaces", "team-b", "--default-connection", `${release.namespace}/aws`];
  // A namespaced connection cannot set endpoints: the environment points to the emulator, as for other SDK users.
  operator = await stage.operator(args, { kubeconfig, env: { AWS_ENDPOINT_URL: aws.url } });
  await goThroughLife("team-b");
  await operator.stop();
  expect(await refused()).toEqual([]);
});
