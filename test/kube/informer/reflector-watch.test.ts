import { describe, expect, test } from "vitest";
import { settle } from "../../support/clock.ts";
import { status, until } from "../../support/scripted-server.ts";
import { widget } from "../../support/widgets.ts";
import { added, bookmark, deleted, failure, modified, rig } from "./reflector-rig.ts";

describe("a reflector's watch", () => {
  test.each([
    [0, "300"],
    [0.5, "450"],
    [0.999999, "599"],
  ])("requests bookmarks and a random timeout of 300 to 600 s (random %s: %s)", async (random, timeoutSeconds) => {
    const { synced } = await rig({ random: () => random, labelSelector: "a=b", namespace: "shop" });
    const watch = await synced([], "10");
    expect(watch.path).toBe("/apis/example.test/v1/namespaces/shop/widgets");
    expect(watch.query).toEqual({
      watch: "true",
      labelSelector: "a=b",
      resourceVersion: "10",
      timeoutSeconds,
      allowWatchBookmarks: "true",
    });
  });

  test("applies added, modified and deleted objects, and reports them in order", async () => {
    const { reflector, synced, heard, reported } = await rig();
    const watch = await synced([widget("a", { resourceVersion: "5" })]);
    watch.send(
      added(widget("b", { resourceVersion: "11" })),
      modified(widget("a", { resourceVersion: "12" })),
      deleted(widget("b", { resourceVersion: "13" })),
    );
    await heard(4);
    expect(reported()).toEqual(["shop/a -→5", "shop/b -→11", "shop/a 5→12", "shop/b 11→-"]);
    expect([...reflector.store.keys()]).toEqual(["shop/a"]);
  });

  test("reports a deletion and an addition for the same name with another uid", async () => {
    const { synced, heard, changes } = await rig();
    (await synced([widget("a", { uid: "old" })])).send(modified(widget("a", { uid: "new", resourceVersion: "2" })));
    await heard(3);
    expect(changes.slice(1).map(({ before, after }) => [before?.metadata.uid, after?.metadata.uid])).toEqual([
      ["old", undefined],
      [undefined, "new"],
    ]);
  });

  test("continues when a listener throws", async () => {
    const seen: string[] = [];
    const { synced, lines } = await rig({
      onChange: ({ key }) => {
        seen.push(key);
        throw new Error("hunter2");
      },
    });
    (await synced([widget("a")])).send(added(widget("b")));
    await until(() => seen.length === 2);
    expect(lines.filter(({ level }) => level === "error")).toHaveLength(2);
    expect(JSON.stringify(lines)).not.toContain("hunter2");
  });
});

describe("the resourceVersion of a reflector", () => {
  test("is taken from every event, including bookmarks, and is compared only for equality", async () => {
    const { reflector, synced } = await rig();
    const watch = await synced([], "zebra");
    for (const [event, version] of [
      [added(widget("a", { resourceVersion: "900" })), "900"],
      [modified(widget("a", { resourceVersion: "7" })), "7"],
      [bookmark("abc"), "abc"],
      [deleted(widget("a", { resourceVersion: "10000000000000000000000001" })), "10000000000000000000000001"],
    ] as const) {
      watch.send(event);
      await until(() => reflector.lastResourceVersion === version, version);
    }
    expect(reflector.store.size).toBe(0);
  });

  test("is not taken from skipped objects and lines, which are counted and do not end the watch", async () => {
    const { reflector, synced, lines } = await rig();
    const watch = await synced([widget("a", { resourceVersion: "5" })], "10");
    watch.send(
      { type: "RENAMED", object: widget("a", { resourceVersion: "91" }) },
      added({ ...widget("b", { resourceVersion: "92" }), kind: "Gadget" }),
      added({ ...widget("b", { resourceVersion: "93" }), apiVersion: "example.test/v2" }),
      { type: "BOOKMARK", object: { kind: "Gadget", apiVersion: "v1", metadata: { resourceVersion: "94" } } },
      bookmark(""),
      added(widget("", { resourceVersion: "95" })),
      added({ ...widget("b"), metadata: null }),
      { type: "ADDED" },
      { object: widget("b", { resourceVersion: "96" }) },
      [],
    );
    watch.raw('{"type":"ADDED","object":{"data":{"password":"hunter2\n');
    watch.raw(Buffer.from([0x22, 0xff, 0xfe, 0x22, 0x0a]));
    watch.raw("\n");
    await settle(20);
    watch.send(added(widget("c", { resourceVersion: "11" })));
    await until(() => reflector.store.has("shop/c"));
    expect(reflector.lastResourceVersion).toBe("11");
    expect([...reflector.store.keys()]).toEqual(["shop/a", "shop/c"]);
    expect(reflector.skipped).toEqual({
      "bad-line": 5,
      "unknown-type": 2,
      "wrong-kind": 3,
      "bad-object": 3,
      "too-long": 0,
    });
    expect(JSON.stringify(lines)).not.toContain("hunter2");
  });

  test.each(["", "0"])(
    "is kept in a watch from %j starting with the first event that is not ADDED",
    async (version) => {
      const { synced, reflector, heard } = await rig();
      const watch = await synced([], version);
      expect(watch.query.resourceVersion ?? "").toBe(version);
      watch.send(added(widget("b", { resourceVersion: "9" })), added(widget("a", { resourceVersion: "4" })));
      await heard(2);
      expect(reflector.lastResourceVersion).toBe(version);
      watch.send(modified(widget("a", { resourceVersion: "10" })), added(widget("c", { resourceVersion: "11" })));
      await heard(4);
      expect(reflector.lastResourceVersion).toBe("11");
    },
  );

  test("is kept in a watch without one starting with a bookmark", async () => {
    const { synced, reflector, heard } = await rig();
    const watch = await synced([], "");
    watch.send(
      added(widget("b", { resourceVersion: "9" })),
      bookmark("10"),
      added(widget("c", { resourceVersion: "11" })),
    );
    await heard(2);
    expect(reflector.lastResourceVersion).toBe("11");
  });

  test.each(["", "0"])("%j cannot be resumed from: a list follows", async (version) => {
    const { server, pass, synced, heard } = await rig();
    const watch = await synced([], version);
    watch.send(added(widget("b", { resourceVersion: "9" })));
    await heard(1);
    watch.end();
    await pass(800);
    expect((await server.nextList()).query.resourceVersion).toBe("0");
  });
});

