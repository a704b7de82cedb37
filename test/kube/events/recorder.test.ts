import { afterAll, describe, expect, test } from "vitest";
import { KubeError } from "../../../src/kube/errors.ts";
import type { EventObject, Happening, Regarding } from "../../../src/kube/events/event-series.ts";
import { EventRecorder } from "../../../src/kube/events/recorder.ts";
import { events, namespaces, secrets } from "../../../src/kube/resource.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { silent } from "../../../src/runtime/log.ts";
import { sharedCluster } from "../../cluster/shared.ts";
import { FakeClock, settle } from "../../support/clock.ts";
import { connect } from "../client/connect.ts";

const regarding: Regarding = { apiVersion: "v1", kind: "Secret", namespace: "shop", name: "checkout", uid: "u1" };
const synced: Happening = { type: "Warning", reason: "Throttled", action: "Sync", note: "AWS throttles" };

const minute = 60_000;

/** A fake API server for Events that records writes, and fails as the test sets. */
function recording(failures: (KubeError | "lost" | "silent")[] = []) {
  const clock = new FakeClock();
  const kept = new Map<string, EventObject>();
  const writes: { verb: string; at: number; note: string; count: number | undefined }[] = [];
  const start = clock.now();
  const write = async (verb: string, name: string, change: (before: EventObject | undefined) => EventObject) => {
    const failure = failures.shift();
    if (failure === "silent") return new Promise<never>(() => {});
    if (failure && failure !== "lost") throw failure;
    const after = change(kept.get(name));
    kept.set(name, after);
    writes.push({ verb, at: clock.now() - start, note: after.note, count: after.series?.count });
    if (failure === "lost") throw new KubeError("network", "lost");
    return after;
  };
  const client = {
    create: (_: unknown, event: EventObject) =>
      write("create", event.metadata.name!, (before) => {
        if (before) throw new KubeError("alreadyExists", "taken");
        return event;
      }),
    mergePatch: (_: unknown, { name }: { name: string }, patch: object) =>
      write("patch", name, (before) => {
        if (!before) throw new KubeError("notFound", "gone");
        return { ...before, ...patch };
      }),
  };
  const logged: string[] = [];
  const note = (_: object, message: string) => void logged.push(message);
  const recorder = new EventRecorder({
    client: client as never,
    clock,
    log: { ...silent, debug: note, warn: note },
    reportingController: "keyferry.io/controller",
    reportingInstance: "keyferry-0",
  });
  return { clock, kept, writes, recorder, logged };
}

describe("a single occurrence", () => {
  test("is written as one Event", async () => {
    const { kept, recorder } = recording();
    recorder.record(regarding, synced);
    await recorder.flush();
    expect([...kept.values()]).toEqual([
      {
        apiVersion: "events.k8s.io/v1",
        kind: "Event",
        metadata: { namespace: "shop", name: expect.stringMatching(/^checkout\.[0-9a-f]{16}$/) },
        eventTime: "2026-01-01T00:00:00.000000Z",
        reportingController: "keyferry.io/controller",
        reportingInstance: "keyferry-0",
        ...synced,
        regarding,
      },
    ]);
  });

  test.each<[string, Partial<Regarding>, Partial<Happening>]>([
    ["another object", { name: "other", uid: "u2" }, {}],
    ["a re-created object", { uid: "u2" }, {}],
    ["another reason", {}, { reason: "Unreachable" }],
    ["another note", {}, { note: "something else" }],
    ["another type", {}, { type: "Normal" }],
  ])("is a separate Event for %s", async (_, other, different) => {
    const { writes, recorder } = recording();
    recorder.record(regarding, synced);
    recorder.record({ ...regarding, ...other }, { ...synced, ...different });
    await recorder.flush();
    expect(writes.map(({ verb }) => verb)).toEqual(["create", "create"]);
  });

  test.each([
    ["a", 2_000, 1_021],
    ["é", 2_000, 510],
    ["🚢", 1_000, 255],
  ])("has its note of %s truncated to 1,024 bytes at a character boundary", async (character, length, kept) => {
    const { kept: held, recorder } = recording();
    recorder.record(regarding, { ...synced, note: character.repeat(length) });
    await recorder.flush();
    const { note } = [...held.values()][0]!;
    expect(note).toBe(`${character.repeat(kept)}…`);
    expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1024);
  });

  test("keeps a note of exactly the maximum length", async () => {
    const { kept, recorder } = recording();
    recorder.record(regarding, { ...synced, note: "x".repeat(1024) });
    await recorder.flush();
    expect([...kept.values()][0]!.note).toBe("x".repeat(1024));
  });
});

