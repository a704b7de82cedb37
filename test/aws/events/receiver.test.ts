import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ParameterNotice } from "../../../src/aws/events/notice.ts";
import { handleWithinMs, Receiver } from "../../../src/aws/events/receiver.ts";
import { AwsFailure } from "../../../src/aws/failure.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import type { Next } from "../../../src/runtime/failure.ts";
import { FakeClock } from "../../support/clock.ts";
import { changeOf, FakeQueue } from "../../support/fake-queue.ts";
import { until } from "../../support/scripted-server.ts";
import { keepingLog, seriesOf } from "../aws-server.ts";

const queueUrl = "https://sqs.eu-west-1.amazonaws.com/123456789012/keyferry";
let clock: FakeClock;
let queue: FakeQueue;
let metrics: Metrics;
let log: ReturnType<typeof keepingLog>;
let handled: string[];
let handle: (notice: ParameterNotice) => Promise<void>;
let states: string[];
let receivers: Receiver[];

beforeEach(() => {
  clock = new FakeClock();
  queue = new FakeQueue(clock);
  metrics = new Metrics();
  log = keepingLog();
  [handled, states, receivers] = [[], [], []];
  handle = async ({ name }) => void handled.push(name);
});

afterEach(async () => {
  await Promise.all(receivers.map((receiver) => receiver.stop()));
  expect(clock.pending).toBe(0);
  expect(queue.waiting).toBe(0);
});

function start(clusterName = "", isForeign = false): Receiver {
  const receiver = new Receiver({
    queueUrl,
    isForeign,
    identity: queue.identity("one"),
    clusterName,
    clock,
    random: () => 0,
    metrics,
    log,
    handle: (notice) => handle(notice as ParameterNotice),
    heard: () => {},
    changed: (health) => void states.push(health.state === "failed" ? health.failure.reason : health.state),
  });
  receivers.push(receiver);
  receiver.start();
  return receiver;
}

