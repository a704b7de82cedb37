import { describe, expect, test } from "vitest";
import { runWorkers, WorkQueue, type WorkQueueOptions } from "../../src/kube/work-queue.ts";
import { type Log, silent } from "../../src/runtime/log.ts";
import { FakeClock, settle } from "../support/clock.ts";

function setUp(options: Partial<WorkQueueOptions> = {}) {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock, random: () => 0, ...options });
  const takeAll = () => {
    const keys: string[] = [];
    for (let key = queue.take(); key !== undefined; key = queue.take()) keys.push(key);
    return keys;
  };
  return { clock, queue, takeAll };
}

describe("a work queue", () => {
  test("returns a key once if it was added twice", () => {
    const { queue, takeAll } = setUp();
    queue.add("a/x");
    queue.add("a/x");
    expect(queue.depth).toBe(1);
    expect(takeAll()).toEqual(["a/x"]);
  });

  test("returns a key again after done if it was added during the work", () => {
    const { queue } = setUp();
    queue.add("a/x");
    expect(queue.take()).toBe("a/x");
    queue.add("a/x");
    queue.add("a/x");
    expect([queue.depth, queue.inWork, queue.take()]).toEqual([0, 1, undefined]);
    queue.done("a/x");
    expect([queue.depth, queue.inWork]).toEqual([1, 0]);
    expect(queue.take()).toBe("a/x");
    queue.done("a/x");
    expect(queue.take()).toBeUndefined();
  });

  test("reports how long each ready key has waited since it was added or raised", async () => {
    const { clock, queue } = setUp();
    queue.add("a/x");
    queue.addAfter("a/y", 500, 3);
    await clock.advance(2_000);
    queue.add("a/z", 1);
    expect([...queue.waits()]).toEqual([
      { priority: 0, forMs: 2_000 },
      { priority: 3, forMs: 1_500 },
      { priority: 1, forMs: 0 },
    ]);
  });

  test("ignores done for a key that was not taken", () => {
    const { queue } = setUp();
    queue.done("a/x");
    queue.add("a/x");
    queue.done("a/x");
    expect(queue.take()).toBe("a/x");
  });

  test("takes higher priorities first, and first in, first out within a priority", () => {
    const { queue, takeAll } = setUp();
    queue.add("a/low", -1);
    queue.add("a/one");
    queue.add("a/high", 10);
    queue.add("a/two");
    expect(takeAll()).toEqual(["a/high", "a/one", "a/two", "a/low"]);
  });

  test("uses the higher priority of two adds in either order", () => {
    const { queue, takeAll } = setUp();
    queue.add("a/raised");
    queue.add("a/other", 5);
    queue.add("a/raised", 10);
    queue.add("a/raised", 1);
    expect(queue.depth).toBe(2);
    expect(takeAll()).toEqual(["a/raised", "a/other"]);
  });

  test("keeps the higher priority of adds during the work", () => {
    const { queue } = setUp();
    queue.add("a/x");
    queue.take();
    queue.add("a/x", 10);
    queue.add("a/x", -5);
    queue.add("a/other", 5);
    queue.done("a/x");
    expect(queue.take()).toBe("a/x");
  });

  test("keeps a negative priority of an add during the work", () => {
    const { queue } = setUp();
    queue.add("a/x");
    queue.take();
    queue.add("a/x", -5);
    queue.add("a/other");
    queue.done("a/x");
    expect(queue.take()).toBe("a/other");
  });

  test("lets namespaces take turns within a priority", () => {
    const { queue, takeAll } = setUp();
    for (const key of ["big/1", "big/2", "big/3", "small/1", "cluster-wide", "big/4", "small/2"]) queue.add(key);
    expect(takeAll()).toEqual(["big/1", "small/1", "cluster-wide", "big/2", "small/2", "big/3", "big/4"]);
  });

  test("gives a namespace no extra turn for a key raised to another priority", () => {
    const { queue, takeAll } = setUp();
    queue.add("a/1");
    queue.add("a/2");
    queue.add("b/1");
    queue.add("a/1", 1);
    expect(takeAll()).toEqual(["a/1", "a/2", "b/1"]);
  });

  test("adds a delayed key at the earliest time and with the highest priority of its adds", async () => {
    const { clock, queue } = setUp();
    queue.addAfter("a/x", 1000);
    queue.addAfter("a/x", 500, 2);
    queue.addAfter("a/x", 2000, 7);
    expect([queue.depth, queue.delayed, clock.pending]).toEqual([0, 1, 1]);
    await clock.advance(499);
    expect(queue.depth).toBe(0);
    queue.add("a/other", 6);
    await clock.advance(1);
    expect([queue.depth, queue.delayed]).toEqual([2, 0]);
    expect(queue.take()).toBe("a/x");
    queue.done("a/x");
    await clock.advance(10_000);
    expect(queue.depth).toBe(1);
    queue.addAfter("a/y", 1000, 7);
    queue.addAfter("a/y", 500);
    await clock.advance(500);
    expect(queue.take()).toBe("a/y");
  });

  test.each([0, -5, Number.NaN])("adds a key at once if the delay is %s", (ms) => {
    const { queue } = setUp();
    queue.addAfter("a/x", ms);
    expect(queue.take()).toBe("a/x");
  });

  test("keeps a delayed add when the key is added immediately", async () => {
    const { clock, queue, takeAll } = setUp();
    queue.addAfter("a/x", 1000);
    queue.add("a/x");
    expect(takeAll()).toEqual(["a/x"]);
    queue.done("a/x");
    await clock.advance(1000);
    expect(takeAll()).toEqual(["a/x"]);
  });

  test("returns a key after done if its delay ends during the work", async () => {
    const { clock, queue } = setUp();
    queue.add("a/x");
    queue.take();
    queue.addAfter("a/x", 10);
    await clock.advance(10);
    expect([queue.depth, queue.delayed]).toEqual([0, 0]);
    queue.done("a/x");
    expect(queue.take()).toBe("a/x");
  });

  test("uses one timer for any number of delayed keys", async () => {
    const { clock, queue } = setUp();
    for (let i = 0; i < 1000; i++) queue.addAfter(`a/${i}`, 1000 - i);
    expect(clock.pending).toBe(1);
    await clock.advance(500);
    expect([queue.depth, queue.delayed, clock.pending]).toEqual([500, 500, 1]);
    await clock.advance(500);
    expect([queue.depth, queue.delayed, clock.pending]).toEqual([1000, 0, 0]);
  });

  test("doubles a key's delay with every retry up to the maximum, until forget", () => {
    const { queue } = setUp({ baseDelayMs: 200, maxDelayMs: 1000 });
    expect([1, 2, 3, 4, 5].map(() => queue.retry("a/x"))).toEqual([200, 400, 800, 1000, 1000]);
    expect(queue.attempts("a/x")).toBe(5);
    expect(queue.retry("a/other")).toBe(200);
    queue.forget("a/x");
    expect([queue.attempts("a/x"), queue.retry("a/x")]).toEqual([0, 200]);
  });

  test("adds jitter to a delay", () => {
    const { queue } = setUp({ random: () => 0.5, jitter: 1 });
    expect(queue.retry("a/x")).toBe(300);
  });

  test("returns a retried key after its delay", async () => {
    const { clock, queue } = setUp();
    queue.retry("a/x", 3);
    queue.add("a/other", 2);
    await clock.advance(199);
    expect(queue.depth).toBe(1);
    await clock.advance(1);
    expect(queue.take()).toBe("a/x");
  });

  test("reports that it is idle when no key is ready or in work", async () => {
    const { queue } = setUp();
    await queue.whenIdle();
    let times = 0;
    const off = queue.onIdle(() => times++);
    queue.add("a/x");
    queue.addAfter("a/later", 1000);
    let idle = false;
    void queue.whenIdle().then(() => {
      idle = true;
    });
    queue.take();
    queue.add("a/x");
    queue.done("a/x");
    await settle();
    expect([idle, times]).toEqual([false, 0]);
    queue.take();
    queue.done("a/x");
    await settle();
    expect([idle, times]).toEqual([true, 1]);
    off();
    queue.add("a/x");
    queue.take();
    queue.done("a/x");
    expect(times).toBe(1);
  });

  test("notifies listeners when a key becomes ready, also after a delay and after done", async () => {
    const { clock, queue } = setUp();
    let times = 0;
    queue.onReady(() => times++);
    queue.add("a/x");
    queue.add("a/x");
    expect(times).toBe(1);
    queue.addAfter("a/y", 10);
    await clock.advance(10);
    expect(times).toBe(2);
    queue.take();
    queue.add("a/x");
    expect(times).toBe(2);
    queue.done("a/x");
    expect(times).toBe(3);
  });

  test("stays fast with 200,000 keys", () => {
    const work = (count: number) => {
      const { queue } = setUp();
      const start = process.cpuUsage();
      for (let i = 0; i < count; i++) queue.add(`ns-${i % 500}/${i}`, i % 4);
      for (let i = 0; i < count; i++) queue.addAfter(`ns-${i % 500}/${i}`, 1 + ((i * 7919) % count));
      let taken = 0;
      for (let key = queue.take(); key !== undefined; key = queue.take()) {
        queue.done(key);
        taken++;
      }
      expect(taken).toBe(count);
      const spent = process.cpuUsage(start);
      return spent.user + spent.system;
    };
    work(20_000);
    const small = work(20_000);
    const large = work(200_000);
    // Ten times the keys take little more than ten times as long; a quadratic queue would take a hundred times.
    expect(large / small).toBeLessThan(40);
  });
});