describe("a repeated occurrence", () => {
  test.each([
    ["back by a day", -24 * 60 * minute],
    ["forward by a day", 24 * 60 * minute],
  ])("is one series for exactly six minutes when the clock is set %s", async (_, ms) => {
    const { clock, kept, writes, recorder } = recording();
    recorder.record(regarding, synced);
    await clock.advance(minute);
    clock.setAhead(ms);
    recorder.record(regarding, synced);
    await settle();
    expect(writes.map(({ verb }) => verb)).toEqual(["create", "patch"]);
    const observed = new Date(clock.now()).toISOString().replace("Z", "000Z");
    expect([...kept.values()][0]!.series!.lastObservedTime).toBe(observed);
    await clock.advance(10 * minute);
    recorder.record(regarding, synced);
    await settle();
    expect(writes.map(({ verb }) => verb)).toEqual(["create", "patch", "create"]);
  });

  test("becomes a series of the same Event at its first repetition, for any object version", async () => {
    const { clock, kept, writes, recorder } = recording();
    recorder.record({ ...regarding, resourceVersion: "1" }, synced);
    await clock.advance(minute);
    recorder.record({ ...regarding, resourceVersion: "2" }, synced);
    await settle();
    expect(writes).toMatchObject([
      { verb: "create", count: undefined },
      { verb: "patch", count: 2 },
    ]);
    expect([...kept.values()]).toMatchObject([
      { series: { count: 2, lastObservedTime: "2026-01-01T00:01:00.000000Z" } },
    ]);
  });

  test("is written right after its Event has been created", async () => {
    const { writes, recorder } = recording();
    for (let i = 0; i < 3; i++) recorder.record(regarding, synced);
    await settle();
    recorder.record(regarding, { ...synced, note: "other" });
    await Promise.resolve();
    recorder.record(regarding, { ...synced, note: "other" });
    await settle();
    expect(writes.map(({ verb, count }) => [verb, count])).toEqual([
      ["create", undefined],
      ["patch", 3],
      ["create", undefined],
      ["patch", 2],
    ]);
  });

  test("is counted without a write until it has not occurred for six minutes", async () => {
    const { clock, writes, recorder } = recording();
    for (let i = 0; i < 10; i++) {
      recorder.record(regarding, synced);
      await clock.advance(minute);
    }
    expect(writes.map(({ count }) => count)).toEqual([undefined, 2]);
    await clock.advance(12 * minute);
    expect(writes.map(({ count }) => count)).toEqual([undefined, 2, 10]);
    await clock.advance(120 * minute);
    expect(writes).toHaveLength(3);
    expect(clock.pending).toBe(0);
  });

  test("is written every half hour while it continues", async () => {
    const { clock, writes, recorder } = recording();
    for (let i = 0; i < 100; i++) {
      recorder.record(regarding, synced);
      await clock.advance(minute);
    }
    expect(writes.filter(({ verb }) => verb === "create")).toHaveLength(1);
    const patches = writes.filter(({ verb }) => verb === "patch").map(({ at }) => Math.round(at / minute));
    expect(patches).toEqual([1, 36, 66, 96]);
  });

  test("is a new Event after six minutes", async () => {
    const { clock, writes, recorder } = recording();
    recorder.record(regarding, synced);
    await clock.advance(6 * minute);
    recorder.record(regarding, synced);
    await settle();
    expect(writes.map(({ verb }) => verb)).toEqual(["create", "create"]);
  });

  test("is a new Event if the server has deleted the old one", async () => {
    const { clock, kept, writes, recorder } = recording();
    recorder.record(regarding, synced);
    await clock.advance(minute);
    kept.clear();
    recorder.record(regarding, synced);
    await settle();
    expect(writes.map(({ verb, count }) => [verb, count])).toEqual([
      ["create", undefined],
      ["create", 2],
    ]);
  });

  test("without end is rate limited", async () => {
    const { clock, writes, recorder } = recording();
    for (let i = 0; i < 2_000; i++) {
      recorder.record(regarding, synced);
      if (i % 100 === 0) await settle();
    }
    await clock.advance(1_000);
    expect(writes.length).toBeLessThanOrEqual(2);
    await recorder.flush();
    expect(writes.at(-1)?.count).toBe(2_000);
  });
});

