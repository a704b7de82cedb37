import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { page } from "../docs/pages.ts";
import { chart } from "./chart.ts";

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string };
}

const file = parse(readFileSync(join(chart, "files/rules/keyferry.yaml"), "utf8")) as {
  groups: { name: string; rules: Rule[] }[];
};
const rules = file.groups.flatMap((group) => group.rules);
const text = page("docs/metrics.md").text;

test("the alerts are those that docs/metrics.md lists", () => {
  const documented = [...text.matchAll(/^- alert: (\w+)$/gm)].map(([, name]) => name!);
  expect(rules.map(({ alert }) => alert)).toEqual(documented);
});

test("each alert has a severity and a summary, and asks for a metric that exists", () => {
  for (const { expr, labels, annotations } of rules) {
    expect(labels.severity).toMatch(/^(warning|critical)$/);
    expect(annotations.summary).toMatch(/\.$/);
    for (const [metric] of expr.matchAll(/keyferry_\w+/g)) expect(text).toContain(`| \`${metric}\` |`);
  }
});
