import { getEventListeners, once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { KubeError } from "../../../src/kube/errors.ts";
import { events, secrets } from "../../../src/kube/resource.ts";
import { FakeClock } from "../../support/clock.ts";
import { status, until } from "../../support/scripted-server.ts";
import { answer, clientOf, type Handler, secret } from "./answering.ts";

describe("an answer", () => {
  const whole = { ...secret, data: { a: "Y2FuYXJ5" }, stringData: { a: "canary" }, type: "Opaque" };

  test("is reduced to metadata, also from a server that sends whole objects", async () => {
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

  test("to a list is a page and its continue token", async () => {
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
    ["invalid JSON", '{"metadata": {"name": canary'],
    ["empty", ""],
    ["a number", "7"],
    ["null", "null"],
    ["an object without metadata", { data: "canary" }],
    ["a list without a version", { metadata: {}, items: [] }],
    ["a list without items", { metadata: { resourceVersion: "7" } }],
  ])("that is %s is an error that does not quote it", async (_, body) => {
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

  test("is aborted when it exceeds the size limit", async () => {
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

  test("with an error status is an error with the server's reason and Retry-After", async () => {
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

  test("with a redirect is not followed", async () => {
    const { client, requests } = await clientOf((_, response) =>
      answer(response, 302, "", { location: "/api/v1/namespaces/other/secrets/x" }),
    );
    await expect(client.get(secrets, "shop", "checkout")).rejects.toMatchObject({ kind: "other", status: 302 });
    expect(requests()).toBe(1);
  });
});

describe("credentials that the server rejects", () => {
  test("are reloaded once, and the request is retried", async () => {
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

  test("are not retried a second time", async () => {
    const { client, requests } = await clientOf((_, response) => answer(response, 401, status(401, "Unauthorized")));
    await expect(client.get(secrets, "shop", "checkout")).rejects.toMatchObject({ kind: "unauthorized" });
    expect(requests()).toBe(2);
  });
});

describe("the timeout", () => {
  test.each<[string, Handler]>([
    ["never begins", () => {}],
    ["never ends", (_, response) => response.write('{"metadata":')],
    ["has an error status and never ends", (_, response) => response.writeHead(500).write("x")],
  ])("applies to an answer that %s", async (_, handler) => {
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
    // Each request counts once: by its status, or by its failure without one.
    expect(Object.values(await counted())).toEqual([1]);
    expect(clock.pending).toBe(0);
  });

  test("applies to the start of a watch only", async () => {
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

describe("a caller that aborts", () => {
  test("ends a request under way, and one that has not begun", async () => {
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
    ["with the signal", (stop) => stop.abort()],
    ["by leaving the loop", (_, body) => body.return?.()],
  ])("ends a watch %s and closes the connection", async (_, leave) => {
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

  test("has no listener left on its signal after the answer or the watch", async () => {
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
      "with bytes that are not HTTP",
      (request) => request.socket.end("HTTP/1.1 200 OK\r\ncanary canary: x\r\n\r\n"),
      undefined,
    ],
  ])("%s is a network error that contains only a code", async (_, handler, code) => {
    const { client, counted } = await clientOf(handler);
    const error = await client.get(secrets, "shop", "checkout").catch((e) => e);
    expect(error).toMatchObject({ kind: "network", code });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("canary");
    expect(Object.values(await counted())).toEqual([1]);
  });

  test("during a watch ends the iteration with a network error", async () => {
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

  test("while no one reads the watch does not crash the process", async () => {
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
    // An unhandled error would fail the run.
    await new Promise((resolve) => setTimeout(resolve, 50));
  });
});

test("a replica that no longer leads begins no write but Events, and goes on reading", async () => {
  let leads = true;
  const { client, requests } = await clientOf((_, response) => answer(response, 200, secret), {
    mayWrite: () => leads,
  });
  await client.create(secrets, secret);
  leads = false;
  const refused = { kind: "other", message: /not begun, the Lease was not renewed in time$/ };
  for (const write of [
    () => client.apply(secrets, secret, { fieldManager: "keyferry" }),
    () => client.mergePatch(secrets, { namespace: "shop", name: "checkout" }, {}),
    () => client.create(secrets, secret),
    () => client.update(secrets, secret),
    () => client.delete(secrets, "shop", "checkout"),
  ]) {
    await expect(write()).rejects.toMatchObject(refused);
  }
  expect(requests()).toBe(1);
  await client.get(secrets, "shop", "checkout");
  await client.create(events, { ...secret, apiVersion: "events.k8s.io/v1", kind: "Event" });
  expect(requests()).toBe(3);
});

describe("after a stop", () => {
  const event = { apiVersion: "events.k8s.io/v1", kind: "Event", metadata: { namespace: "shop", name: "e" } };

  test("only Events are written, and reads continue", async () => {
    const { client, requests } = await clientOf((_, response) => answer(response, 200, { ...secret, items: [] }));
    client.stop(1_000);
    const refused = { kind: "other", message: /not begun, the operator is stopping$/ };
    const apply = () => client.apply(secrets, secret, { fieldManager: "keyferry" });
    for (const write of [
      apply,
      () => client.mergePatch(secrets, { namespace: "shop", name: "checkout" }, {}),
      () => client.create(secrets, secret),
      () => client.delete(secrets, "shop", "checkout"),
    ]) {
      await expect(write()).rejects.toMatchObject(refused);
    }
    expect(requests()).toBe(0);
    await client.create(events, event);
    await client.mergePatch(events, { namespace: "shop", name: "e" }, {});
    await client.get(secrets, "shop", "checkout");
    expect(requests()).toBe(3);
  });

  test("a write that gets a 401 is not retried", async () => {
    const held = Promise.withResolvers<ServerResponse>();
    const { client, requests } = await clientOf((_, response) => held.resolve(response));
    const write = client.create(secrets, secret).catch((error: unknown) => error);
    const response = await held.promise;
    client.stop(1_000);
    answer(response, 401, status(401, "Unauthorized"));
    expect(await write).toMatchObject({ kind: "other" });
    expect(requests()).toBe(1);
  });

  test("the stop resolves when no write is under way", async () => {
    const held = Promise.withResolvers<ServerResponse>();
    const { client } = await clientOf((_, response) => held.resolve(response));
    const write = client.create(secrets, secret);
    const response = await held.promise;
    let isDrained = false;
    const drained = client.stop(1_000).then(() => {
      isDrained = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(isDrained).toBe(false);
    answer(response, 201, secret);
    await write;
    await drained;
  });

  test("reads under way are aborted after a second, and no more begin", async () => {
    const clock = new FakeClock();
    const held: ServerResponse[] = [];
    const { client, requests } = await clientOf((_, response) => held.push(response), { clock });
    const failed = expect(client.get(secrets, "shop", "a")).rejects.toMatchObject({ message: /cancelled$/ });
    await until(() => held.length === 1);
    await client.stop(1_000);
    await clock.advance(1_000);
    await failed;
    await expect(client.get(secrets, "shop", "a")).rejects.toMatchObject({ message: /the operator is stopping$/ });
    expect(requests()).toBe(1);
  });

  test("writes under way are aborted after a second", async () => {
    const clock = new FakeClock();
    const held: ServerResponse[] = [];
    const { client } = await clientOf((_, response) => held.push(response), { clock });
    const [one, other] = [client.create(secrets, secret), client.create(secrets, secret)];
    const failed = expect(other).rejects.toMatchObject({ kind: "other", message: /cancelled$/ });
    await until(() => held.length === 2);
    client.stop(1_000);
    await clock.advance(999);
    answer(held[0]!, 201, secret);
    await one;
    await clock.advance(1);
    await failed;
    expect(clock.pending).toBe(0);
  });
});
