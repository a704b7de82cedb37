import { beforeEach, describe, expect, it } from "vitest";
import { ReconcileSlots, type Slot } from "../../../src/controllers/syncedsecret/slots.ts";
import { type Lane, lanes } from "../../../src/runtime/lane.ts";

let slots: ReconcileSlots;
/** Keys that have been invited and have not entered yet. */
let coming: string[];
/** Keys in progress, each with its slot. */
let working: Map<string, Slot>;

beforeEach(() => {
  coming = [];
  working = new Map();
  slots = new ReconcileSlots((key) => coming.push(key));
});

const keys = (namespace: string, count: number) => Array.from({ length: count }, (_, n) => `${namespace}/s${n}`);
const enter = (connection: string, all: readonly string[], lane: Lane = "bulk") => {
  for (const key of all) {
    const slot = slots.enter(connection, key, lane);
    if (slot) working.set(key, slot);
  }
};
const leave = (key: string) => {
  const slot = working.get(key)!;
  working.delete(key);
  slots.leave(slot, key);
};
/** Lets the invited keys enter. */
const come = (connection: string) => {
  const all = coming.splice(0);
  for (const key of all) expect(slots.arrived(key)?.connection).toBe(connection);
  enter(connection, all);
};
const under = (namespace: string) => [...working.keys()].filter((key) => key.startsWith(`${namespace}/`));

describe("the slots of a connection", () => {
  it("all go to a namespace that is alone, and are passed on when they are free, each key once", () => {
    enter("c", keys("a", 1_000));
    expect(working.size).toBe(400);
    const done = new Set<string>();
    while (working.size > 0) {
      const [key] = working.keys();
      done.add(key!);
      leave(key!);
      come("c");
      expect(working.size).toBeLessThanOrEqual(400);
    }
    expect(done.size).toBe(1_000);
    expect(slots.isHolding).toBe(false);
  });

  it("include ten for each namespace whatever another holds, so that a hanging namespace delays no other", () => {
    enter("c", keys("hung", 5_000));
    expect(under("hung")).toHaveLength(400);
    enter("c", keys("b", 200));
    expect(under("b")).toHaveLength(10);
    let steps = 0;
    for (; under("b").length > 0; steps++) {
      leave(under("b")[0]!);
      come("c");
      expect(under("b").length).toBeLessThanOrEqual(10);
    }
    expect(steps).toBe(200);
    expect(under("hung")).toHaveLength(400);
  });

  it("go to the namespaces in turn, not first come first served", () => {
    enter("c", keys("many", 5_000));
    enter("c", keys("few", 60));
    let left = 0;
    for (; under("few").length < 30 && left < 100; left++) {
      leave(under("many")[0]!);
      come("c");
    }
    // Ten above the connection's own limit must end first.
    expect(left).toBeLessThanOrEqual(10 + 2 * 20 + 1);
  });

  it("above its limit are ten for each namespace, and no more than that above 900 in total", () => {
    for (let n = 0; n < 90; n++) enter("c", keys(`n${n}`, 50));
    expect(working.size).toBe(1_220);
    for (let left = 0; left < 1_000; left++) {
      const [oldest] = working.keys();
      leave(oldest!);
      come("c");
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
  expect(slots.enter("c", "a/mine", "interactive")).toBeDefined();
});

describe("work that hangs in one namespace", () => {
  it.each(lanes)("in the lane %s leaves slots for every other lane, namespace and connection", (lane) => {
    enter("c", keys("hung", 5_000), lane);
    expect(under("hung")).toHaveLength(400);
    for (const other of lanes.filter((one) => one !== lane)) {
      expect(slots.enter("c", "hung/urgent", other)).toBeDefined();
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
    expect(under("b").length).toBeGreaterThanOrEqual(400);
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
    const done = new Set<string>();
    while (working.size > 0) {
      const [key] = working.keys();
      done.add(key!);
      leave(key!);
      for (const next of coming.splice(0)) {
        const granted = slots.arrived(next)!;
        enter(granted.connection, [next]);
        if (!working.has(next)) slots.pass(granted);
      }
      expect(working.size).toBeLessThanOrEqual(600);
    }
    expect(done.size).toBe(900);
    expect(slots.isHolding).toBe(false);
  });
});

it("a slot granted to a key that does not need it goes to the next one", () => {
  enter("c", keys("a", 411));
  expect(slots.isParked("a/s400")).toBe(true);
  for (let n = 0; n < 10; n++) leave(`a/s${n}`);
  expect(coming).toHaveLength(10);
  expect(coming).not.toContain("a/s410");
  slots.pass(slots.arrived("a/s400")!);
  expect(coming.at(-1)).toBe("a/s410");
  expect(slots.isHolding).toBe(false);
});

it("slots are granted ten at once, so that batched calls are full, and the last ones all at once", () => {
  enter("c", keys("a", 425));
  const invited: number[] = [];
  for (let n = 0; n < 30; n++) {
    leave(`a/s${n}`);
    invited.push(coming.length);
    come("c");
  }
  expect(invited.filter((count) => count > 0)).toEqual([10, 10, 5]);
});

it("a connection with few slots grants them in twos, so that a call that hangs does not block them", () => {
  for (let n = 0; n < 90; n++) enter(`other${n}`, keys(`n${n}`, 1));
  enter("c", keys("a", 40));
  expect(under("a")).toHaveLength(10);
  const invited = keys("a", 9).map((key) => {
    leave(key);
    const count = coming.length;
    come("c");
    return count;
  });
  expect(invited).toEqual([0, 2, 0, 2, 0, 2, 0, 2, 0]);
});

describe("a key whose connection changes while it waits", () => {
  /** Takes a key as the controller does. */
  const handle = (connection: string, key: string) => {
    const granted = slots.arrived(key);
    enter(connection, [key]);
    if (granted && granted.connection !== connection) slots.pass(granted);
  };
  const moved = keys("a", 395).map((key) => `${key}-moved`);
  const old = keys("a", 400).map((key) => `${key}-old`);
  const fresh = keys("b", 400).map((key) => `${key}-new`);

  it("waits only at the new one, and keeps no slot of either", () => {
    enter("old", [...old, ...moved]);
    enter("new", fresh);
    for (const key of moved) handle("new", key);
    for (const key of old) leave(key);
    expect(coming).toEqual([]);
    for (const key of fresh) leave(key);
    expect(moved.filter((key) => working.has(key))).toHaveLength(10);
    expect(coming).toHaveLength(moved.length - 10);
    for (const key of coming.splice(0)) handle("new", key);
    for (const key of moved) leave(key);
    expect(slots.isHolding).toBe(false);
    // All slots are available again, and the next key is invited.
    const later = keys("a", 401);
    enter("new", later);
    expect(under("a")).toHaveLength(400);
    for (const key of later.slice(0, 400)) leave(key);
    expect(coming).toEqual([later[400]]);
  });

  it("is not invited if a person's request has taken it meanwhile", () => {
    enter("c", keys("a", 401));
    expect(slots.isParked("a/s400")).toBe(true);
    enter("c", ["a/s400"], "interactive");
    expect(working.has("a/s400")).toBe(true);
    expect(slots.isHolding).toBe(false);
    leave("a/s400");
    for (let n = 0; n < 400; n++) leave(`a/s${n}`);
    expect(coming).toEqual([]);
  });

  it("keeps its turn if it is parked at the same one again", () => {
    enter("c", keys("a", 402));
    enter("c", ["a/s400"]);
    for (let n = 0; n < 10; n++) leave(`a/s${n}`);
    expect(coming).toEqual(["a/s400", "a/s401"]);
  });
});
