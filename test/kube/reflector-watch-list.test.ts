import { describe, expect, test } from "vitest";
import { settle } from "../support/clock.ts";
import { type Exchange, status, until } from "../support/scripted-server.ts";
import { widget } from "../support/widgets.ts";
import { added, bookmark, deleted, failure, modified, rig } from "./reflector-rig.ts";

const end = (version: string) => bookmark(version, { "k8s.io/initial-events-end": "true" });

describe("a watch-list", () => {
  test("requests the initial events of the newest state", async () => {
    const { server } = await rig({ useWatchList: true, namespace: "shop", labelSelector: "a=b" });
    const watch = await server.nextWatch();
    expect(watch.query).toEqual({
      watch: "true",
      labelSelector: "a=b",
      timeoutSeconds: "300",
      allowWatchBookmarks: "true",
      sendInitialEvents: "true",
      resourceVersionMatch: "NotOlderThan",
    });
  });

  test("collects initial events, replaces the store at the bookmark, and continues as a watch", async () => {
    const { server, clock, reflector, reported, heard } = await rig({ useWatchList: true });
    const watch = (await server.nextWatch()).send(
      added(widget("b", { resourceVersion: "9" })),
      added(widget("a", { resourceVersion: "4" })),
      added(widget("c", { resourceVersion: "5" })),
      modified(widget("a", { resourceVersion: "10" })),
      deleted(widget("c", { resourceVersion: "11" })),
    );
    await until(() => reflector.lastEventAt !== undefined);
    expect([reflector.store.size, reflector.hasSynced, reflector.lastResourceVersion]).toEqual([0, false, ""]);
    watch.send(end("12"));
    await reflector.synced;
    expect(reported()).toEqual(["shop/b -→9", "shop/a -→10"]);
    expect(reflector.lastResourceVersion).toBe("12");
    watch.send(added(widget("d", { resourceVersion: "13" })));
    await heard(1);
    expect(reflector.lastResourceVersion).toBe("13");
    await clock.advance(1000);
    watch.end();
    const next = await server.nextWatch();
    expect(next.query).toEqual({
      watch: "true",
      resourceVersion: "13",
      timeoutSeconds: "300",
      allowWatchBookmarks: "true",
    });
  });

  test("after a 410 begins at the last resourceVersion, and removes objects that no longer exist", async () => {
    const { server, pass, reflector, reported } = await rig({ useWatchList: true });
    (await server.nextWatch()).send(added(widget("a")), added(widget("b")), end("12"), failure(status(410, "Expired")));
    await pass(800);
    reported();
    const again = await server.nextWatch();
    expect(again.query).toMatchObject({ resourceVersion: "12", sendInitialEvents: "true" });
    again.send(added(widget("b")), end("20"));
    await until(() => reflector.lastResourceVersion === "20");
    expect(reported()).toEqual(["shop/a 1→-"]);
  });

  test.each([
    ["410 Expired", 410, "Expired"],
    ["504 for a resourceVersion that is too large", 504, "Timeout"],
  ])(
    "whose resourceVersion gets a %s requests the newest state at once, and then falls back to a list",
    async (_, code, reason) => {
      const { server, pass, clock } = await rig({ useWatchList: true });
      (await server.nextWatch()).send(end("12"), failure(status(410, "Expired")));
      await pass(800);
      (await server.nextWatch()).status(code, reason);
      const newest = await server.nextWatch();
      expect(newest.query.resourceVersion).toBeUndefined();
      newest.status(code, reason);
      expect((await server.nextList()).query).toEqual({ limit: "500" });
      expect(clock.waits).not.toContain(1600);
    },
  );

  test("of the newest state is followed by watch-lists at the last resourceVersion after a success", async () => {
    const { server, pass } = await rig({ useWatchList: true });
    (await server.nextWatch()).send(end("12"), failure(status(410, "Expired")));
    await pass(800);
    (await server.nextWatch()).status(410, "Expired");
    (await server.nextWatch()).send(end("20"), failure(status(410, "Expired")));
    await pass(1600);
    expect((await server.nextWatch()).query.resourceVersion).toBe("20");
  });

  test.each([
    [422, "Invalid"],
    [400, "BadRequest"],
  ])("that the server refuses with %s %s falls back to lists at once and permanently", async (code, reason) => {
    const { server, pass, restarts } = await rig({ useWatchList: true });
    (await server.nextWatch()).status(code, reason);
    (await server.nextList()).list([], { resourceVersion: "10" });
    const watch = await server.nextWatch();
    expect(watch.query.sendInitialEvents).toBeUndefined();
    watch.send(failure(status(410, "Expired")));
    await pass(800);
    expect((await server.nextList()).query.resourceVersion).toBe("10");
    expect(await restarts()).toEqual({ unsupported: 1, gone: 1 });
  });

  test("that the server handles as a plain watch falls back to a list at its first other bookmark", async () => {
    const { server, reflector, reported } = await rig({ useWatchList: true });
    const watch = (await server.nextWatch()).send(added(widget("a")), bookmark("11"));
    const list = await server.nextList();
    await watch.closed;
    expect(reflector.store.size).toBe(0);
    list.list([widget("b")], { resourceVersion: "10" });
    await reflector.synced;
    expect(reported()).toEqual(["shop/b -→1"]);
  });

  const cuts: [string, (watch: Exchange) => void][] = [
    ["ends", (watch) => watch.send(added(widget("a"))).end()],
    ["is reset", (watch) => watch.open().reset()],
    ["gets an ERROR event", (watch) => watch.send(added(widget("a")), failure(status(500, "InternalError")))],
    ["is refused with 403", (watch) => watch.status(403, "Forbidden")],
  ];
  test.each(cuts)("that %s before its bookmark falls back to a list without mixing both", async (_, cut) => {
    const { server, reflector, reported } = await rig({ useWatchList: true });
    cut(await server.nextWatch());
    (await server.nextList()).list([widget("b")], { resourceVersion: "10" });
    await reflector.synced;
    expect(reported()).toEqual(["shop/b -→1"]);
    expect((await server.nextWatch()).query.sendInitialEvents).toBeUndefined();
  });

  test("that exceeds the silence limit before its bookmark falls back to a list", async () => {
    const { server, clock, restarts } = await rig({ useWatchList: true });
    (await server.nextWatch()).send(added(widget("a")));
    await settle(20);
    await clock.advance(151_000);
    await server.nextList();
    expect(await restarts()).toEqual({ silent: 1 });
  });

  test("that is throttled is retried after a delay", async () => {
    const { server, pass } = await rig({ useWatchList: true });
    (await server.nextWatch()).status(429, "TooManyRequests");
    await pass(800);
    expect((await server.nextWatch()).query.sendInitialEvents).toBe("true");
  });

  test("may be empty", async () => {
    const { server, reflector } = await rig({ useWatchList: true });
    (await server.nextWatch()).send(end("12"));
    await reflector.synced;
    expect([reflector.store.size, reflector.lastResourceVersion]).toEqual([0, "12"]);
  });
});
