import { expect, it } from "vitest";
import type { AuditedRequest } from "../../cluster/audit.ts";
import { Figures } from "./figures.ts";
import type { Change } from "./load.ts";
import { gapMs, repeatedWrites, slowestMs, writesIn } from "./writes.ts";

const write = (at: number, name = "r1", code = 200): AuditedRequest => ({
  ...{
    verb: "patch",
    group: "",
    resource: "secrets",
    namespace: "load",
    name,
    user: "a",
    userAgent: "keyferry/1",
    uri: "",
  },
  ...{ code, at },
});
const change = (number: number, at: number, appliedAt?: number): Change => ({
  ...{ number, secret: `r${number}`, at, appliedAt },
});

it("a gap ends at the next leader's first write, and leaves out the time without a change", () => {
  const changes = [change(1, 900, 1_010), change(2, 1_150, 2_010)];
  expect(gapMs([write(500), write(1_000)], [write(100), write(2_000)], changes)).toBe(850);
  expect(gapMs([write(1_200)], [write(2_000)], changes)).toBe(800);
});

it("a refused write does not end a gap, and a write whose client was killed begins one", () => {
  const changes = [change(1, 900), change(2, 950)];
  expect(gapMs([write(1_000), write(1_100, "r1", 0)], [write(1_500, "r1", 409), write(2_000)], changes)).toBe(900);
});

it("the slowest change counts from the signal, and a change that is not applied is endless", () => {
  const changes = [change(1, 0, 10), change(2, 500, 1_700), change(3, 1_200, 2_000), change(4, 5_000)];
  expect(slowestMs(changes, 1_000, 4_000)).toBe(800);
  expect(slowestMs(changes, 1_000, 5_000)).toBe(Infinity);
});

it("a version that was written twice is repeated, a new version or a refused write is not", () => {
  const changes = [change(1, 100), change(2, 100), { ...change(3, 400), secret: "r1" }];
  const writes = [write(200), write(500), write(600), write(300, "r2"), write(350, "r2", 409)];
  expect([...repeatedWrites(writes, changes)]).toEqual([["r1 at 3", 2]]);
});

it("only writes of Secrets and statuses in the namespace count", () => {
  const others = [
    { ...write(1), verb: "get" },
    { ...write(1), resource: "events" },
    { ...write(1), namespace: "x" },
  ];
  const status = { ...write(1), resource: "syncedsecrets/status" };
  expect(writesIn([...others, write(1), status], "load", "a")).toHaveLength(2);
  expect(writesIn([write(1)], "load", "b")).toEqual([]);
});

it("the table has minimum, median and maximum of each row", () => {
  const figures = new Figures();
  for (const value of [3, 1, 2]) figures.add("gap, ms", value);
  expect(figures.toString()).toBe("         times  min  median  max\ngap, ms      3    1       2    3\n");
  expect(figures.max("gap, ms")).toBe(3);
});
