import { describe, expect, onTestFinished, test } from "vitest";
import { settle } from "../../support/clock.ts";
import { clientOf } from "../../support/kube-client.ts";
import { type Exchange, ScriptedServer, status, until } from "../../support/scripted-server.ts";
import { widget } from "../../support/widgets.ts";
import { added, bookmark, failure, rig } from "./reflector-rig.ts";

describe("a watch that cannot begin", () => {
  test("because of a 429 is retried from the same resourceVersion after a delay, without a list", async () => {
    const { server, pass, synced, restarts } = await rig();
    (await synced([], "10")).status(429, "TooManyRequests");
    await pass(800);
    const second = await server.nextWatch();
    expect(second.query.resourceVersion).toBe("10");
    second.status(429, "TooManyRequests", { retryAfterSeconds: 5 });
    await pass(5000);
    expect((await server.nextWatch()).query.resourceVersion).toBe("10");
    expect(await restarts()).toEqual({ throttled: 2 });
  });

  test("because of a refused connection is retried from the same resourceVersion after a delay", async () => {
    const first = await ScriptedServer.start();
    const { pass, synced, restarts, clock } = await rig({ server: first });
    const watch = (await synced([], "10")).send(bookmark("11"));
    await until(() => clock.waits.includes(150_000));
    await settle(20);
    await first.close();
    await watch.closed;
    await clock.advance(1000);
    await pass(800);
    await until(() => clock.waits.includes(1600));
    const again = await ScriptedServer.start(first.port);
    try {
      await clock.advance(1600);
      expect((await again.nextWatch()).query.resourceVersion).toBe("11");
      expect(await restarts()).toEqual({ broken: 1, refused: 2 });
    } finally {
      await again.close();
    }
  });

  test.each([
    [400, "BadRequest", "unsupported"],
    [403, "Forbidden", "failed"],
    [500, "InternalError", "internal"],
    [503, "ServiceUnavailable", "failed"],
    [504, "Timeout", "failed"],
  ])("because of a %s %s is followed by a delay and a list", async (code, reason, cause) => {
    const { server, pass, synced, restarts, lines } = await rig();
    (await synced([], "10")).status(code, reason);
    await pass(800);
    expect((await server.nextList()).query.resourceVersion).toBe("10");
    expect(await restarts()).toEqual({ [cause]: 1 });
    expect(lines.filter(({ level }) => level === "warn").map(({ fields }) => fields)).toEqual([
      expect.objectContaining({ resource: "widgets", cause, error: expect.stringContaining(`${code} ${reason}`) }),
    ]);
  });

  test("is not retried before Retry-After", async () => {
    const { server, pass, synced } = await rig();
    (await synced()).status(503, "ServiceUnavailable", { retryAfterSeconds: 9 });
    await pass(9000);
    await server.nextList();
  });

  test("because of a connection reset is followed by a delay and a list", async () => {
    const { server, pass, synced } = await rig();
    (await synced([], "10")).reset();
    await pass(800);
    await server.nextList();
  });

  test("because of an expired token is retried with the new token", async () => {
    const server = await ScriptedServer.start();
    let token = "old";
    const { client, close } = clientOf(server.url, { token: () => token });
    onTestFinished(close);
    const { synced, heard, restarts } = await rig({ server, source: client });
    const watch = await synced([], "10");
    expect(watch.authorization).toBe("Bearer old");
    token = "new";
    watch.status(401, "Unauthorized");
    const again = await server.nextWatch();
    expect(again.authorization).toBe("Bearer new");
    again.send(added(widget("a")));
    await heard(1);
    expect(await restarts()).toEqual({});
  });

  test("because of rejected tokens continues with its store once a token is valid", async () => {
    const { server, pass, synced, reflector, reported, heard, restarts } = await rig();
    (await synced([widget("a")], "10")).status(401, "Unauthorized");
    (await server.nextWatch()).status(401, "Unauthorized");
    await pass(800);
    (await server.nextList()).status(401, "Unauthorized");
    (await server.nextList()).status(401, "Unauthorized");
    await pass(1600);
    reported();
    expect(reflector.store.has("shop/a")).toBe(true);
    (await server.nextList()).list([widget("a"), widget("b")], { resourceVersion: "12" });
    await heard(1);
    expect(reported()).toEqual(["shop/b -→1"]);
    expect(await restarts()).toEqual({ failed: 1 });
  });
});

