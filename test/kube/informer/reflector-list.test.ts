import { describe, expect, test } from "vitest";
import { errorOfAnswer } from "../../../src/kube/errors.ts";
import { listAll, type PageRequest } from "../../../src/kube/informer/list.ts";
import { status, until } from "../../support/scripted-server.ts";
import { widget } from "../../support/widgets.ts";
import { failure, rig } from "./reflector-rig.ts";

describe("a reflector's delays", () => {
  test("start at 800 ms and double up to 30 s", async () => {
    const { server, pass } = await rig();
    for (const ms of [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]) {
      (await server.nextList()).status(500, "InternalError");
      await pass(ms);
    }
    expect((await server.nextList()).query.resourceVersion).toBe("0");
  });

  test("have random jitter", async () => {
    const { server, pass } = await rig({ random: () => 0.75 });
    for (const ms of [1400, 2800]) {
      (await server.nextList()).status(500, "InternalError");
      await pass(ms);
    }
  });

  test("reset after two minutes without a failure, and not before", async () => {
    const { server, clock, pass, synced } = await rig();
    (await server.nextList()).status(500, "InternalError");
    await pass(800);
    let watch = (await synced()).open();
    await clock.advance(120_000);
    watch.send(failure(status(403, "Forbidden")));
    await pass(1600);
    watch = (await synced()).open();
    await clock.advance(120_001);
    watch.send(failure(status(403, "Forbidden")));
    await pass(800);
    await server.nextList();
  });

  test("are at least Retry-After after a throttled list, up to a minute", async () => {
    const { server, pass } = await rig();
    (await server.nextList()).status(429, "TooManyRequests", { retryAfterSeconds: 7 });
    await pass(7000);
    (await server.nextList()).status(429, "TooManyRequests", { retryAfterSeconds: 86_400 });
    await pass(60_000);
    await server.nextList();
  });
});

