import { beforeEach, describe, expect, it } from "vitest";
import { ReconcileBounds } from "../../../src/controllers/syncedsecret/reconcile-bounds.ts";
import { WorkQueue } from "../../../src/kube/work-queue.ts";
import { type Lane, lanes, priorityOf } from "../../../src/runtime/lane.ts";
import { FakeClock } from "../../support/clock.ts";

/** Slots of one connection, and the first of a thousand keys that waits for one. */
const ofOne = 200;
const next = `a/s${ofOne}`;

let queue: WorkQueue;
/** The connection that each key names. */
let connections: Map<string, string>;
/** Keys in progress. */
let working: Set<string>;

beforeEach(() => {
  connections = new Map();
  working = new Set();
  const bounds = new ReconcileBounds((key) => connections.get(key));
  queue = new WorkQueue({ clock: new FakeClock(), random: () => 0, bounds });
});

const keys = (namespace: string, count: number) => Array.from({ length: count }, (_, n) => `${namespace}/s${n}`);
/** Takes all keys that may begin. */
const come = () => {
  const taken: string[] = [];
  for (let key = queue.take(); key !== undefined; key = queue.take()) taken.push(key);
  for (const key of taken) working.add(key);
  return taken;
};
const enter = (connection: string, all: readonly string[], lane: Lane = "bulk") => {
  for (const key of all) {
    connections.set(key, connection);
    queue.add(key, priorityOf(lane));
  }
  return come();
};
const leave = (key: string) => {
  expect(working.delete(key)).toBe(true);
  queue.done(key);
};
const under = (namespace: string) => [...working].filter((key) => key.startsWith(`${namespace}/`));

/** Ends one reconcile after the other until nothing works. @returns the keys, of which at most `most` work at once */
function workOff(most: number): Set<string> {
  const done = new Set<string>();
  while (working.size > 0) {
    const [key] = working;
    done.add(key!);
    leave(key!);
    come();
    expect(working.size).toBeLessThanOrEqual(most);
  }
  return done;
}

describe("the slots of a connection", () => {
  it("all go to a namespace that is alone, and are passed on when they are free, each key once", () => {
    enter("c", keys("a", 1_000));
    expect(working.size).toBe(ofOne);
    expect(workOff(ofOne).size).toBe(1_000);
    expect(queue.depth).toBe(0);
  });

  it("include ten for each namespace whatever another holds, so that a hanging namespace delays no other", () => {
    enter("c", keys("hung", 5_000));
    expect(under("hung")).toHaveLength(ofOne);
    enter("c", keys("b", 200));
    expect(under("b")).toHaveLength(10);
    let steps = 0;
    for (; under("b").length > 0; steps++) {
      leave(under("b")[0]!);
      come();
      expect(under("b").length).toBeLessThanOrEqual(10);
    }
    expect(steps).toBe(200);
    expect(under("hung")).toHaveLength(ofOne);
  });

  it("go to the namespaces in turn, not first come first served", () => {
    enter("c", keys("many", 5_000));
    enter("c", keys("few", 60));
    let left = 0;
    for (; under("few").length < 30 && left < 100; left++) {
      leave(under("many")[0]!);
      come();
    }
    // Ten above the connection's own limit must end first.
    expect(left).toBeLessThanOrEqual(10 + 2 * 20 + 1);
  });

  it("above its limit are ten for each namespace, and no more than that above 900 in total", () => {
    for (let n = 0; n < 90; n++) enter("c", keys(`n${n}`, 50));
    expect(working.size).toBe(1_060);
    for (let left = 0; left < 1_000; left++) {
      const [oldest] = working;
      leave(oldest!);
      come();
      if (left % 50 > 0) continue;
      for (let n = 8; n < 90; n++) expect(under(`n${n}`).length).toBeGreaterThanOrEqual(10);
    }
    expect(working.size).toBeLessThanOrEqual(900);
    enter("d", keys("d", 50));
    expect(under("d")).toHaveLength(50);
  });
});

it("interactive work gets a slot at once", () => {
  enter("c", keys("a", 1_000));
  expect(enter("c", ["a/mine"], "interactive")).toEqual(["a/mine"]);
});

describe("work that hangs in one namespace", () => {
  it.each(lanes)("in the lane %s leaves slots for every other lane, namespace and connection", (lane) => {
    enter("c", keys("hung", 5_000), lane);
    expect(under("hung")).toHaveLength(ofOne);
    for (const other of lanes.filter((one) => one !== lane)) {
      expect(enter("c", [`hung/urgent-${other}`], other)).toHaveLength(1);
    }
    enter("c", keys("b", 50), lane);
    expect(under("b")).toHaveLength(10);
    enter("AWSConnection/b/own", ["b/other"], lane);
    enter("d", keys("e", 50), lane);
    expect(under("e")).toHaveLength(50);
    expect(working.has("b/other")).toBe(true);
  });

  it("leaves a neighbour its share, and its ten, even if the namespace has a thousand connections", () => {
    for (let n = 0; n < 1_000; n++) enter(`AWSConnection/hung/c${n}`, [`hung/a${n}`, `hung/b${n}`], "interactive");
    expect(under("hung")).toHaveLength(600);
    enter("c", keys("b", 500), "interactive");
    expect(under("b").length).toBeGreaterThanOrEqual(ofOne);
    for (let n = 0; n < 100; n++) enter("c", keys(`n${n}`, 20), "interactive");
    for (let n = 0; n < 100; n++) expect(under(`n${n}`)).toHaveLength(10);
  });

  it("takes its connections in turn at the namespace's own limit", () => {
    for (let n = 0; n < 300; n++)
      enter(
        `AWSConnection/a/c${n}`,
        keys("a", 3).map((key) => `${key}-${n}`),
      );
    expect(under("a")).toHaveLength(600);
    expect(workOff(600).size).toBe(900);
    expect(queue.depth).toBe(0);
  });
});