describe("an ERROR event", () => {
  test("with 429 is followed by a delay and a watch from the last resourceVersion", async () => {
    const { server, pass, synced, restarts } = await rig();
    (await synced()).send(bookmark("11"), failure(status(429, "TooManyRequests", { retryAfterSeconds: 3 })));
    await pass(3000);
    expect((await server.nextWatch()).query.resourceVersion).toBe("11");
    expect(await restarts()).toEqual({ throttled: 1 });
  });

  test("with 500 is followed by watches from the last resourceVersion for a minute, and then by a list", async () => {
    const { server, pass, synced, restarts } = await rig();
    let watch = await synced([], "10");
    // 0.8 + 1.6 + 3.2 + 6.4 + 12.8 + 25.6 s are within the minute, 30 s more are not.
    for (const ms of [800, 1600, 3200, 6400, 12_800, 25_600, 30_000]) {
      watch.send(failure(status(500, "InternalError")));
      await pass(ms);
      watch = await server.nextWatch();
      expect(watch.query.resourceVersion).toBe("10");
    }
    watch.send(failure(status(500, "InternalError")));
    await pass(30_000);
    await server.nextList();
    expect(await restarts()).toEqual({ internal: 8 });
  });

  test("with 500 starts a new minute after an event in between", async () => {
    const { server, pass, clock, synced } = await rig();
    let watch = await synced([], "10");
    watch.send(failure(status(500, "InternalError")));
    await pass(800);
    watch = await server.nextWatch();
    watch.open();
    await clock.advance(61_000);
    watch.send(bookmark("11"), failure(status(500, "InternalError")));
    await pass(1600);
    expect((await server.nextWatch()).query.resourceVersion).toBe("11");
  });

  test.each([
    [403, "Forbidden"],
    [504, "Timeout"],
    [0, ""],
  ])("with %s %s is followed by a delay and a list", async (code, reason) => {
    const { server, pass, synced } = await rig();
    (await synced([], "10")).send(failure(status(code, reason)));
    await pass(800);
    expect((await server.nextList()).query.resourceVersion).toBe("10");
  });
});

describe("the end of a watch", () => {
  test("by a clean close is followed at once by a watch from the last resourceVersion, without a list", async () => {
    const { server, clock, synced, restarts, reflector } = await rig();
    const watch = (await synced()).send(bookmark("11"));
    await until(() => reflector.lastResourceVersion === "11");
    await clock.advance(1000);
    watch.end();
    expect((await server.nextWatch()).query.resourceVersion).toBe("11");
    expect(await restarts()).toEqual({ ended: 1 });
  });

  test("by a connection reset is followed by a watch from the last resourceVersion, without a list", async () => {
    const { server, clock, synced, restarts, reflector } = await rig();
    const watch = (await synced()).send(bookmark("11"));
    await until(() => reflector.lastResourceVersion === "11");
    await clock.advance(1000);
    watch.reset();
    expect((await server.nextWatch()).query.resourceVersion).toBe("11");
    expect(await restarts()).toEqual({ broken: 1 });
  });

  test("within a second of its start delays the next watch to the full second", async () => {
    const { server, pass, synced } = await rig();
    (await synced()).send(bookmark("11")).end();
    await pass(1000);
    (await server.nextWatch()).send(bookmark("12")).end();
    await pass(1000);
    expect((await server.nextWatch()).query.resourceVersion).toBe("12");
  });

  test.each([
    ["by a clean close", (watch: Exchange) => watch.end()],
    ["by a connection reset", (watch: Exchange) => void watch.open().reset()],
  ])("%s within a second and without an event is a failure with doubling delays and lists", async (_, finish) => {
    const { server, pass, synced, restarts } = await rig();
    finish(await synced([], "10"));
    await pass(800);
    (await server.nextList()).list([], { resourceVersion: "10" });
    finish(await server.nextWatch());
    await pass(1600);
    await server.nextList();
    expect(await restarts()).toEqual({ short: 2 });
  });

  test("without an event but after a second is not a failure", async () => {
    const { server, clock, synced } = await rig();
    const watch = (await synced([], "10")).open();
    await clock.advance(1000);
    watch.end();
    expect((await server.nextWatch()).query.resourceVersion).toBe("10");
  });
});