describe("a reflector's list", () => {
  test("first requests any state in pages of 500, and is followed by a watch from its resourceVersion", async () => {
    const { server, reflector } = await rig({ namespace: "shop", labelSelector: "a=b" });
    const list = await server.nextList();
    expect(list.path).toBe("/apis/example.test/v1/namespaces/shop/widgets");
    expect(list.query).toEqual({ labelSelector: "a=b", resourceVersion: "0", limit: "500" });
    expect(reflector.hasSynced).toBe(false);
    list.list([widget("a")], { resourceVersion: "10" });
    expect((await server.nextWatch()).query.resourceVersion).toBe("10");
    expect([...reflector.store.keys()]).toEqual(["shop/a"]);
    expect(reflector.hasSynced).toBe(true);
  });

  test.each([
    ["an ERROR event", (watch: { send: (event: object) => unknown }) => watch.send(failure(status(410, "Expired")))],
    ["an HTTP status", (watch: { status: (code: number, reason: string) => void }) => watch.status(410, "Gone")],
  ])("after a watch's 410 as %s is unpaged at the last resourceVersion", async (_, fail) => {
    const { server, pass, synced, restarts } = await rig();
    fail(await synced([], "10"));
    await pass(800);
    expect((await server.nextList()).query).toEqual({ resourceVersion: "10" });
    expect(await restarts()).toEqual({ gone: 1 });
  });

  test.each([
    ["410 Expired", 410, "Expired"],
    ["410 Gone", 410, "Gone"],
    ["504 for a resourceVersion that is too large", 504, "Timeout"],
  ])("requests the newest state once and at once after a %s for the last resourceVersion", async (_, code, reason) => {
    const { server, pass, synced, reported, heard } = await rig();
    (await synced([widget("a")], "10")).send(failure(status(410, "Expired")));
    await pass(800);
    (await server.nextList()).status(code, reason);
    const newest = await server.nextList();
    expect(newest.query).toEqual({ limit: "500" });
    newest.status(code, reason);
    await pass(1600);
    const again = await server.nextList();
    expect(again.query).toEqual({ limit: "500" });
    reported();
    again.list([widget("b")], { resourceVersion: "99" });
    await heard(2);
    expect(reported()).toEqual(["shop/a 1→-", "shop/b -→1"]);
    (await server.nextWatch()).send(failure(status(410, "Expired")));
    await pass(3200);
    expect((await server.nextList()).query).toEqual({ resourceVersion: "99" });
  });

  test("keeps the resourceVersion and the store when it fails for another reason", async () => {
    const { server, pass, synced, reflector } = await rig();
    (await synced([widget("a")], "10")).status(403, "Forbidden");
    await pass(800);
    (await server.nextList()).status(503, "ServiceUnavailable");
    await pass(1600);
    expect((await server.nextList()).query).toEqual({ resourceVersion: "10" });
    expect(reflector.store.size).toBe(1);
  });

  test("requests further pages by token only, and updates the store after the last page", async () => {
    const { server, reflector, reported } = await rig();
    (await server.nextList()).list([widget("a")], { resourceVersion: "10", continue: "t1" });
    const second = await server.nextList();
    expect(second.query).toEqual({ limit: "500", continue: "t1" });
    expect(reflector.store.size).toBe(0);
    second.list([widget("b")], { resourceVersion: "10", continue: "t2" });
    const third = await server.nextList();
    expect(third.query).toEqual({ limit: "500", continue: "t2" });
    third.list([widget("c")], { resourceVersion: "10" });
    await reflector.synced;
    expect(reported()).toEqual(["shop/a -→1", "shop/b -→1", "shop/c -→1"]);
    expect((await server.nextWatch()).query.resourceVersion).toBe("10");
  });

  test("is requested again without pages if a later page has expired", async () => {
    const { server, reflector, reported } = await rig();
    (await server.nextList()).list([widget("vanishing")], { resourceVersion: "10", continue: "t1" });
    (await server.nextList()).status(410, "Expired");
    const whole = await server.nextList();
    expect(whole.query).toEqual({ resourceVersion: "0" });
    whole.list([widget("a"), widget("b")], { resourceVersion: "12" });
    await reflector.synced;
    expect(reported()).toEqual(["shop/a -→1", "shop/b -→1"]);
    expect((await server.nextWatch()).query.resourceVersion).toBe("12");
  });

  test("replaces the store atomically before listeners are called", async () => {
    const seen = new Set<string>();
    const look = () => void seen.add([...made.reflector.store.keys()].join());
    const reported: string[] = [];
    const made = await rig({
      onChange: ({ key, before, after }) => {
        reported.push(`${key} ${before?.metadata.uid ?? "-"}→${after?.metadata.uid ?? "-"}`);
        look();
      },
    });
    const { server, pass, synced } = made;
    (await synced([widget("gone"), widget("same"), widget("again", { uid: "old" })])).status(403, "Forbidden");
    seen.clear();
    reported.length = 0;
    await pass(800);
    (await server.nextList()).list([widget("same"), widget("again", { uid: "new" }), widget("fresh")], {
      resourceVersion: "20",
    });
    await server.nextWatch();
    expect(reported).toEqual([
      "shop/gone uid-gone→-",
      "shop/again old→-",
      "shop/again -→new",
      "shop/fresh -→uid-fresh",
    ]);
    expect([...seen]).toEqual(["shop/same,shop/again,shop/fresh"]);
  });

  test("is aborted after 90 s without an answer, and retried", async () => {
    const { server, clock, pass } = await rig();
    const list = await server.nextList();
    await clock.advance(90_000);
    await list.closed;
    await pass(800);
    await server.nextList();
  });

  test("skips and counts objects of another resource or namespace", async () => {
    const { reflector, synced, lines } = await rig({ namespace: "shop" });
    await synced([
      widget("a"),
      widget("b", { namespace: "other" }),
      widget(""),
      widget("c", { resourceVersion: 7 as never }),
      { metadata: null },
      null as never,
    ]);
    expect([...reflector.store.keys()]).toEqual(["shop/a"]);
    expect(reflector.skipped["bad-object"]).toBe(5);
    expect(lines.some(({ level, fields }) => level === "warn" && "cause" in fields)).toBe(true);
  });

  test("keeps trimmed objects, and skips an object for which trim throws", async () => {
    const { reflector, synced } = await rig({
      trim: ({ metadata, ...rest }) => {
        if (metadata.name === "bad") throw new Error("no");
        return { ...rest, metadata: { name: metadata.name, namespace: metadata.namespace } } as never;
      },
    });
    const watch = await synced([widget("a", { labels: { x: "y" } }), widget("bad")]);
    expect(reflector.store.get("shop/a")?.metadata).toEqual({ name: "a", namespace: "shop" });
    watch.send({ type: "ADDED", object: widget("bad") }, { type: "ADDED", object: widget("b", { labels: {} }) });
    await until(() => reflector.store.has("shop/b"));
    expect(reflector.store.get("shop/b")?.metadata).toEqual({ name: "b", namespace: "shop" });
    expect([...reflector.store.keys()]).toEqual(["shop/a", "shop/b"]);
  });
});

describe("a paged list", () => {
  test("is an error if the pages do not end", async () => {
    let asked = 0;
    const ask = async (_: PageRequest) => {
      asked++;
      return { items: [1], resourceVersion: "5", continue: `again ${asked}` };
    };
    await expect(listAll(ask, "0", (item) => item)).rejects.toThrow("do not end");
    expect(asked).toBe(2000);
  });

  test("is an error if a continue token repeats", async () => {
    let asked = 0;
    const ask = async (_: PageRequest) => {
      asked++;
      return { items: [1], resourceVersion: "5", continue: "again" };
    };
    await expect(listAll(ask, "0", (item) => item)).rejects.toThrow("do not end");
    expect(asked).toBe(2);
  });

  test("is an error if a list without a limit is answered in pages", async () => {
    const ask = async (request: PageRequest) => {
      if (request.continue) throw errorOfAnswer("LIST", 410, undefined, undefined);
      return { items: [1], resourceVersion: "5", continue: "more" };
    };
    await expect(listAll(ask, "0", (item) => item)).rejects.toThrow("in pages");
  });
});
