import { describe, expect, test } from "vitest";
import { settle } from "../../support/clock.ts";
import { type Exchange, status, until } from "../../support/scripted-server.ts";
import { widget } from "../../support/widgets.ts";
import { added, bookmark, failure, rig } from "./reflector-rig.ts";

type Rig = Awaited<ReturnType<typeof rig>>;

/** Brings a reflector into each of its waiting states. @returns the open request, if there is one */
const waits: [string, (made: Rig) => Promise<Exchange | undefined>][] = [
  ["for a list", ({ server }) => server.nextList()],
  [
    "for a later page",
    async ({ server }) => {
      (await server.nextList()).list([], { resourceVersion: "10", continue: "t" });
      return server.nextList();
    },
  ],
  [
    "for the delay after a failed list",
    async ({ server, clock }) => {
      (await server.nextList()).status(500, "InternalError");
      await until(() => clock.waits.includes(800));
      return undefined;
    },
  ],
  ["for the start of a watch", ({ synced }) => synced()],
  [
    "for events",
    async ({ synced, reflector }) => {
      const watch = (await synced()).send(bookmark("11"));
      await until(() => reflector.lastResourceVersion === "11");
      return watch;
    },
  ],
  [
    "for the delay after a throttled watch",
    async ({ synced, clock }) => {
      (await synced()).status(429, "TooManyRequests");
      await until(() => clock.waits.includes(800));
      return undefined;
    },
  ],
  [
    "for the minimum interval between two watches",
    async ({ synced, clock }) => {
      (await synced()).send(bookmark("11")).end();
      await until(() => clock.waits.includes(1000));
      return undefined;
    },
  ],
  [
    "for the delay between two rounds",
    async ({ synced, clock }) => {
      (await synced()).send(failure(status(410, "Expired")));
      await until(() => clock.waits.includes(800));
      return undefined;
    },
  ],
];

describe("a reflector that is stopped while it waits", () => {
  test.each(waits)("%s ends at once without an open request or timer", async (_, reach) => {
    const made = await rig();
    const open = await reach(made);
    made.stop.abort();
    await made.ended;
    await open?.closed;
    expect(made.clock.pending).toBe(0);
    await made.clock.advance(600_000);
    await settle(20);
    expect(made.server.unseen).toBe(0);
  });

  test.each(waits)("%s ignores what arrives afterwards", async (_, reach) => {
    const made = await rig();
    const open = await reach(made);
    made.changes.length = 0;
    made.stop.abort();
    if (open?.isWatch) open.send(added(widget("late")));
    else open?.list([widget("late")], { resourceVersion: "99" });
    await settle(20);
    expect(made.changes).toEqual([]);
    expect(made.reflector.store.size).toBe(0);
  });
});

describe("a reflector", () => {
  test("that is stopped before it runs sends no request", async () => {
    const made = await rig();
    (await made.server.nextList()).list([], { resourceVersion: "1" });
    await made.server.nextWatch();
    made.stop.abort();
    await made.ended;
    await made.reflector.run(AbortSignal.abort());
    await settle(20);
    expect(made.server.unseen).toBe(0);
  });

  test("that is stopped by a listener does not report further changes", async () => {
    const reported: string[] = [];
    const made = await rig({
      onChange: ({ key }) => {
        reported.push(key);
        made.stop.abort();
      },
    });
    (await made.server.nextList()).list([widget("a"), widget("b")], { resourceVersion: "1" });
    await made.ended;
    expect(reported).toEqual(["shop/a"]);
    expect(made.server.unseen).toBe(0);
  });

  test("that is stopped by a listener processes no further event of the chunk", async () => {
    const made = await rig({ onChange: () => made.stop.abort() });
    (await made.synced()).send(added(widget("a")), added(widget("b")));
    await made.ended;
    expect([...made.reflector.store.keys()]).toEqual(["shop/a"]);
  });

  test("ends even if the source ignores signals", async () => {
    const never = () => new Promise<never>(() => {});
    const list = async () => ({ items: [], resourceVersion: "1" });
    const mute = { [Symbol.asyncIterator]: () => ({ next: never, return: never }) };
    for (const source of [
      { list: never, watch: never },
      { list, watch: never },
      { list, watch: async () => mute },
    ]) {
      const made = await rig({ source });
      await settle();
      made.stop.abort();
      await made.ended;
      expect(made.clock.pending).toBe(0);
    }
  });
});