describe("a watch without bytes", () => {
  test("for 150 s is aborted, and followed by a watch from the last resourceVersion", async () => {
    const { server, clock, synced, restarts, reflector } = await rig();
    const watch = (await synced()).send(bookmark("11"));
    await until(() => reflector.lastResourceVersion === "11");
    await clock.advance(150_999);
    expect(server.unseen).toBe(0);
    await clock.advance(1);
    await watch.closed;
    expect((await server.nextWatch()).query.resourceVersion).toBe("11");
    expect(await restarts()).toEqual({ silent: 1 });
  });

  test("from its start is aborted too", async () => {
    const { server, clock, synced } = await rig({ silenceMs: 1000 });
    const watch = await synced([], "10");
    await clock.advance(2000);
    await watch.closed;
    expect((await server.nextWatch()).query.resourceVersion).toBe("10");
  });

  test("is kept while bytes arrive, even parts of a line", async () => {
    const { server, clock, synced, reflector } = await rig();
    const watch = await synced();
    const line = JSON.stringify(bookmark("11"));
    for (const piece of [line.slice(0, 5), line.slice(5, 20), line.slice(20)]) {
      watch.raw(piece);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await clock.advance(140_000);
    }
    watch.raw("\n");
    await until(() => reflector.lastResourceVersion === "11");
    expect(server.unseen).toBe(0);
  });

  test("because the process was suspended is kept, and buffered bytes are read first", async () => {
    const { server, clock, synced, reflector } = await rig();
    const watch = await synced();
    await clock.advance(150_500);
    watch.send(bookmark("11"));
    await until(() => reflector.lastResourceVersion === "11");
    await clock.advance(150_000);
    expect(server.unseen).toBe(0);
    watch.send(bookmark("12"));
    await until(() => reflector.lastResourceVersion === "12");
  });

  test("according to a changed wall clock is kept, and delays are unchanged", async () => {
    const { server, clock, synced, pass, reflector } = await rig();
    const watch = (await synced()).send(bookmark("11"));
    await until(() => reflector.lastResourceVersion === "11");
    clock.jump = 365 * 24 * 3_600_000;
    await clock.advance(1000);
    expect(server.unseen).toBe(0);
    watch.send(failure(status(410, "Expired")));
    await until(() => clock.waits.includes(800));
    clock.jump = -clock.jump;
    await pass(800);
    (await server.nextList()).status(500, "InternalError");
    await pass(1600);
    await server.nextList();
  });
});

describe("a reflector of metadata only", () => {
  test("requests metadata, and keeps only metadata even if the server sends more", async () => {
    const { server, reflector, heard } = await rig({ metadataOnly: true });
    const secret = { data: { password: "aHVudGVyMg==" }, spec: {} };
    const list = await server.nextList();
    expect(list.accept).toContain("PartialObjectMetadata");
    list.list([widget("a", {}, secret)], { resourceVersion: "10" });
    const watch = await server.nextWatch();
    expect(watch.accept).toContain("PartialObjectMetadata");
    const partial = { apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadata", metadata: widget("b").metadata };
    watch.send(added(partial), added(widget("c", {}, secret)));
    watch.send({ type: "BOOKMARK", object: { ...partial, metadata: { resourceVersion: "99" } } });
    await heard(3);
    await until(() => reflector.lastResourceVersion === "99");
    for (const name of ["a", "b", "c"]) {
      const { metadata } = widget(name);
      expect(reflector.store.get(`shop/${name}`)).toEqual({ apiVersion: "example.test/v1", kind: "Widget", metadata });
    }
  });
});

describe("the state of a reflector", () => {
  test("shows whether it has synced, its resourceVersion, and the time of the last event", async () => {
    const { server, clock, reflector } = await rig();
    expect([reflector.hasSynced, reflector.lastResourceVersion, reflector.lastEventAt]).toEqual([false, "", undefined]);
    await clock.advance(5000);
    (await server.nextList()).list([], { resourceVersion: "10" });
    await reflector.synced;
    expect([reflector.hasSynced, reflector.lastResourceVersion, reflector.lastEventAt]).toEqual([
      true,
      "10",
      clock.now(),
    ]);
    const watch = await server.nextWatch();
    await clock.advance(7000);
    watch.send(bookmark("11"));
    await until(() => reflector.lastResourceVersion === "11");
    expect(reflector.lastEventAt).toBe(clock.now());
    const heardAt = reflector.lastEventAt;
    await clock.advance(1000);
    watch.end();
    (await server.nextWatch()).status(403, "Forbidden");
    await until(() => clock.waits.includes(800));
    expect([reflector.hasSynced, reflector.lastEventAt]).toEqual([true, heardAt]);
  });
});
