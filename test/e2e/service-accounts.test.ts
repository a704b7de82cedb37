import { afterAll, expect, it } from "vitest";
import { until } from "../support/operator.ts";
import { documents, keysOf, openStage, readyCount, synced } from "./stage.ts";

const stage = await openStage();
const { cluster, aws } = stage;
afterAll(() => stage.close());

const role = (namespace: string) => `arn:aws:iam::222222222222:role/${namespace}`;
const tenants = ["shop", "web"];
const account = (namespace: string) => ({
  apiVersion: "v1",
  kind: "ServiceAccount",
  metadata: { name: "reader", namespace, annotations: { "eks.amazonaws.com/role-arn": role(namespace) } },
});

it("the program reads each namespace's parameters with its ServiceAccount, by two verbs", async () => {
  for (const namespace of tenants) {
    await cluster.run(["create", "namespace", namespace]);
    aws.role(role(namespace), { webIdentity: { subjects: [`system:serviceaccount:${namespace}:reader`] } });
    await aws.putParameter({ name: `/${namespace}/db`, value: namespace }, { account: "222222222222" });
  }
  await stage.connect({
    auth: { serviceAccountRef: { name: "reader" } },
    allow: { namespaces: { selector: {} }, parameters: ["/{namespace}/*"] },
  });
  const items = tenants.map((namespace) => synced(namespace, "db", keysOf([`/${namespace}/db`])));
  await cluster.run(["apply", "-f", "-"], documents([...tenants.map(account), ...items]));
  await stage.audit.take();
  const operator = await stage.operator();
  for (const namespace of tenants) {
    await until(async () => (await readyCount(cluster, namespace)) === 1, 30_000, `${namespace} to be ready`);
    const data = await cluster.run(["get", "secret", "db", "-n", namespace, "-o", "jsonpath={.data.K0}"]);
    expect(Buffer.from(data, "base64").toString()).toBe(namespace);
  }
  await operator.stop();
  expect(aws.count({ operation: "AssumeRoleWithWebIdentity" })).toBe(tenants.length);
  const used = (await stage.audit.take()).filter(
    ({ resource, userAgent }) => resource.startsWith("serviceaccounts") && userAgent.startsWith("keyferry"),
  );
  const verbs = new Set(used.map(({ verb, resource }) => `${verb} ${resource}`));
  expect([...verbs].sort()).toEqual(["create serviceaccounts/token", "get serviceaccounts"]);
  const lines = await operator.log();
  expect(lines).not.toMatch(/eyJ[A-Za-z0-9_-]{17,}\.eyJ/);
}, 120_000);
