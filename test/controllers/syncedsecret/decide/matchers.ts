import { expect, it } from "vitest";
import { decide } from "../../../../src/controllers/syncedsecret/decide/decide.ts";
import type { Apply, Decision, Intent, Refuse } from "../../../../src/controllers/syncedsecret/decide/decision.ts";
import type { Done } from "../../../../src/controllers/syncedsecret/decide/material.ts";
import type { Reference } from "../../../../src/parameters/read/reference.ts";
import type { Failure, Next } from "../../../../src/runtime/failure.ts";
import { assemble } from "../../../../src/values/assemble.ts";
import type { Results, SnapshotBuilder } from "./builders.ts";

/**
 * One line for a decision: `look /a`, `read sources`, `refuse SourceGone (good Secret)`, `keep`, `keep left /b`,
 * `apply A B retaining B`, `delete SourceGone`.
 */
export function textOf(decision: Decision): string {
  switch (decision.kind) {
    case "look":
      return `look ${decision.references.map(nameOf).sort().join(" ")}`;
    case "read":
      return `read ${decision.what}`;
    case "assemble":
      return "assemble";
    case "refuse":
      return `refuse ${reasonsOf(decision.problems)}${decision.hasGoodSecret ? " (good Secret)" : ""}`;
    case "delete":
      return `delete ${reasonsOf(decision.problems)}`;
    case "keep":
      if (!decision.sources) return "keep with unknown sources";
      return decision.assessment?.left.length ? `keep without ${decision.assessment.left.join(" ")}` : "keep";
    case "apply": {
      const { data, retained } = decision.intent;
      const keys = [...data.keys()].sort().join(" ");
      return `apply ${keys}${retained.size > 0 ? ` retaining ${[...retained].sort().join(" ")}` : ""}`;
    }
  }
}

function nameOf(reference: Reference): string {
  return reference.kind === "path" ? reference.path : reference.name + reference.selector;
}

function reasonsOf(problems: readonly Failure[]): string {
  return problems.map(({ reason }) => reason).join(" ");
}

/** The decisions of a whole reconcile whose steps give `results`: AWS answers nothing new meanwhile. */
export function decisionsOf(builder: SnapshotBuilder, results: Results = {}): Decision[] {
  const facts = builder.facts();
  const all = builder.done(facts.plan, results);
  let done: Done = builder.build().done;
  const decisions: Decision[] = [];
  for (let step = 0; step < 10; step++) {
    const decision = decide({ ...facts, ...builder.observed(facts), done });
    decisions.push(decision);
    if (decision.kind === "look") done = { ...done, looked: true };
    else if (decision.kind === "assemble") {
      const { composed } = decision;
      done = { ...done, assembly: { composed, assembled: assemble(composed.input) } };
    } else if (decision.kind === "read") {
      const field = (
        {
          sources: "read",
          pinnedVersions: "pinned",
          lastGoodVersions: "lastGood",
          ciphertexts: "opened",
          secret: "live",
        } as const
      )[decision.what];
      if (!all[field]) throw new Error(`the row gives no result for: read ${decision.what}`);
      done = { ...done, [field]: all[field] };
    } else return decisions;
  }
  throw new Error("no decision ends the reconcile");
}

/** The text of the decision that ends a reconcile. */
export function endOf(builder: SnapshotBuilder, results: Results = {}): string {
  return textOf(decisionsOf(builder, results).at(-1)!);
}

/** What a reconcile applies. */
export function intentOf(builder: SnapshotBuilder, results: Results = {}): Intent {
  const last = decisionsOf(builder, results).at(-1)!;
  expect(textOf(last)).toMatch(/^apply/);
  return (last as Apply).intent;
}

/** The data of an intent as text. */
export function textsOf({ data }: Intent): Record<string, string> {
  return Object.fromEntries([...data].map(([key, bytes]) => [key, Buffer.from(bytes).toString()]));
}

/** A row: a sentence, the facts, and the next decision. */
export type Row = readonly [name: string, given: SnapshotBuilder, decision: string];

/** One test for each row, of the next decision. */
export function eachDecides(rows: readonly Row[]): void {
  it.each(rows)("%s", (_, given, decision) => expect(textOf(decide(given.build()))).toBe(decision));
}

/** A row: a sentence, the facts, what the reads give, and the decisions of the reconcile in order. */
export type StepsRow = readonly [name: string, given: SnapshotBuilder, results: Results, decisions: readonly string[]];

/** One test for each row, of all decisions of a reconcile. */
export function eachTakes(rows: readonly StepsRow[]): void {
  it.each(rows)("%s", (_, given, results, decisions) => {
    expect(decisionsOf(given, results).map(textOf)).toEqual(decisions);
  });
}

/** A row: a sentence, the facts, what the reads give, and the decision that ends the reconcile. */
export type EndRow = readonly [name: string, given: SnapshotBuilder, results: Results, decision: string];

/** One test for each row, of the last decision of a reconcile. */
export function eachEnds(rows: readonly EndRow[]): void {
  it.each(rows)("%s", (_, given, results, decision) => expect(endOf(given, results)).toBe(decision));
}

/** What can follow the first problem of a refusal. */
export function nextOf(builder: SnapshotBuilder, results: Results = {}): Next {
  return (decisionsOf(builder, results).at(-1) as Refuse).problems[0]!.next;
}