/** Deletions are batched by a turn of the event loop: some turns are waited for after each step. */
async function pass(ms: number, steps = 1): Promise<void> {
  for (let step = 0; step < steps; step++) {
    await clock.advance(ms / steps);
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const failing = (code: string, reason: "QueueNotFound" | "AccessDenied" | "Throttled" | "Unreachable", next: Next) =>
  new AwsFailure({ code, reason, next, message: `${reason} said of the queue` });

describe("a message", () => {
  test("is passed to the handler, counted by type, and deleted once it is handled", async () => {
    queue.send(changeOf("/a"), changeOf("/b", { "detail-type": "Parameter Store Policy Action" }), "nonsense");
    start();
    await until(() => queue.size === 0, "an empty queue");
    expect(handled.sort()).toEqual(["/a", "/b"]);
    for (const type of ["change", "policy", "unknown"]) {
      expect(await seriesOf(metrics, "keyferry_events_received_total", { type })).toBe(1);
    }
    expect(queue.count("DeleteMessage")).toBe(1);
  });

  test("is received in batches of ten by long polls, after the queue's tags and one short poll", async () => {
    start();
    await until(() => queue.waiting === 3, "three receives");
    expect(queue.calls[0]).toBe("ListQueueTags");
    expect(queue.requests.map(({ waitSeconds }) => waitSeconds).sort()).toEqual([0, 20, 20, 20]);
    expect(new Set(queue.requests.map(({ atMost }) => atMost))).toEqual(new Set([10]));
    await pass(60_000, 6);
    expect(queue.count("ReceiveMessage")).toBeLessThanOrEqual(1 + 3 * 4);
    expect(states).toEqual(["ok"]);
  });

  test("does not wait for messages that are still being handled", async () => {
    const ends: (() => void)[] = [];
    handle = async ({ name }) => {
      handled.push(name);
      if (name === "/slow") await new Promise<void>((resolve) => ends.push(resolve));
    };
    for (let i = 0; i < 50; i++) queue.send(changeOf("/slow"));
    queue.send(changeOf("/a"));
    start();
    await until(() => handled.includes("/a"), "/a");
    await until(() => queue.size === 50, "its deletion");
    for (const end of ends) end();
    await until(() => queue.size === 0, "an empty queue");
    expect(queue.count("DeleteMessage")).toBe(1 + 5);
  });

  test("stays in the queue while about 200 messages are being handled", async () => {
    const ends: (() => void)[] = [];
    handle = () => new Promise<void>((resolve) => ends.push(resolve));
    for (let i = 0; i < 300; i++) queue.send(changeOf("/slow"));
    start();
    await until(() => ends.length >= 200, "200 in work");
    await pass(10_000, 10);
    expect(ends.length).toBeLessThan(230);
    for (let i = 0; queue.size > 0; i++) {
      for (const end of ends) end();
      if (i > 100) throw new Error("the queue was never empty");
      await pass(10);
    }
    expect(ends).toHaveLength(300);
  });

  test("is received at about 200 a second, after a burst of 400", async () => {
    for (let i = 0; i < 1_000; i++) queue.send(changeOf(`/${i}`));
    start();
    await pass(0, 30);
    const atOnce = handled.length;
    await pass(1_000, 20);
    expect(atOnce).toBeGreaterThanOrEqual(400);
    expect(atOnce).toBeLessThan(440);
    expect(handled.length - atOnce).toBeGreaterThan(150);
    expect(handled.length - atOnce).toBeLessThan(240);
    await pass(3_000, 60);
    expect(queue.size).toBe(0);
  });

  test("is not handled twice if it is redelivered meanwhile, and is deleted by its latest receipt handle", async () => {
    let end: () => void = () => {};
    let tries = 0;
    handle = () => {
      tries += 1;
      return new Promise<void>((resolve) => {
        end = resolve;
      });
    };
    queue.send(changeOf("/a"));
    start();
    await until(() => tries === 1, "the first try");
    await pass(150_000, 15);
    end();
    await until(() => queue.size === 0, "the deletion");
    expect(tries).toBe(1);
  });

  test("is redelivered after its handler failed, without the rest of its batch", async () => {
    let tries = 0;
    handle = async ({ name }) => {
      if (name === "/bad" && ++tries === 1) throw new Error(changeOf("/bad"));
      handled.push(name);
    };
    queue.send(changeOf("/a"), changeOf("/bad"), changeOf("/c"));
    start();
    await until(() => queue.size === 1, "two deletions");
    await pass(59_000, 10);
    expect(tries).toBe(1);
    await pass(4_000, 2);
    await until(() => queue.size === 0, "the deletion of the third");
    expect(handled).toEqual(["/a", "/c", "/bad"]);
    expect(states).toEqual(["ok"]);
  });

  test("is redelivered after its handler timed out", async () => {
    let tries = 0;
    handle = () => (++tries === 1 ? new Promise(() => {}) : Promise.resolve());
    queue.send(changeOf("/a"));
    start();
    await until(() => tries === 1, "the first try");
    await pass(handleWithinMs - 1, 10);
    expect([tries, queue.size]).toEqual([1, 1]);
    await pass(61_000, 6);
    await until(() => queue.size === 0, "the deletion");
    expect(tries).toBe(2);
  });

  test("is received singly while a batch of ten exceeds the size limit", async () => {
    queue.fault = (_, request) => {
      if (request && request.atMost > 1) throw failing("AnswerTooLong", "Unreachable", "retry");
    };
    for (let i = 0; i < 15; i++) queue.send(changeOf(`/${i}`));
    start();
    for (let i = 0; i < 20 && queue.size > 0; i++) await pass(1_000);
    expect(queue.size).toBe(0);
    expect(handled).toHaveLength(15);
  });

  test("never shows in a log", async () => {
    handle = async () => {
      throw new Error("c4n4ry");
    };
    queue.send("c4n4ry", changeOf("/a", { detail: { name: "/a", description: "c4n4ry" } }));
    start();
    await until(() => queue.size === 1, "the deletion of the one");
    expect(log.lines.length).toBeGreaterThan(1);
    expect(log.lines.join()).not.toContain("c4n4ry");
  });
});

describe("a queue", () => {
  test.each([
    [
      "tagged for another cluster",
      "other",
      "mine",
      "NotAllowed",
      /of cluster "other", as its tag .* runs with --cluster-name=mine/,
    ],
    [
      "tagged for a cluster, without a cluster name of our own",
      "other",
      "",
      "NotAllowed",
      /runs without --cluster-name/,
    ],
  ])("that is %s is not received from until its tag allows it", async (_, owner, name, reason, message) => {
    queue.tagged.set("keyferry.io/cluster", owner);
    queue.send(changeOf("/a"));
    const receiver = start(name);
    await until(() => states.length > 0, "a state");
    expect(receiver.health).toMatchObject({
      state: "failed",
      failure: { reason, message: expect.stringMatching(message) },
    });
    await pass(300_000, 60);
    expect(queue.count("ReceiveMessage")).toBe(0);
    expect(queue.count("ListQueueTags")).toBeLessThan(15);
    queue.tagged.delete("keyferry.io/cluster");
    await pass(61_000, 10);
    await until(() => queue.size === 0, "the message");
    expect(states).toEqual([reason, "ok"]);
  });

  test("with this cluster's tag is received from until the tag changes", async () => {
    queue.tagged.set("keyferry.io/cluster", "mine");
    start("mine");
    await until(() => queue.waiting === 3, "three receives");
    queue.tagged.set("keyferry.io/cluster", "other");
    await pass(630_000, 30);
    expect(states).toEqual(["ok", "NotAllowed"]);
    expect(queue.waiting).toBe(0);
  });

  test("with unreadable tags is not received from", async () => {
    queue.fault = (operation) => {
      if (operation === "ListQueueTags") throw failing("AccessDenied", "AccessDenied", "wait");
    };
    start();
    await until(() => states.length > 0, "a state");
    expect(states).toEqual(["AccessDenied"]);
    expect(queue.count("ReceiveMessage")).toBe(0);
  });

  test("that becomes another cluster's has no messages handled or deleted, and recovers without a restart", async () => {
    let end: () => void = () => {};
    handle = ({ name }) => {
      handled.push(name);
      return new Promise<void>((resolve) => {
        end = resolve;
      });
    };
    const receiver = start("mine");
    await until(() => queue.waiting === 3, "three receives");
    queue.send(changeOf("/a"));
    await until(() => handled.length === 1, "the work");
    queue.tagged.set("keyferry.io/cluster", "other");
    let seen = 0;
    queue.fault = (operation) => {
      if (operation === "ReceiveMessage" && seen++ === 0) throw failing("QueueDoesNotExist", "QueueNotFound", "wait");
    };
    await pass(30_000, 10);
    expect(receiver.health).toMatchObject({ failure: { reason: "NotAllowed" } });
    end();
    await pass(1_000);
    expect(queue.count("DeleteMessage")).toBe(0);
    queue.tagged.delete("keyferry.io/cluster");
    await pass(120_000, 24);
    end();
    await until(() => queue.size === 0, "an empty queue");
    expect(handled).toEqual(["/a", "/a"]);
  });

  test("that becomes another cluster's during a long poll keeps its message", async () => {
    start("mine");
    await until(() => queue.waiting === 3, "three receives");
    await pass(10_000);
    queue.send("nonsense");
    await until(() => queue.size === 0, "the deletion");
    await until(() => queue.waiting === 3, "three receives again");
    queue.tagged.set("keyferry.io/cluster", "other");
    let seen = 0;
    queue.fault = (operation) => {
      if (operation === "ReceiveMessage" && seen++ === 0) throw failing("QueueDoesNotExist", "QueueNotFound", "wait");
    };
    await pass(10_000);
    await pass(2_000, 2);
    expect(states.at(-1)).toBe("NotAllowed");
    expect(queue.waiting).toBe(1);
    queue.send(changeOf("/theirs"));
    await pass(100);
    expect([handled, queue.waiting, queue.size]).toEqual([[], 0, 1]);
  });

  test("is received from again after a failed deletion and a temporary tag of another cluster", async () => {
    queue.fault = (operation) => {
      if (operation === "DeleteMessage") throw failing("AccessDenied", "AccessDenied", "wait");
    };
    queue.send(changeOf("/a"));
    start("mine");
    await until(() => states.includes("AccessDenied"), "the denial");
    queue.tagged.set("keyferry.io/cluster", "other");
    await pass(120_000, 24);
    expect(states.at(-1)).toBe("NotAllowed");
    queue.fault = undefined;
    queue.tagged.delete("keyferry.io/cluster");
    await pass(200_000, 40);
    expect(states.at(-1)).toBe("ok");
    expect(queue.size).toBe(0);
  });

  test("of another account is received from without a check of its tags", async () => {
    queue.fault = (operation) => {
      if (operation === "ListQueueTags") throw failing("AccessDenied", "AccessDenied", "wait");
    };
    start("mine", true);
    await until(() => queue.waiting === 3, "three receives");
    expect(states).toEqual(["ok"]);
    expect(queue.count("ListQueueTags")).toBe(0);
  });

  test("that is deleted is tried rarely, and received from once it is recreated with the same tag", async () => {
    start();
    await until(() => queue.waiting === 3, "three receives");
    queue.fault = () => {
      throw failing("QueueDoesNotExist", "QueueNotFound", "wait");
    };
    await pass(20_000);
    await pass(600_000, 60);
    expect(states).toEqual(["ok", "QueueNotFound"]);
    const { length } = queue.calls;
    await pass(600_000, 60);
    expect(queue.calls.length - length).toBeLessThanOrEqual(11);
    expect(queue.count("ListQueueTags")).toBeGreaterThan(10);
    queue.fault = undefined;
    queue.send(changeOf("/a"));
    await pass(61_000, 10);
    await until(() => queue.size === 0, "the message");
    expect(states).toEqual(["ok", "QueueNotFound", "ok"]);
  });

  test("that is recreated with another cluster's tag is not received from", async () => {
    start("mine");
    await until(() => queue.waiting === 3, "three receives");
    queue.fault = () => {
      throw failing("QueueDoesNotExist", "QueueNotFound", "wait");
    };
    await pass(21_000, 3);
    queue.fault = undefined;
    queue.tagged.set("keyferry.io/cluster", "other");
    queue.send(changeOf("/a"));
    await pass(61_000, 10);
    expect(states).toEqual(["ok", "QueueNotFound", "NotAllowed"]);
    expect(handled).toEqual([]);
  });

  test("is healthy after one throttle, and unhealthy after three", async () => {
    let times = 1;
    queue.fault = (operation) => {
      if (operation === "ReceiveMessage" && times-- > 0) throw failing("RequestThrottled", "Throttled", "retry");
    };
    start();
    await pass(10_000, 10);
    expect(states).toEqual(["ok"]);
    times = 100;
    await pass(40_000, 40);
    expect(states).toEqual(["ok", "Throttled"]);
    expect(times).toBeGreaterThan(90);
  });

  test("is not received from repeatedly while deletions are denied", async () => {
    queue.fault = (operation) => {
      if (operation === "DeleteMessage") throw failing("AccessDenied", "AccessDenied", "wait");
    };
    for (let i = 0; i < 100; i++) queue.send(changeOf(`/${i}`));
    start();
    await pass(600_000, 120);
    expect(states).toEqual(["ok", "AccessDenied"]);
    expect(queue.count("ReceiveMessage")).toBeLessThan(25);
    queue.fault = undefined;
    await pass(130_000, 20);
    await until(() => queue.size === 0, "an empty queue");
    expect(states).toEqual(["ok", "AccessDenied", "ok"]);
  });

  test("is polled rarely while deletions are denied and it is empty", async () => {
    queue.fault = (operation) => {
      if (operation === "DeleteMessage") throw failing("AccessDenied", "AccessDenied", "wait");
    };
    queue.send("nonsense");
    start();
    await until(() => states.length === 2, "the denial");
    queue.purge();
    await pass(600_000, 120);
    expect(states).toEqual(["ok", "AccessDenied"]);
    expect(queue.count("ReceiveMessage")).toBeLessThan(20);
  });
});

test("a stop ends receives, waits and handlers at once, and keeps the messages in progress", async () => {
  handle = () => new Promise(() => {});
  queue.send(changeOf("/a"));
  const receiver = start();
  await until(() => queue.waiting === 3, "three receives");
  await receiver.stop();
  expect(queue.size).toBe(1);
  expect(queue.waiting).toBe(0);
  const { length } = queue.calls;
  await pass(300_000, 10);
  expect(queue.calls.length).toBe(length);
});

test("a stop makes the messages in progress visible, so that another process receives them at once", async () => {
  handle = ({ name }) => {
    handled.push(name);
    return handled.length > 25 ? Promise.resolve() : new Promise(() => {});
  };
  for (let i = 0; i < 25; i++) queue.send(changeOf(`/${i}`));
  const receiver = start();
  await until(() => handled.length === 25, "the first delivery");
  await receiver.stop();
  expect(queue.count("ChangeMessageVisibility")).toBe(3);
  start();
  await until(() => queue.size === 0, "the second delivery");
  expect(handled.slice(25).sort()).toEqual(handled.slice(0, 25).sort());
  expect(clock.monotonic()).toBe(0);
});

test("a message given to a receive that nobody waits for any more is redelivered within four seconds", async () => {
  const receiver = start();
  await until(() => queue.waiting === 3, "three receives");
  const { signal: _, ...request } = queue.requests.at(-1)!;
  await receiver.stop();
  const given = queue.receive(request);
  queue.send(changeOf("/lost"));
  expect(await given).toHaveLength(1);
  start();
  await pass(4_000, 8);
  expect(handled).toEqual(["/lost"]);
  expect(queue.size).toBe(0);
});

test("a message that takes long stays hidden, by one call for its batch", async () => {
  handle = ({ name }) => {
    handled.push(name);
    return new Promise(() => {});
  };
  for (let i = 0; i < 7; i++) queue.send(changeOf(`/${i}`));
  start();
  await pass(50_000, 50);
  expect(handled).toHaveLength(7);
  expect(queue.requests.every(({ hiddenSeconds }) => hiddenSeconds === 3)).toBe(true);
  expect(queue.count("ChangeMessageVisibility")).toBe(1);
});

test("without the permission to change the visibility, receives hide messages for a minute", async () => {
  let tries = 0;
  handle = async () => {
    tries += 1;
    throw new Error("not now");
  };
  queue.fault = (operation) => {
    if (operation === "ChangeMessageVisibility") throw failing("AccessDenied", "AccessDenied", "wait");
  };
  queue.send(changeOf("/a"));
  start();
  await pass(100_000, 100);
  // Only the receives that were under way at the denial hide it for three seconds.
  expect(queue.requests.at(-1)!.hiddenSeconds).toBe(60);
  expect(tries).toBeLessThanOrEqual(1 + 3 + 1);
  expect(states).toEqual(["ok"]);
});

test("a stop that may not make messages visible keeps them in the queue", async () => {
  handle = () => new Promise(() => {});
  queue.fault = (operation) => {
    if (operation === "ChangeMessageVisibility") throw failing("AccessDenied", "AccessDenied", "wait");
  };
  queue.send(changeOf("/a"));
  const receiver = start();
  await until(() => queue.waiting >= 2, "the receives");
  await receiver.stop();
  expect(queue.size).toBe(1);
  expect(log.lines.join()).toContain("could not change the visibility of messages");
});