describe("an object with many Events", () => {
  test("gets 25 Events at once and then one in five minutes, independent of other objects", async () => {
    const { clock, writes, recorder } = recording();
    const say = (i: number, about = regarding) => recorder.record(about, { ...synced, note: `note ${i}` });
    for (let i = 0; i < 100; i++) say(i);
    say(0, { ...regarding, name: "other", uid: "u2" });
    await recorder.flush();
    expect(writes).toHaveLength(26);
    await clock.advance(5 * minute);
    say(200);
    say(201);
    await settle();
    expect(writes.slice(26).map(({ note }) => note)).toEqual(["note 200"]);
  });
});

describe("a failed Event write", () => {
  const unavailable = () => new KubeError("unavailable", "POST events: 503");

  test("is retried after ten seconds", async () => {
    const { clock, writes, recorder } = recording([unavailable(), unavailable()]);
    recorder.record(regarding, synced);
    await clock.advance(19_999);
    expect(writes).toEqual([]);
    await clock.advance(1);
    expect(writes).toMatchObject([{ at: 20_000 }]);
  });

  test("is retried after Retry-After if that is longer", async () => {
    const { clock, writes, recorder } = recording([new KubeError("tooManyRequests", "429", { retryAfterMs: minute })]);
    recorder.record(regarding, synced);
    await clock.advance(minute);
    expect(writes).toMatchObject([{ at: minute }]);
  });

  test("is dropped after twelve tries, and the next Event is written", async () => {
    const { clock, writes, recorder, logged } = recording(Array.from({ length: 12 }, unavailable));
    recorder.record(regarding, synced);
    recorder.record(regarding, { ...synced, note: "next" });
    await clock.advance(5 * minute);
    expect(writes.map(({ note }) => note)).toEqual(["next"]);
    expect(logged).toEqual(["writing an event failed"]);
  });

  test("is not retried for a permanent error, as in a namespace that is being deleted", async () => {
    const { clock, writes, recorder } = recording([new KubeError("forbidden", "POST events: 403")]);
    recorder.record(regarding, synced);
    await clock.advance(minute);
    expect(writes).toEqual([]);
  });

  test("does not create a second Event if only the answer was lost", async () => {
    const { clock, kept, writes, recorder } = recording(["lost"]);
    recorder.record(regarding, synced);
    await clock.advance(minute);
    expect(kept.size).toBe(1);
    expect(writes).toHaveLength(1);
    recorder.record(regarding, synced);
    await settle();
    expect(writes.at(-1)).toMatchObject({ verb: "patch", count: 2 });
  });

  test("delays a flush no longer than its timeout, also if the server does not answer", async () => {
    const { clock, recorder, writes } = recording(Array(3).fill("silent"));
    for (const name of ["a", "b", "c"]) recorder.record({ ...regarding, name }, synced);
    let isOver = false;
    void recorder.flush(750).then(() => (isOver = true));
    await clock.advance(749);
    expect(isOver).toBe(false);
    await clock.advance(1);
    expect(isOver).toBe(true);
    await clock.advance(60_000);
    expect(writes).toEqual([]);
  });

  test("does not delay a flush", async () => {
    const { writes, recorder } = recording(Array.from({ length: 3 }, unavailable));
    for (let i = 0; i < 5; i++) recorder.record(regarding, { ...synced, note: `note ${i}` });
    await recorder.flush();
    expect(writes.map(({ note }) => note)).toEqual(["note 3", "note 4"]);
  });

  test("leaves at most a thousand Events waiting", async () => {
    const { clock, writes, recorder, logged } = recording([unavailable()]);
    for (let i = 0; i < 1_500; i++) recorder.record({ ...regarding, name: `n${i}`, uid: `${i}` }, synced);
    expect(logged.length).toBeGreaterThanOrEqual(499);
    await clock.advance(minute);
    expect(writes.length).toBeLessThanOrEqual(1_001);
    expect(writes.length).toBeGreaterThanOrEqual(1_000);
  });

  test("with an unknown error does not throw", async () => {
    const { writes, recorder } = recording([new TypeError("bug") as KubeError]);
    recorder.record(regarding, synced);
    recorder.record(regarding, { ...synced, note: "next" });
    await recorder.flush();
    expect(writes.map(({ note }) => note)).toEqual(["next"]);
  });
});

