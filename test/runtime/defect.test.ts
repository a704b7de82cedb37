import { expect, test } from "vitest";
import { type Defect, defectOf, internalError } from "../../src/runtime/defect.ts";

const thrown = (message: string) => new RangeError(message);

test("a defect is told by its name, an id and the places, and by no word of its message", () => {
  const canary = 'canary\n    at canary (file:///canary.js:1:1)\n    at "canary"';
  const error = new TypeError(canary);
  const told = defectOf(error);
  expect(told).toMatchObject({ error: "TypeError", id: expect.stringMatching(/^[0-9a-f]{8}$/) });
  expect(told.places[0]).toMatch(/^defect\.test\.ts:[0-9]+:[0-9]+$/);
  expect(JSON.stringify(told)).not.toContain("canary");
  expect(internalError(told).message).not.toContain("canary");
  expect(internalError(told)).toMatchObject({ reason: "InternalError", next: "refused" });
});

test("the id is the same for another message, and another for another place or name", () => {
  const [one, two] = ["one", "two"].map((message) => defectOf(thrown(message))) as [Defect, Defect];
  expect(two.id).toBe(one.id);
  expect(defectOf(new TypeError("one")).id).not.toBe(one.id);
});

test.each<[string, unknown]>([
  ["a text", "canary"],
  ["nothing", undefined],
  ["an object", { message: "canary", stack: "canary" }],
  ["an error whose name is a value", Object.assign(new Error("x"), { name: "ca nary" })],
  ["an error without a stack", Object.assign(new Error("canary"), { stack: undefined })],
  ["an error whose stack is not a trace", Object.assign(new Error("x"), { stack: "canary x canary" })],
])("of %s nothing but its kind is told", (_, error) => {
  expect(JSON.stringify(defectOf(error))).not.toMatch(/ca ?nary/);
});
