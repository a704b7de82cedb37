import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Line, LineSplitter } from "../../../src/kube/informer/lines.ts";
import type { ListWatch } from "../../../src/kube/informer/list-watch.ts";
import { parseEvent } from "../../../src/kube/informer/watch-event.ts";
import { until } from "../../support/scripted-server.ts";
import { widget, widgets } from "../../support/widgets.ts";
import { added, bookmark, rig } from "./reflector-rig.ts";

describe("the bytes of a watch", () => {
  test("may have several events and a partial one in a chunk, and split characters", async () => {
    const { synced, heard, reflector } = await rig();
    const watch = await synced();
    const events = ["a", "b", "c"].map((name) => added(widget(name, { labels: { greeting: "żółć 🚢" } })));
    const bytes = Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
    const inShip = bytes.lastIndexOf(Buffer.from("🚢")) + 2;
    watch.raw(bytes.subarray(0, inShip));
    await heard(2);
    watch.raw(bytes.subarray(inShip, inShip + 1));
    watch.raw(bytes.subarray(inShip + 1));
    await heard(3);
    expect(reflector.store.get("shop/c")?.metadata.labels).toEqual({ greeting: "żółć 🚢" });
  });

  test("may end in an incomplete line, which is counted and not reported as a change", async () => {
    const { server, clock, synced, heard, reflector, reported } = await rig();
    const watch = (await synced()).send(added(widget("a", { resourceVersion: "11" })));
    await heard(1);
    await clock.advance(1000);
    const line = JSON.stringify(added(widget("b", { resourceVersion: "12" })));
    watch.raw(line.slice(0, -10)).end();
    expect((await server.nextWatch()).query.resourceVersion).toBe("11");
    expect(reported()).toEqual(["shop/a -→11"]);
    expect(reflector.skipped["bad-line"]).toBe(1);
  });

  test("may end in a complete event without a newline", async () => {
    const { server, clock, synced, reflector } = await rig();
    const watch = await synced();
    watch.open();
    await clock.advance(1000);
    watch.raw(JSON.stringify(bookmark("12"))).end();
    expect((await server.nextWatch()).query.resourceVersion).toBe("12");
    expect(reflector.lastResourceVersion).toBe("12");
  });

  test("are skipped for a line over 8 MiB, and the next line is read", async () => {
    const { synced, heard, reflector } = await rig();
    const watch = await synced();
    watch.raw(`{"type":"ADDED","object":{"pad":"${"x".repeat(9 * 1024 * 1024)}"}}\n`);
    watch.send(added(widget("a")));
    await heard(1);
    expect(reflector.skipped["too-long"]).toBe(1);
  });

  test("are read no faster than events are processed", async () => {
    let pulled = 0;
    const pulledAtEvent: number[] = [];
    const chunks = async function* () {
      for (let i = 0; i < 5; i++) {
        pulled++;
        yield Buffer.from(`${JSON.stringify(added(widget(`w${i}`)))}\n`);
      }
      await new Promise(() => {});
    };
    const source: ListWatch = {
      list: async () => ({ items: [], resourceVersion: "1" }),
      watch: async () => chunks(),
    };
    await rig({ source, onChange: () => void pulledAtEvent.push(pulled) });
    await until(() => pulledAtEvent.length === 5);
    expect(pulledAtEvent).toEqual([1, 2, 3, 4, 5]);
  });
});

describe("lines", () => {
  const split = (chunks: Uint8Array[], limit = 1000): Line[] => {
    const splitter = new LineSplitter(limit);
    const lines = chunks.flatMap((chunk) => [...splitter.push(chunk)]);
    const rest = splitter.end();
    return rest ? [...lines, rest] : lines;
  };
  const cut = (bytes: Uint8Array, at: number[]): Uint8Array[] => {
    const ends = [...at.map((one) => one % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
    return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
  };

  test("are the same for any chunk boundaries", () => {
    const text = fc.array(fc.string({ unit: "grapheme", maxLength: 20 }).map((line) => line.replaceAll("\n", "")));
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 20 }), (lines, at) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
        expect(split(cut(bytes, at))).toEqual(lines.map((line) => ({ text: line })));
      }),
    );
  });

  test("over the limit are reported once each for any chunk boundaries, and do not affect others", () => {
    const text = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 8 });
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 20 }), (lengths, at) => {
        const bytes = Buffer.from(lengths.map((length) => `${"x".repeat(length)}\n`).join(""));
        const expected = lengths.map((n) => (n > 10 ? { fault: "too-long" } : { text: "x".repeat(n) }));
        expect(split(cut(bytes, at), 10)).toEqual(expected);
      }),
    );
  });

  test("that are not UTF-8 are reported, and do not affect the next line", () => {
    const chunks = [Buffer.from([0x61, 0xc3]), Buffer.from([0x0a, 0xc3, 0xa9, 0x0a])];
    expect(split(chunks)).toEqual([{ fault: "not-utf8" }, { text: "é" }]);
  });

  test("take time linear in their length, also byte by byte", () => {
    const cost = (length: number) => {
      const splitter = new LineSplitter(8 * 1024 * 1024);
      const byte = Buffer.from("x");
      const start = process.cpuUsage();
      for (let i = 0; i < length; i++) for (const _ of splitter.push(byte)) throw new Error("a line too many");
      const { user, system } = process.cpuUsage(start);
      expect(splitter.end()?.text).toHaveLength(length);
      return user + system;
    };
    cost(100_000);
    expect(cost(1_000_000) / cost(100_000)).toBeLessThan(50);
  });
});

describe("a watch event", () => {
  test("is parsed or skipped for any line, and never throws", () => {
    const line = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record({
          type: fc.oneof(fc.constantFrom("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"), fc.jsonValue()),
          object: fc.oneof(
            fc.jsonValue(),
            fc.record({
              kind: fc.constantFrom("Widget", "Status", "PartialObjectMetadata"),
              apiVersion: fc.oneof(fc.constantFrom("example.test/v1", "meta.k8s.io/v1"), fc.jsonValue()),
              metadata: fc.oneof(
                fc.jsonValue(),
                fc.dictionary(fc.constantFrom("name", "namespace", "resourceVersion", "annotations"), fc.jsonValue()),
              ),
              details: fc.jsonValue(),
              code: fc.jsonValue(),
            }),
          ),
        })
        .map((event) => JSON.stringify(event)),
    );
    fc.assert(
      fc.property(line, (text) => {
        const event = parseEvent({ text }, widgets);
        if (event.type === "ADDED" || event.type === "MODIFIED" || event.type === "DELETED") {
          const { name, namespace, resourceVersion } = event.object.metadata;
          for (const part of [name, namespace, resourceVersion]) expect(part).toEqual(expect.stringMatching(/./s));
        }
        if (event.type === "BOOKMARK") expect(event.resourceVersion).toEqual(expect.stringMatching(/./s));
      }),
      { numRuns: 1000 },
    );
  });

  test("has a namespace if and only if its resource is namespaced", () => {
    const clusterWide = { ...widgets, namespaced: false };
    const object = widget("a");
    const bare = { ...object, metadata: { name: "a", resourceVersion: "1" } };
    const read = (one: object, resource = widgets) => parseEvent({ text: JSON.stringify(added(one)) }, resource).type;
    expect([read(object), read(bare), read(object, clusterWide), read(bare, clusterWide)]).toEqual([
      "ADDED",
      "SKIPPED",
      "SKIPPED",
      "ADDED",
    ]);
  });
});
