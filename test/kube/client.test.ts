import { getEventListeners, once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json, text } from "node:stream/consumers";
import { inspect } from "node:util";
import { Agent } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import { KubeClient, type KubeClientOptions } from "../../src/kube/client.ts";
import type { Access, Connection } from "../../src/kube/connection.ts";
import { KubeError } from "../../src/kube/errors.ts";
import { events, namespaces, type Resource, secrets, syncedSecrets } from "../../src/kube/resource.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silent } from "../../src/runtime/log.ts";
import { FakeClock } from "../support/clock.ts";
import { status, until } from "../support/scripted-server.ts";

type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => unknown;

/** A client of a server that answers as `handler` says. */
async function clientOf(handler: Handler, options: Partial<KubeClientOptions> = {}) {
  let count = 0;
  const server = createServer((request, response) => void handler(request, response, ++count));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const pools = { requests: new Agent(), watches: new Agent() };
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const access = (token: string): Access => ({
    origin,
    prefix: "",
    headers: { authorization: `Bearer ${token}` },
    ...pools,
  });
  let current = access("old");
  const connection: Connection = {
    access: () => current,
    renew: async () => {
      current = access("new");
    },
    close: async () => {},
  };
  onTestFinished(async () => {
    await Promise.all([pools.requests.destroy(), pools.watches.destroy()]);
    server.closeAllConnections();
    server.close();
  });
  const metrics = new Metrics();
  const client = new KubeClient({
    connection,
    metrics,
    clock: systemClock,
    log: silent,
    userAgent: "keyferry/test",
    ...options,
  });
  const counted = async () =>
    Object.fromEntries(
      (await metrics.kubernetesRequests.get()).values.map(({ labels, value }) => [
        `${labels.verb} ${labels.code}`,
        value,
      ]),
    );
  return { client, counted, requests: () => count };
}

