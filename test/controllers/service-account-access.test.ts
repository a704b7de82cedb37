import { readFile } from "node:fs/promises";
import { afterAll, expect, it } from "vitest";
import { ServiceAccounts } from "../../src/controllers/connection/service-accounts.ts";
import { serviceAccounts } from "../../src/kube/resource.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { silent } from "../../src/runtime/log.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { clientOf } from "../support/kube-client.ts";

const cluster = await sharedCluster();
const namespace = await cluster.freshNamespace("account-access");
const role = "arn:aws:iam::123456789012:role/checkout";
const apply = (...items: object[]) =>
  cluster.run(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
const closing: (() => unknown)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

const annotations = { "eks.amazonaws.com/role-arn": role };
await apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "checkout", namespace, annotations } });
const checkout = { namespace, name: "checkout" };

/** What a ServiceAccount `name` with these rules sees. */
async function seenBy(name: string, rules: { resources: string[]; verbs: string[] }[]) {
  const metadata = { name, namespace };
  const rbac = "rbac.authorization.k8s.io";
  await apply(
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    { apiVersion: `${rbac}/v1`, kind: "Role", metadata, rules: rules.map((rule) => ({ apiGroups: [""], ...rule })) },
    {
      ...{ apiVersion: `${rbac}/v1`, kind: "RoleBinding", metadata },
      roleRef: { apiGroup: rbac, kind: "Role", name },
      subjects: [{ kind: "ServiceAccount", name, namespace }],
    },
  );
  const token = (await cluster.run(["create", "token", name, "--namespace", namespace])).trim();
  const ca = await readFile(cluster.caFile, "utf8");
  const { client, close } = clientOf(cluster.url, { ca, token: () => token });
  closing.push(close);
  const changes: string[] = [];
  const changed = ({ namespace: where, name: what }: { namespace: string; name: string }) =>
    void changes.push(`${where}/${what}`);
  return {
    accounts: new ServiceAccounts({ client, clock: systemClock, random: () => 0.5, log: silent, changed }),
    client,
    changes,
  };
}

const getting = { resources: ["serviceaccounts"], verbs: ["get"] };
const creating = { resources: ["serviceaccounts/token"], verbs: ["create"] };

it("reads the role and gets a token for STS with get on serviceaccounts and create on serviceaccounts/token", async () => {
  const { accounts, client, changes } = await seenBy("both", [getting, creating]);
  expect(accounts.roleOf(checkout)).toBeUndefined();
  await accounts.whenRead();
  expect(accounts.roleOf(checkout)).toBe(role);
  expect(changes).toEqual([`${namespace}/checkout`]);
  const token = Buffer.from((await accounts.tokensOf(checkout, role).token()).reveal()).toString();
  const claims = JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString());
  expect(claims).toMatchObject({ aud: ["sts.amazonaws.com"], sub: `system:serviceaccount:${namespace}:checkout` });
  expect(claims.exp - claims.iat).toBe(3_600);
  // The API server does not accept it: the audience is another one.
  const ca = await readFile(cluster.caFile, "utf8");
  const holder = clientOf(cluster.url, { ca, token: () => token });
  closing.push(holder.close);
  await expect(holder.client.get(serviceAccounts, namespace, "checkout")).rejects.toMatchObject({
    kind: "unauthorized",
  });
  await expect(client.list(serviceAccounts, { namespace })).rejects.toMatchObject({ kind: "forbidden" });
});

it("names verb, resource and ServiceAccount if the operator may not get it", async () => {
  const { accounts } = await seenBy("creates", [creating]);
  const answer = await accounts.read(checkout);
  expect(answer).toBeInstanceOf(Failure);
  expect(answer).toMatchObject({ reason: "AccessDenied", next: "wait" });
  expect((answer as Failure).message).toContain(
    `may not get ServiceAccount ${namespace}/checkout: RBAC must allow it the verb get on the resource serviceaccounts`,
  );
});

it("names verb, resource, ServiceAccount and role if the operator may not request a token", async () => {
  const { accounts } = await seenBy("gets", [getting]);
  expect(await accounts.read(checkout)).toBe(role);
  await expect(accounts.tokensOf(checkout, role).token()).rejects.toMatchObject({
    ...{ name: "Failure", reason: "AccessDenied", next: "wait" },
    message: expect.stringContaining(
      `token of ServiceAccount ${namespace}/checkout for ${role}: RBAC must allow it the verb create on the resource serviceaccounts/token`,
    ),
  });
});

it("reports an error of its own with an id, and reads again later", async () => {
  const { accounts, client } = await seenBy("broken", [getting]);
  const get = client.get.bind(client);
  client.get = () => Promise.reject(new TypeError("c4n4ry"));
  const answer = (await accounts.read(checkout)) as Failure;
  expect(answer).toMatchObject({ reason: "InternalError" });
  expect(answer.message).not.toContain("c4n4ry");
  client.get = get;
  expect(await accounts.read(checkout)).toBe(role);
});

it("keeps the role that it has read while the API server does not answer", async () => {
  const { accounts, client } = await seenBy("steady", [getting]);
  expect(await accounts.read(checkout)).toBe(role);
  const unreachable = clientOf("http://127.0.0.1:1");
  closing.push(unreachable.close);
  client.get = unreachable.client.get.bind(unreachable.client);
  expect(await accounts.read(checkout)).toBe(role);
  const other = await accounts.read({ namespace, name: "other" });
  expect(other).toMatchObject({ reason: "ConnectionNotReady", next: "retry" });
});
