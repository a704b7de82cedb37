import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TokenAccess } from "../../src/kube/token-access.ts";
import { silent } from "../../src/runtime/log.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { FakeClock } from "../support/clock.ts";
import { clientOf } from "../support/kube-client.ts";

const cluster = await sharedCluster();
const namespace = await cluster.freshNamespace("metrics");
const name = `${namespace}-reader`;
const ca = await readFile(cluster.caFile, "utf8");
const { client, close } = clientOf(cluster.url, { ca, token: () => cluster.token });

beforeAll(async () => {
  for (const account of ["reader", "stranger"])
    await cluster.run(["create", "serviceaccount", account, "-n", namespace]);
  await cluster.run(["create", "clusterrole", name, "--verb=get", "--non-resource-url=/metrics"]);
  const subject = `--serviceaccount=${namespace}:reader`;
  await cluster.run(["create", "clusterrolebinding", name, `--clusterrole=${name}`, subject]);
});
afterAll(async () => {
  await cluster.run(["delete", "clusterrole,clusterrolebinding", name]);
  await close();
});

/** On a fake clock: nothing expires by itself. */
function access() {
  const clock = new FakeClock();
  let reviews = 0;
  const counting: Pick<typeof client, "review"> = {
    review<S extends object>(...args: Parameters<typeof client.review>) {
      reviews++;
      return client.review<S>(...args);
    },
  };
  const made = new TokenAccess({ client: counting, clock, log: silent, path: "/metrics" });
  const check = (token: string, address = "10.0.0.1") => made.check({ token, address });
  return { clock, check, reviews: () => reviews };
}

test("a ServiceAccount that may get /metrics is allowed, and another is refused by its name", async () => {
  const { check } = access();
  expect(await check(await cluster.tokenFor(namespace, "reader"))).toEqual({ kind: "allowed" });
  const user = `system:serviceaccount:${namespace}:stranger`;
  expect(await check(await cluster.tokenFor(namespace, "stranger"))).toEqual({ kind: "forbidden", user });
});

test("a token that is changed, of another audience, or no token at all is refused", async () => {
  const { check } = access();
  const token = await cluster.tokenFor(namespace, "reader");
  const flipped = `${token.slice(0, -8)}${token.at(-8) === "A" ? "B" : "A"}${token.slice(-7)}`;
  const args = ["create", "token", "reader", "--namespace", namespace, "--audience", "sts.amazonaws.com"];
  const other = (await cluster.run(args)).trim();
  for (const wrong of [flipped, other, "abc", `${token}.x`])
    expect(await check(wrong)).toEqual({ kind: "unauthenticated" });
});

test("a right that is taken away ends within a minute", async () => {
  const { check, clock } = access();
  const token = await cluster.tokenFor(namespace, "reader");
  expect(await check(token)).toEqual({ kind: "allowed" });
  await cluster.run(["delete", "serviceaccount", "reader", "-n", namespace]);
  expect(await check(token)).toEqual({ kind: "allowed" });
  await clock.advance(60_000);
  const ended = async () => {
    await clock.advance(30_000);
    return check(token);
  };
  // The API server itself remembers tokens for ten seconds.
  await expect.poll(ended, { timeout: 20_000 }).toEqual({ kind: "unauthenticated" });
});

test("a thousand wrong tokens cost the API server ten requests", async () => {
  const { check, reviews } = access();
  const all = await Promise.all(Array.from({ length: 1_000 }, (_, index) => check(`wrong.token.${index}`)));
  expect(reviews()).toBe(10);
  expect(all.filter(({ kind }) => kind === "unauthenticated")).toHaveLength(10);
  expect(all.filter(({ kind }) => kind === "limited")).toHaveLength(990);
});