it("a slot goes to the next key if the first one has moved to another connection", () => {
  enter("c", keys("a", ofOne + 11));
  expect(queue.isWaiting(next)).toBe(true);
  expect(enter("d", [next])).toEqual([next]);
  for (let n = 0; n < 10; n++) leave(`a/s${n}`);
  expect(come()).toEqual(keys("a", ofOne + 11).slice(ofOne + 1));
  expect(queue.depth).toBe(0);
});

it("slots are granted ten at once, so that batched calls are full, and the last ones all at once", () => {
  enter("c", keys("a", ofOne + 25));
  const invited: number[] = [];
  for (let n = 0; n < 30; n++) {
    leave(`a/s${n}`);
    invited.push(come().length);
  }
  expect(invited.filter((count) => count > 0)).toEqual([10, 10, 5]);
});

it("a connection with few slots grants them in twos, so that a call that hangs does not block them", () => {
  for (let n = 0; n < 90; n++) enter(`other${n}`, keys(`n${n}`, 1));
  enter("c", keys("a", 40));
  expect(under("a")).toHaveLength(10);
  const invited = keys("a", 9).map((key) => {
    leave(key);
    return come().length;
  });
  expect(invited).toEqual([0, 2, 0, 2, 0, 2, 0, 2, 0]);
});

describe("a key whose connection changes while it waits", () => {
  const moved = keys("a", ofOne - 5).map((key) => `${key}-moved`);
  const old = keys("a", ofOne).map((key) => `${key}-old`);
  const fresh = keys("b", ofOne).map((key) => `${key}-new`);

  it("waits only at the new one, and keeps no slot of either", () => {
    enter("old", [...old, ...moved]);
    enter("new", fresh);
    enter("new", moved);
    for (const key of old) leave(key);
    expect(come()).toEqual([]);
    for (const key of fresh) leave(key);
    expect(moved.filter((key) => working.has(key))).toHaveLength(10);
    expect(come()).toHaveLength(moved.length - 10);
    for (const key of moved) leave(key);
    expect(queue.depth).toBe(0);
    // All slots are available again, and the next key waits for one.
    const later = keys("a", ofOne + 1);
    enter("new", later);
    expect(under("a")).toHaveLength(ofOne);
    for (const key of later.slice(0, ofOne)) leave(key);
    expect(come()).toEqual([later[ofOne]]);
  });

  it("does not begin a second time if a person's request has taken it meanwhile", () => {
    enter("c", keys("a", ofOne + 1));
    expect(queue.isWaiting(next)).toBe(true);
    enter("c", [next], "interactive");
    expect(working.has(next)).toBe(true);
    expect(queue.depth).toBe(0);
    leave(next);
    for (let n = 0; n < ofOne; n++) leave(`a/s${n}`);
    expect(come()).toEqual([]);
  });

  it("keeps its turn if it is added to the same one again", () => {
    enter("c", keys("a", ofOne + 2));
    enter("c", [next]);
    for (let n = 0; n < 10; n++) leave(`a/s${n}`);
    expect(come()).toEqual([next, `a/s${ofOne + 1}`]);
  });
});

it("a slot that is released before the work ends is granted to the next key, once", () => {
  enter("c", keys("a", ofOne + 1));
  for (let n = 0; n < 10; n++) queue.release(`a/s${n}`);
  expect(come()).toEqual([next]);
  expect(queue.isInWork("a/s0")).toBe(true);
  enter("c", keys("b", 20));
  for (let n = 0; n < 10; n++) leave(`a/s${n}`);
  expect(under("b")).toHaveLength(10);
  expect(come()).toEqual([]);
});

it("a take does not look at blocked namespaces again, nor at their ten thousand keys", () => {
  let looks = 0;
  const bounds = new ReconcileBounds((key) => connections.get(key));
  const { eligible } = bounds;
  const counting = (flow: string, priority: number) => {
    looks += 1;
    return eligible(flow, priority);
  };
  queue = new WorkQueue({
    ...{ clock: new FakeClock(), random: () => 0 },
    bounds: {
      eligible: counting,
      flowOf: (key) => bounds.flowOf(key),
      took: (flow, priority) => bounds.took(flow, priority),
      ended: (flow, priority, wake) => bounds.ended(flow, priority, wake),
    },
  });
  enter("c", keys("hung", 10_000));
  for (let n = 0; n < 300; n++) enter("c", keys(`full${n}`, 11));
  looks = 0;
  for (let n = 0; n < 100; n++) {
    enter("c", ["b/one"]);
    leave("b/one");
  }
  expect(looks).toBe(100);
  for (let n = 0; n < 100; n++) {
    leave(under("hung")[0]!);
    come();
  }
  expect(looks).toBeLessThan(300);
});
