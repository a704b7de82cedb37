import { expect, test } from "vitest";
import { type Defect, defectOf, internalError } from "../../src/runtime/defect.ts";

const thrown = (message: string) => new RangeError(message);

test("describes a defect by name, id and stack frames, without its message", () => {
  const canary = 'canary\n    at canary (file:///canary.js:1:1)\n    at "canary"';
  const error = new TypeError(canary);
  const described = defectOf(error);
  expect(described).toMatchObject({ error: "TypeError", id: expect.stringMatching(/^[0-9a-f]{8}$/) });
  expect(described.places[0]).toMatch(/^defect\.test\.ts:[0-9]+:[0-9]+$/);
  expect(JSON.stringify(described)).not.toContain("canary");
  expect(internalError(described).message).not.toContain("canary");
  expect(internalError(described)).toMatchObject({ reason: "InternalError", next: "refused" });
});

test("has the same id for another message, and another id for another origin or name", () => {
  const [one, two] = ["one", "two"].map((message) => defectOf(thrown(message))) as [Defect, Defect];
  expect(two.id).toBe(one.id);
  expect(defectOf(new TypeError("one")).id).not.toBe(one.id);
});

test.each<[string, unknown]>([
  ["a string", "canary"],
  ["undefined", undefined],
  ["an object", { message: "canary", stack: "canary" }],
  ["an error whose name is a value", Object.assign(new Error("x"), { name: "ca nary" })],
  ["an error without a stack", Object.assign(new Error("canary"), { stack: undefined })],
  ["an error whose stack is not a trace", Object.assign(new Error("x"), { stack: "canary x canary" })],
])("describes %s by its kind only", (_, error) => {
  expect(JSON.stringify(defectOf(error))).not.toMatch(/ca ?nary/);
});
