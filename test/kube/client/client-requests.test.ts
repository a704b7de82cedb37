import { json } from "node:stream/consumers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { KubeClient } from "../../../src/kube/client/client.ts";
import { pathOf } from "../../../src/kube/client/path.ts";
import { KubeError } from "../../../src/kube/errors.ts";
import { events, namespaces, type Resource, secrets, syncedSecrets } from "../../../src/kube/resource.ts";
import { answer, clientOf, secret } from "./answering.ts";

describe("the client's requests", () => {
  const intent = { ...secret, data: { a: "MQ==" } };
  const cluster = { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } };
  test.each<[string, (client: KubeClient) => Promise<unknown>, { target: string; body?: unknown; type?: string }]>([
    ["get", (c) => c.get(secrets, "shop", "checkout"), { target: "GET /api/v1/namespaces/shop/secrets/checkout" }],
    [
      "get of a cluster-scoped object",
      (c) => c.get(namespaces, undefined, "shop"),
      { target: "GET /api/v1/namespaces/shop" },
    ],
    [
      "get in a group",
      (c) => c.get(syncedSecrets, "shop", "checkout"),
      { target: "GET /apis/keyferry.io/v1alpha1/namespaces/shop/syncedsecrets/checkout" },
    ],
    [
      "apply",
      (c) => c.apply(secrets, intent, { fieldManager: "keyferry" }),
      {
        target: "PATCH /api/v1/namespaces/shop/secrets/checkout?fieldManager=keyferry",
        body: intent,
        type: "application/apply-patch+yaml",
      },
    ],
    [
      "forced apply to a status as a dry run",
      (c) => c.apply(secrets, intent, { fieldManager: "k/v", force: true, subresource: "status", dryRun: true }),
      {
        target: "PATCH /api/v1/namespaces/shop/secrets/checkout/status?fieldManager=k%2Fv&force=true&dryRun=All",
        body: intent,
        type: "application/apply-patch+yaml",
      },
    ],
    [
      "merge patch",
      (c) =>
        c.mergePatch(
          secrets,
          { namespace: "shop", name: "checkout" },
          { data: { a: null } },
          { fieldManager: "keyferry" },
        ),
      {
        target: "PATCH /api/v1/namespaces/shop/secrets/checkout?fieldManager=keyferry",
        body: { data: { a: null } },
        type: "application/merge-patch+json",
      },
    ],
    [
      "update",
      (c) => c.update(secrets, intent),
      { target: "PUT /api/v1/namespaces/shop/secrets/checkout", body: intent, type: "application/json" },
    ],
    [
      "create",
      (c) => c.create(secrets, intent),
      { target: "POST /api/v1/namespaces/shop/secrets", body: intent, type: "application/json" },
    ],
    [
      "create of a cluster-scoped object",
      (c) => c.create(namespaces, cluster),
      { target: "POST /api/v1/namespaces", body: cluster, type: "application/json" },
    ],
    [
      "delete",
      (c) => c.delete(secrets, "shop", "checkout", { uid: "u", resourceVersion: "7", propagationPolicy: "Background" }),
      {
        target: "DELETE /api/v1/namespaces/shop/secrets/checkout",
        body: {
          kind: "DeleteOptions",
          apiVersion: "v1",
          preconditions: { uid: "u", resourceVersion: "7" },
          propagationPolicy: "Background",
        },
        type: "application/json",
      },
    ],
  ])("are correct for %s", async (_, call, expected) => {
    const seen: object[] = [];
    const { client } = await clientOf(async (request, response) => {
      const { method, url, headers } = request;
      const body = method === "GET" ? undefined : await json(request);
      const { authorization, accept, "user-agent": agent, "content-type": type } = headers;
      seen.push({ target: `${method} ${url}`, body, type, authorization, accept, agent });
      answer(response, 200, secret);
    });
    await call(client);
    expect(seen).toEqual([
      {
        body: undefined,
        type: undefined,
        authorization: "Bearer old",
        accept: "application/json",
        agent: "keyferry/test",
        ...expected,
      },
    ]);
  });

  test("contain the options of list and watch that are set", async () => {
    const seen: string[] = [];
    const { client } = await clientOf((request, response) => {
      seen.push(request.url!);
      answer(response, 200, { metadata: { resourceVersion: "7" }, items: [] });
    });
    await client.list(secrets);
    await client.list(secrets, { namespace: "shop", labelSelector: "a=b,c", limit: 500, continue: "x=/" });
    await client.list(events, { resourceVersion: "0" });
    const signal = new AbortController().signal;
    const watch = { resourceVersion: "5", timeoutSeconds: 300, allowWatchBookmarks: true, signal };
    await client.watch(secrets, { ...watch, namespace: "shop" });
    await client.watch(secrets, { ...watch, resourceVersion: "" });
    expect(seen).toEqual([
      "/api/v1/secrets",
      "/api/v1/namespaces/shop/secrets?labelSelector=a%3Db%2Cc&limit=500&continue=x%3D%2F",
      "/apis/events.k8s.io/v1/events?resourceVersion=0",
      "/api/v1/namespaces/shop/secrets?watch=true&resourceVersion=5&timeoutSeconds=300&allowWatchBookmarks=true",
      "/api/v1/secrets?watch=true&timeoutSeconds=300&allowWatchBookmarks=true",
    ]);
  });

  test.each<[string, (client: KubeClient) => Promise<unknown>]>([
    ["an empty name, which would delete the collection", (c) => c.delete(secrets, "shop", "")],
    ["an empty namespace", (c) => c.get(secrets, "", "checkout")],
    ["no namespace for a namespaced resource", (c) => c.get(secrets, undefined, "checkout")],
    ["a name that is `..`", (c) => c.get(secrets, "shop", "..")],
    ["a namespace that is `..`", (c) => c.list(secrets, { namespace: ".." })],
    ["a name with a slash", (c) => c.get(secrets, "shop", "a/status")],
    ["a name with an escaped slash", (c) => c.get(secrets, "shop", "a%2fstatus")],
    ["an object without a name", (c) => c.apply(secrets, { metadata: { namespace: "shop" } }, { fieldManager: "k" })],
  ])("are not sent with %s", async (_, call) => {
    const { client, requests } = await clientOf((_request, response) => answer(response, 200, secret));
    await expect(call(client)).rejects.toMatchObject({ kind: "badRequest" });
    expect(requests()).toBe(0);
  });
});

test("loops of requests use one connection each", async () => {
  const sockets = new Set<unknown>();
  const { client, requests } = await clientOf(({ socket }, response) => {
    sockets.add(socket);
    answer(response, 200, secret);
  });
  const loop = async () => {
    for (let index = 0; index < 20; index++) await client.get(secrets, "shop", "checkout");
  };
  await Promise.all(Array.from({ length: 4 }, loop));
  expect(requests()).toBe(80);
  expect(sockets.size).toBe(4);
});

test("a path never leaves its resource's collection", () => {
  const all: Resource[] = [secrets, namespaces, events, syncedSecrets];
  fc.assert(
    fc.property(fc.constantFrom(...all), fc.string(), fc.string(), (resource, namespace, name) => {
      let path: string;
      try {
        path = pathOf(resource, namespace, name);
      } catch (error) {
        expect(error).toBeInstanceOf(KubeError);
        return;
      }
      const { pathname, search } = new URL(path, "http://x");
      expect(search).toBe("");
      const parts = pathname.split("/").map(decodeURIComponent);
      expect(parts.slice(-4)).toEqual(["namespaces", namespace, resource.plural, name]);
    }),
  );
});