describe("on a real API server", async () => {
  const cluster = await sharedCluster();
  const { client, connection } = connect(cluster);
  afterAll(() => connection.close());
  const real = () =>
    new EventRecorder({
      client,
      clock: systemClock,
      log: silent,
      reportingController: "keyferry.io/controller",
      reportingInstance: "i".repeat(300),
    });
  const eventsIn = async (namespace: string, uid: string) => {
    const { items } = await client.list<EventObject>(events, { namespace });
    return items.filter((event) => event.regarding?.uid === uid);
  };

  test("an Event with a long name, note and reason is accepted, and its series too", async () => {
    const namespace = await cluster.freshNamespace("recorder");
    const about = { ...regarding, namespace, name: "n".repeat(253), uid: "a" };
    const recorder = real();
    const happening = { ...synced, note: "🚢".repeat(2_000), reason: "R".repeat(300), action: "A".repeat(300) };
    for (let i = 0; i < 5; i++) recorder.record(about, happening);
    await recorder.flush();
    for (let i = 0; i < 3; i++) recorder.record(about, happening);
    await recorder.flush();
    expect(await eventsIn(namespace, "a")).toMatchObject([{ series: { count: 8 }, type: "Warning" }]);
  });

  test("an Event about a cluster-scoped object is accepted", async () => {
    const uid = await cluster.freshNamespace("recorder");
    const { apiVersion, kind } = { apiVersion: "v1", kind: namespaces.kind };
    const recorder = real();
    recorder.record({ apiVersion, kind, name: uid, uid }, { ...synced, type: "Normal" });
    await recorder.flush();
    expect(await eventsIn("default", uid)).toHaveLength(1);
  });

  test("kubectl describe shows the Event of an object", async () => {
    const namespace = await cluster.freshNamespace("recorder");
    await cluster.run(["create", "secret", "generic", "checkout", "-n", namespace]);
    const { metadata } = await client.get(secrets, namespace, "checkout");
    const recorder = real();
    recorder.record({ ...regarding, namespace, uid: metadata.uid! }, synced);
    await recorder.flush();
    const shown = await cluster.run([
      "get",
      "events",
      "-n",
      namespace,
      "--field-selector",
      "involvedObject.name=checkout",
    ]);
    expect(shown).toMatch(/Warning\s+Throttled\s+secret\/checkout\s+AWS throttles/);
  });
});