function answer(response: ServerResponse, code: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(code, { "content-type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}

const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "checkout", namespace: "shop" } };

describe("what is asked", () => {
  const intent = { ...secret, data: { a: "MQ==" } };
  const cluster = { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } };
  test.each<[string, (client: KubeClient) => Promise<unknown>, { target: string; body?: unknown; type?: string }]>([
    ["get", (c) => c.get(secrets, "shop", "checkout"), { target: "GET /api/v1/namespaces/shop/secrets/checkout" }],
    ["get without a namespace", (c) => c.get(namespaces, undefined, "shop"), { target: "GET /api/v1/namespaces/shop" }],
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
      "apply by force to a status, kept nowhere",
      (c) => c.apply(secrets, intent, { fieldManager: "k/v", force: true, subresource: "status", dryRun: true }),
      {
        target: "PATCH /api/v1/namespaces/shop/secrets/checkout/status?fieldManager=k%2Fv&force=true&dryRun=All",
        body: intent,
        type: "application/apply-patch+yaml",
      },
    ],
    [
      "merge patch",
      (c) => c.mergePatch(secrets, "shop", "checkout", { data: { a: null } }, { fieldManager: "keyferry" }),
      {
        target: "PATCH /api/v1/namespaces/shop/secrets/checkout?fieldManager=keyferry",
        body: { data: { a: null } },
        type: "application/merge-patch+json",
      },
    ],
    [
      "create",
      (c) => c.create(secrets, intent),
      { target: "POST /api/v1/namespaces/shop/secrets", body: intent, type: "application/json" },
    ],
    [
      "create without a namespace",
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
  ])("by %s", async (_, call, expected) => {
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

  test("by list and watch are their options, where they are set", async () => {
    const seen: string[] = [];
    const { client } = await clientOf((request, response) => {
      seen.push(request.url!);
      answer(response, 200, { metadata: { resourceVersion: "7" }, items: [] });
    });
    await client.list(secrets);
    await client.list(secrets, { namespace: "shop", labelSelector: "a=b,c", limit: 500, continue: "x=/" });
    await client.list(events, { resourceVersion: "0", resourceVersionMatch: "NotOlderThan" });
    const signal = new AbortController().signal;
    const watch = { resourceVersion: "5", timeoutSeconds: 300, allowWatchBookmarks: true, signal };
    await client.watch(secrets, { ...watch, namespace: "shop" });
    const initial = { sendInitialEvents: true, resourceVersionMatch: "NotOlderThan" } as const;
    await client.watch(secrets, { ...watch, resourceVersion: "", ...initial });
    expect(seen).toEqual([
      "/api/v1/secrets",
      "/api/v1/namespaces/shop/secrets?labelSelector=a%3Db%2Cc&limit=500&continue=x%3D%2F",
      "/apis/events.k8s.io/v1/events?resourceVersion=0&resourceVersionMatch=NotOlderThan",
      "/api/v1/namespaces/shop/secrets?watch=true&resourceVersion=5&timeoutSeconds=300&allowWatchBookmarks=true",
      "/api/v1/secrets?watch=true&timeoutSeconds=300&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    ]);
  });

  test.each<[string, (client: KubeClient) => Promise<unknown>]>([
    ["an empty name, which would delete the collection", (c) => c.delete(secrets, "shop", "")],
    ["an empty namespace", (c) => c.get(secrets, "", "checkout")],
    ["no namespace, where there has to be one", (c) => c.get(secrets, undefined, "checkout")],
    ["a name that leads up", (c) => c.get(secrets, "shop", "..")],
    ["a namespace that leads up", (c) => c.list(secrets, { namespace: ".." })],
    ["a name with a slash", (c) => c.get(secrets, "shop", "a/status")],
    ["an escaped slash", (c) => c.get(secrets, "shop", "a%2fstatus")],
    ["an object without a name", (c) => c.apply(secrets, { metadata: { namespace: "shop" } }, { fieldManager: "k" })],
  ])("is refused before it is sent: %s", async (_, call) => {
    const { client, requests } = await clientOf((_request, response) => answer(response, 200, secret));
    await expect(call(client)).rejects.toMatchObject({ kind: "badRequest" });
    expect(requests()).toBe(0);
  });
});

describe("what comes back", () => {
  const whole = { ...secret, data: { a: "Y2FuYXJ5" }, stringData: { a: "canary" }, type: "Opaque" };

  test("of metadata only is nothing else, also from a server that answers with the whole", async () => {
    const accepts: (string | undefined)[] = [];
    const { client } = await clientOf((request, response) => {
      accepts.push(request.headers.accept);
      answer(response, 200, { ...whole, metadata: { ...whole.metadata, resourceVersion: "7" }, items: [whole] });
    });
    const one = await client.get(secrets, "shop", "checkout", { metadataOnly: true });
    const { items } = await client.list(secrets, { metadataOnly: true });
    expect(one).toEqual({ ...secret, metadata: { ...secret.metadata, resourceVersion: "7" } });
    expect(items).toEqual([secret]);
    expect(accepts).toEqual([
      "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
      "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
    ]);
  });

  test("of a list is a page and where it goes on", async () => {
    const { client } = await clientOf((_, response, count) =>
      answer(response, 200, {
        metadata: count === 1 ? { resourceVersion: "7", continue: "more" } : { resourceVersion: "7", continue: "" },
        items: count === 1 ? [secret] : null,
      }),
    );
    expect(await client.list(secrets)).toEqual({ items: [secret], resourceVersion: "7", continue: "more" });
    expect(await client.list(secrets)).toEqual({ items: [], resourceVersion: "7" });
  });

  test.each<[string, unknown]>([
    ["no JSON", '{"metadata": {"name": canary'],
    ["nothing", ""],
    ["a number", "7"],
    ["null", "null"],
    ["an object without metadata", { data: "canary" }],
    ["a list without a version", { metadata: {}, items: [] }],
    ["a list without items", { metadata: { resourceVersion: "7" } }],
  ])("is refused in our own words where it is %s", async (_, body) => {
    const { client } = await clientOf((_request, response) => answer(response, 200, body));
    const calls = [client.list(secrets)];
    if (!(body as { metadata?: object }).metadata) calls.push(client.get(secrets, "shop", "checkout") as never);
    for (const call of calls) {
      const error = await call.catch((e) => e);
      expect(error).toBeInstanceOf(KubeError);
      expect(error.kind).toBe("other");
      expect(inspect(error, { depth: 9 })).not.toContain("canary");
    }
  });

  test("is given up when it is larger than any object can be", async () => {
    const chunk = Buffer.alloc(2 ** 20, " ");
    let written = 0;
    const { client } = await clientOf((_, response) => {
      const write = () => {
        while (!response.destroyed && written < 64) {
          written++;
          if (!response.write(chunk)) return void response.once("drain", write);
        }
        response.end();
      };
      write();
    });
    await expect(client.get(secrets, "shop", "checkout")).rejects.toMatchObject({ kind: "tooLarge" });
    expect(written).toBeLessThan(64);
  });

  test("as a failure is an error with the server's reason and wait", async () => {
    const { client, counted } = await clientOf((_, response) =>
      answer(response, 429, status(429, "TooManyRequests"), { "retry-after": "2" }),
    );
    const expected = { kind: "tooManyRequests", status: 429, retryAfterMs: 2_000 };
    await expect(client.get(secrets, "shop", "checkout")).rejects.toMatchObject(expected);
    await expect(client.get(secrets, "shop", "checkout")).rejects.toThrow(
      "GET secrets shop/checkout: 429 TooManyRequests",
    );
    expect(await counted()).toEqual({ "get 429": 2 });
  });

  test("as a redirect is not followed", async () => {
    const { client, requests } = await clientOf((_, response) =>
      answer(response, 302, "", { location: "/api/v1/namespaces/other/secrets/x" }),
    );
    await expect(client.get(secrets, "shop", "checkout")).rejects.toMatchObject({ kind: "other", status: 302 });
    expect(requests()).toBe(1);
  });
});

describe("credentials that the server does not accept", () => {
  test("are read anew once, and the request is sent again", async () => {
    const bodies: string[] = [];
    const { client, counted } = await clientOf(async (request, response) => {
      bodies.push(await text(request));
      if (request.headers.authorization === "Bearer new") answer(response, 200, secret);
      else answer(response, 401, status(401, "Unauthorized"));
    });
    await client.apply(secrets, secret, { fieldManager: "keyferry" });
    expect(bodies).toEqual([JSON.stringify(secret), JSON.stringify(secret)]);
    expect(await counted()).toEqual({ "apply 401": 1, "apply 200": 1 });
  });

  test("are not tried a third time", async () => {
    const { client, requests } = await clientOf((_, response) => answer(response, 401, status(401, "Unauthorized")));
    await expect(client.get(secrets, "shop", "checkout")).rejects.toMatchObject({ kind: "unauthorized" });
    expect(requests()).toBe(2);
  });
});

describe("time", () => {
  test.each<[string, Handler]>([
    ["never begins", () => {}],
    ["never ends", (_, response) => response.write('{"metadata":')],
    ["fails and never ends", (_, response) => response.writeHead(500).write("x")],
  ])("is up for an answer that %s", async (_, handler) => {
    const clock = new FakeClock();
    const { client, counted, requests } = await clientOf(handler, { clock, timeoutMs: 5_000 });
    let ended: unknown;
    const call = client.get(secrets, "shop", "checkout").catch((error) => (ended = error));
    await until(() => requests() === 1);
    await clock.advance(4_999);
    expect(ended).toBeUndefined();
    await clock.advance(1);
    await call;
    expect(ended).toMatchObject({ kind: "timeout", message: "GET secrets shop/checkout: no answer in 5000 ms" });
    // Each request counts once: by its status, or by its failure where none came.
    expect(Object.values(await counted())).toEqual([1]);
    expect(clock.pending).toBe(0);
  });

  test("bounds the beginning of a watch, and not the rest", async () => {
    const clock = new FakeClock();
    let late: ServerResponse | undefined;
    const { client, requests } = await clientOf(
      (_, response, count) => {
        if (count === 1) return;
        response.writeHead(200).write("one\n");
        late = response;
      },
      { clock, timeoutMs: 5_000 },
    );
    const options = {
      resourceVersion: "5",
      timeoutSeconds: 300,
      allowWatchBookmarks: true,
      signal: new AbortController().signal,
    };
    const first = client.watch(secrets, options).catch((error) => error);
    await until(() => requests() === 1);
    await clock.advance(5_000);
    expect(await first).toMatchObject({ kind: "timeout" });
    const chunks: string[] = [];
    const body = await client.watch(secrets, options);
    await clock.advance(600_000);
    late!.end("two\n");
    for await (const chunk of body) chunks.push(Buffer.from(chunk).toString());
    expect(chunks.join("")).toBe("one\ntwo\n");
  });
});

describe("a caller who goes away", () => {
  test("ends a request that is under way, and one that is not begun", async () => {
    const { client, requests } = await clientOf(() => {});
    const stop = new AbortController();
    const call = client.get(secrets, "shop", "checkout", { signal: stop.signal }).catch((error) => error);
    await until(() => requests() === 1);
    stop.abort();
    expect(await call).toMatchObject({ kind: "other", message: "GET secrets shop/checkout: cancelled" });
    await expect(client.get(secrets, "shop", "checkout", { signal: stop.signal })).rejects.toThrow("cancelled");
    expect(requests()).toBe(1);
  });

  test.each<[string, (stop: AbortController, body: AsyncIterator<Uint8Array>) => unknown]>([
    ["by the signal", (stop) => stop.abort()],
    ["by leaving the loop", (_, body) => body.return?.()],
  ])("ends a watch %s: the connection is closed", async (_, leave) => {
    let closed = false;
    const { client } = await clientOf((_request, response) => {
      response.writeHead(200).write("one\n");
      response.once("close", () => (closed = true));
    });
    const stop = new AbortController();
    const options = { resourceVersion: "5", timeoutSeconds: 300, allowWatchBookmarks: true, signal: stop.signal };
    const body = (await client.watch(secrets, options))[Symbol.asyncIterator]();
    expect(Buffer.from((await body.next()).value!).toString()).toBe("one\n");
    leave(stop, body);
    await until(() => closed);
  });

  test("leaves no listener on its signal, once it has been answered or its watch has ended", async () => {
    const { client } = await clientOf((request, response) => {
      if (request.url!.includes("watch")) response.writeHead(200).end("one\n");
      else answer(response, 200, secret);
    });
    const { signal } = new AbortController();
    await client.get(secrets, "shop", "checkout", { signal });
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
    const options = { resourceVersion: "5", timeoutSeconds: 300, allowWatchBookmarks: true, signal };
    for await (const _ of await client.watch(secrets, options))
      expect(getEventListeners(signal, "abort")).not.toEqual([]);
    await until(() => getEventListeners(signal, "abort").length === 0);
  });
});

describe("a connection that breaks", () => {
  test.each<[string, Handler, string | undefined]>([
    ["before an answer", (request) => request.socket.resetAndDestroy(), "ECONNRESET"],
    [
      "in an answer",
      (request, response) => {
        response.writeHead(200, { "content-length": "9" }).write("{");
        setImmediate(() => request.socket.destroy());
      },
      "UND_ERR_SOCKET",
    ],
    [
      "with no HTTP",
      (request) => request.socket.end("HTTP/1.1 200 OK\r\ncanary canary: x\r\n\r\n"),
      "HPE_INVALID_HEADER_TOKEN",
    ],
  ])("%s is a network error with a code and nothing else", async (_, handler, code) => {
    const { client, counted } = await clientOf(handler);
    const error = await client.get(secrets, "shop", "checkout").catch((e) => e);
    expect(error).toMatchObject({ kind: "network", code });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("canary");
    expect(Object.values(await counted())).toEqual([1]);
  });

  test("in a watch ends its iteration with a network error", async () => {
    const { client } = await clientOf((request, response) => {
      response.writeHead(200).write("one\n");
      setTimeout(() => request.socket.resetAndDestroy(), 10);
    });
    const options = {
      resourceVersion: "5",
      timeoutSeconds: 300,
      allowWatchBookmarks: true,
      signal: new AbortController().signal,
    };
    const body = await client.watch(secrets, options);
    const read = async () => {
      for await (const _ of body);
    };
    await expect(read()).rejects.toMatchObject({ kind: "network", message: /^WATCH secrets: / });
  });

  test("while nobody reads a watch crashes nothing", async () => {
    let socket: IncomingMessage["socket"] | undefined;
    const { client } = await clientOf((request, response) => {
      socket = request.socket;
      response.writeHead(200).write("one\n");
    });
    const options = {
      resourceVersion: "5",
      timeoutSeconds: 300,
      allowWatchBookmarks: true,
      signal: new AbortController().signal,
    };
    await client.watch(secrets, options);
    const closed = once(socket!, "close");
    socket!.resetAndDestroy();
    await closed;
    // An error that nobody handles would fail the run.
    await new Promise((resolve) => setTimeout(resolve, 50));
  });
});

test("a resource's paths never leave its collection", async () => {
  const { pathOf } = await import("../../src/kube/path.ts");
  const fc = (await import("fast-check")).default;
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
