import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../scripts/crds.ts";
import { reasons } from "../../src/api/reasons.ts";
import { answerTooLong, notSent } from "../../src/aws/failure.ts";
import { keyAtRisk } from "../../src/ciphertexts/key-health.ts";
import { failedOver } from "../../src/controllers/conditions.ts";
import { eventsReady } from "../../src/controllers/events/condition.ts";

import { page, rowsBelow } from "./pages.ts";

const reasonsPage = page("docs/reasons.md");
const names = (heading: string) => rowsBelow(reasonsPage, heading).map(([first]) => first!.replace(/`/g, ""));

const source = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith("reasons.ts"))
  .map((file) => readFileSync(join(root, "src", file), "utf8"))
  .join("\n");

test("docs/reasons.md has every reason once, and no other", () => {
  const listed = [...names("## Reasons of Ready"), ...names("## Reasons of other conditions")];
  expect(listed.toSorted()).toEqual([...reasons].sort());
});

test("every reason is used in the program", () => {
  expect(reasons.filter((reason) => !source.includes(`"${reason}"`))).toEqual([]);
});

test("docs/reasons.md has every condition type, as the program writes it", () => {
  const listed = names("## Conditions");
  expect(listed).toEqual(expect.arrayContaining([keyAtRisk, eventsReady, failedOver]));
  expect(listed.filter((type) => !source.includes(`"${type}"`))).toEqual([]);
  const written = [...source.matchAll(/\btype: "([A-Z]\w+)", status/g)].map(([, type]) => type!);
  // A constant `action` is the action of an event.
  const constants = [
    ...source.matchAll(/^(?:export )?const (?!action\b)\w+ = "([A-Z][a-z]+(?:[A-Z][a-z]+)+)";$/gm),
  ].map(([, type]) => type!);
  // Codes of calls to AWS, which no condition has.
  const codes: readonly string[] = [notSent, answerTooLong];
  const isType = (name: string) => !codes.includes(name) && !reasons.some((reason) => reason === name);
  expect([...written, ...constants].filter(isType).filter((type) => !listed.includes(type))).toEqual([]);
});

test("every row of docs/reasons.md has a cause, the behaviour meanwhile, and a remedy", () => {
  for (const [heading, cells] of [
    ["## Reasons of Ready", 4],
    ["## Reasons of other conditions", 5],
  ] as const) {
    const short = rowsBelow(reasonsPage, heading).filter(
      (row) => row.length !== cells || row.some((cell) => cell === ""),
    );
    expect(short, heading).toEqual([]);
  }
});
