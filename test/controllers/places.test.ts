import { beforeEach, describe, expect, it } from "vitest";
import { Places } from "../../src/controllers/syncedsecret/places.ts";

let places: Places;
/** Keys that have been invited and have not come. */
let coming: string[];
/** Keys under way, each with its connection. */
let working: Map<string, string>;

beforeEach(() => {
  coming = [];
  working = new Map();
  places = new Places((key) => coming.push(key));
});

const keys = (namespace: string, count: number) => Array.from({ length: count }, (_, n) => `${namespace}/s${n}`);
const enter = (connection: string, all: readonly string[]) => {
  for (const key of all) if (places.enter(connection, key, "bulk")) working.set(key, connection);
};
const leave = (key: string) => {
  places.leave(working.get(key)!, key);
  working.delete(key);
};
/** Has those that are invited come. */
const come = (connection: string) => {
  const all = coming.splice(0);
  for (const key of all) expect(places.arrived(key)).toBe(connection);
  enter(connection, all);
};
const under = (namespace: string) => [...working.keys()].filter((key) => key.startsWith(`${namespace}/`));

describe("the places of a connection", () => {
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
    expect(places.isHolding).toBe(false);
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

  it("beyond its own are no more than 900 with all others'", () => {
    for (let n = 0; n < 100; n++) enter("c", keys(`n${n}`, 50));
    expect(working.size).toBe(900);
    const seen = new Set<string>();
    for (let left = 0; left < 200; left++) {
      const [oldest] = working.keys();
      leave(oldest!);
      come("c");
      for (const key of working.keys()) seen.add(key.split("/")[0]!);
    }
    expect(seen.size).toBe(100);
    expect(working.size).toBe(900);
    enter("d", keys("d", 50));
    expect(under("d")).toHaveLength(50);
  });
});

it("what a person waits for has a place at once", () => {
  enter("c", keys("a", 1_000));
  expect(places.enter("c", "a/mine", "interactive")).toBe(true);
});

it("a place that was given to a key which has no use for it is the next one's", () => {
  enter("c", keys("a", 411));
  expect(places.isParked("c", "a/s400")).toBe(true);
  for (let n = 0; n < 10; n++) leave(`a/s${n}`);
  expect(coming).toHaveLength(10);
  expect(coming).not.toContain("a/s410");
  expect(places.arrived("a/s400")).toBe("c");
  places.invite("c");
  expect(coming.at(-1)).toBe("a/s410");
  expect(places.isHolding).toBe(false);
});

it("places are given away ten at once, so that those who begin with them fill their calls, and the last ones all", () => {
  enter("c", keys("a", 425));
  const invited: number[] = [];
  for (let n = 0; n < 30; n++) {
    leave(`a/s${n}`);
    invited.push(coming.length);
    come("c");
  }
  expect(invited.filter((count) => count > 0)).toEqual([10, 10, 5]);
});

it("a connection of few places gives them away in twos, so that one that hangs does not keep them", () => {
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
    const by = places.arrived(key);
    if (by !== undefined && by !== connection) places.invite(by);
    enter(connection, [key]);
  };
  const moved = keys("a", 395).map((key) => `${key}-moved`);
  const old = keys("a", 400).map((key) => `${key}-old`);
  const fresh = keys("a", 400).map((key) => `${key}-new`);

  it("waits at the new one alone, and keeps no place of either", () => {
    enter("old", [...old, ...moved]);
    enter("new", fresh);
    for (const key of moved) handle("new", key);
    expect(moved.some((key) => places.isParked("old", key))).toBe(false);
    for (const key of [...fresh, ...old]) leave(key);
    expect(coming).toHaveLength(moved.length);
    for (const key of coming.splice(0)) handle("new", key);
    for (const key of moved) leave(key);
    expect(places.isHolding).toBe(false);
    // As many as there have ever been find a place, and who waits is invited.
    const later = keys("a", 401);
    enter("new", later);
    expect(under("a")).toHaveLength(400);
    for (const key of later.slice(0, 400)) leave(key);
    expect(coming).toEqual([later[400]]);
  });

  it("is not invited where it has been taken on meanwhile for a person", () => {
    enter("c", keys("a", 401));
    expect(places.isParked("c", "a/s400")).toBe(true);
    expect(places.enter("c", "a/s400", "interactive")).toBe(true);
    expect(places.isHolding).toBe(false);
    places.leave("c", "a/s400");
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