describe("workers", () => {
  function work(concurrency: number, log: Log = silent) {
    const { clock, queue } = setUp();
    const stop = new AbortController();
    const running = new Map<string, { finish: () => void; fail: (error: unknown) => void }>();
    const started: string[] = [];
    const ended = runWorkers(queue, {
      concurrency,
      signal: stop.signal,
      log,
      handle(key) {
        started.push(key);
        expect(running.has(key)).toBe(false);
        return new Promise<void>((resolve, reject) => {
          running.set(key, { finish: resolve, fail: reject });
        }).finally(() => running.delete(key));
      },
    });
    return { clock, queue, stop, running, started, ended };
  }

  test("process up to `concurrency` keys at once, and then the next ones", async () => {
    const { queue, running, started } = work(2);
    for (const key of ["a/1", "a/2", "a/3"]) queue.add(key);
    expect(started).toEqual([]);
    await settle();
    expect(started).toEqual(["a/1", "a/2"]);
    running.get("a/1")!.finish();
    await settle();
    expect(started).toEqual(["a/1", "a/2", "a/3"]);
  });

  test("never process one key concurrently, and process it again if it was added meanwhile", async () => {
    const { queue, running, started } = work(5);
    queue.add("a/1");
    await settle();
    queue.add("a/1");
    await settle();
    expect(started).toEqual(["a/1"]);
    running.get("a/1")!.finish();
    await settle();
    expect(started).toEqual(["a/1", "a/1"]);
  });

  test("retry a key whose handler throws, without logging the message or a value", async () => {
    const lines: object[] = [];
    const { clock, queue, running, started } = work(1, { ...silent, error: (fields) => void lines.push(fields) });
    queue.add("a/1");
    await settle();
    running.get("a/1")!.fail(new SyntaxError('Unexpected token in "hunter2\n    at hunter2"'));
    await settle();
    expect(JSON.stringify(lines)).not.toContain("hunter2");
    expect(lines).toEqual([expect.objectContaining({ key: "a/1", error: "SyntaxError", retryMs: 200 })]);
    expect((lines[0] as { places: string[] }).places[0]).toMatch(/^work-queue\.test\.ts:/);
    expect(queue.delayed).toBe(1);
    await clock.advance(200);
    expect(started).toEqual(["a/1", "a/1"]);
    running.get("a/1")!.fail("hunter2");
    await settle();
    expect(lines[1]).toEqual({ key: "a/1", error: "string", id: expect.any(String), places: [], retryMs: 400 });
    expect(queue.attempts("a/1")).toBe(2);
  });

  test("reset a key's backoff after a success, and keep it after a requested retry", async () => {
    const { clock, queue, running } = work(1);
    queue.add("a/1");
    await settle();
    queue.retry("a/1");
    running.get("a/1")!.finish();
    await settle();
    expect(queue.attempts("a/1")).toBe(1);
    await clock.advance(200);
    running.get("a/1")!.finish();
    await settle();
    expect(queue.attempts("a/1")).toBe(0);
  });

  test("take no key after a stop, and end when the last handler has ended", async () => {
    const { queue, stop, running, started, ended } = work(2);
    queue.add("a/1");
    await settle();
    stop.abort();
    queue.add("a/2");
    let over = false;
    void ended.then(() => {
      over = true;
    });
    await settle();
    expect(over).toBe(false);
    running.get("a/1")!.finish();
    await settle();
    expect([over, started]).toEqual([true, ["a/1"]]);
    queue.add("a/3");
    await settle();
    expect(started).toEqual(["a/1"]);
  });

  test("end at once if the signal is already aborted", async () => {
    const { queue } = setUp();
    queue.add("a/1");
    await runWorkers(queue, { concurrency: 1, signal: AbortSignal.abort(), log: silent, handle: async () => {} });
    expect(queue.depth).toBe(1);
  });
});
