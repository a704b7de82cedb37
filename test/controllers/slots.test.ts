import { beforeEach, describe, expect, it } from "vitest";
import { ReconcileSlots, type Slot } from "../../src/controllers/syncedsecret/slots.ts";
import { type Lane, lanes } from "../../src/runtime/lane.ts";

let slots: ReconcileSlots;
/** Keys that have been invited and have not come. */
let coming: string[];
/** Keys under way, each with its slot. */
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
/** Has those that are invited come. */
const come = (connection: string) => {
  const all = coming.splice(0);
  for (const key of all) expect(slots.arrived(key)?.connection).toBe(connection);
  enter(connection, all);
};
const under = (namespace: string) => [...working.keys()].filter((key) => key.startsWith(`${namespace}/`));

describe("the slots of a connection", () => {
  it("are all a namespace's that is alone, and are given on as they come free, each key once", () => {
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

  it("are ten of each namespace's whatever another holds, so that one whose all hang delays no other", () => {
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

  it("go to the namespaces in turn, not to who came first", () => {
    enter("c", keys("many", 5_000));
    enter("c", keys("few", 60));
    let left = 0;
    for (; under("few").length < 30 && left < 100; left++) {
      leave(under("many")[0]!);
      come("c");
    }
    // Ten that were beyond the connection's own have to end first.
    expect(left).toBeLessThanOrEqual(10 + 2 * 20 + 1);
  });

  it("beyond its own are ten of each namespace, and no more than that above 900 with all others'", () => {
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

it("what a person waits for has a slot at once", () => {
  enter("c", keys("a", 1_000));
  expect(slots.enter("c", "a/mine", "interactive")).toBeDefined();
});

describe("whatever hangs in one namespace", () => {
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

  it("leaves a neighbour its share, and its ten, though the namespace has a thousand connections", () => {
    for (let n = 0; n < 1_000; n++) enter(`AWSConnection/hung/c${n}`, [`hung/a${n}`, `hung/b${n}`], "interactive");
    expect(under("hung")).toHaveLength(600);
    enter("c", keys("b", 500), "interactive");
    expect(under("b").length).toBeGreaterThanOrEqual(400);
    for (let n = 0; n < 100; n++) enter("c", keys(`n${n}`, 20), "interactive");
    for (let n = 0; n < 100; n++) expect(under(`n${n}`)).toHaveLength(10);
  });

  it("has its connections in turn where the namespace's own bound is met", () => {
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

it("a slot that was granted to a key which has no use for it is the next one's", () => {
  enter("c", keys("a", 411));
  expect(slots.isParked("a/s400")).toBe(true);
  for (let n = 0; n < 10; n++) leave(`a/s${n}`);
  expect(coming).toHaveLength(10);
  expect(coming).not.toContain("a/s410");
  slots.pass(slots.arrived("a/s400")!);
  expect(coming.at(-1)).toBe("a/s410");
  expect(slots.isHolding).toBe(false);
});

it("slots are granted ten at once, so that those who begin with them fill their calls, and the last ones all", () => {
  enter("c", keys("a", 425));
  const invited: number[] = [];
  for (let n = 0; n < 30; n++) {
    leave(`a/s${n}`);
    invited.push(coming.length);
    come("c");
  }
  expect(invited.filter((count) => count > 0)).toEqual([10, 10, 5]);
});

it("a connection of few slots grants them in twos, so that one that hangs does not keep them", () => {
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
  /** As the controller takes a key on. */
  const handle = (connection: string, key: string) => {
    const granted = slots.arrived(key);
    enter(connection, [key]);
    if (granted && granted.connection !== connection) slots.pass(granted);
  };
  const moved = keys("a", 395).map((key) => `${key}-moved`);
  const old = keys("a", 400).map((key) => `${key}-old`);
  const fresh = keys("b", 400).map((key) => `${key}-new`);

  it("waits at the new one alone, and keeps no slot of either", () => {
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
    // As many as there have ever been find a slot, and who waits is invited.
    const later = keys("a", 401);
    enter("new", later);
    expect(under("a")).toHaveLength(400);
    for (const key of later.slice(0, 400)) leave(key);
    expect(coming).toEqual([later[400]]);
  });

  it("is not invited where it has been taken on meanwhile for a person", () => {
    enter("c", keys("a", 401));
    expect(slots.isParked("a/s400")).toBe(true);
    enter("c", ["a/s400"], "interactive");
    expect(working.has("a/s400")).toBe(true);
    expect(slots.isHolding).toBe(false);
    leave("a/s400");
    for (let n = 0; n < 400; n++) leave(`a/s${n}`);
    expect(coming).toEqual([]);
  });

  it("keeps its turn where it is parked at the same one again", () => {
    enter("c", keys("a", 402));
    enter("c", ["a/s400"]);
    for (let n = 0; n < 10; n++) leave(`a/s${n}`);
    expect(coming).toEqual(["a/s400", "a/s401"]);
  });
});
