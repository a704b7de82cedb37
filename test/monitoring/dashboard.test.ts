import { expect, test } from "vitest";
import { Metrics } from "../../src/metrics/metrics.ts";
import { readPanels, withoutVariables } from "./dashboard.ts";
import { readRules } from "./rules.ts";

const panels = readPanels();

test("every panel has a description, a title of its own, and queries with legends", () => {
  expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
  for (const { title, description, targets = [] } of panels) {
    expect(description, title).toMatch(/\.$/);
    expect(targets.length, title).toBeGreaterThan(0);
    for (const { legendFormat } of targets) expect(legendFormat, title).not.toBe("");
  }
});

test("no panel covers another", () => {
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, n) => `${x + (n % w)},${y + Math.floor(n / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
});

test("every metric of a query exists and has the labels of its legend, and every metric has a panel", async () => {
  const { registry } = new Metrics({ withProcess: true });
  const labels = new Map<string, readonly string[]>();
  for (const { name } of await registry.getMetricsAsJSON()) {
    labels.set(name, (registry.getSingleMetric(name) as unknown as { labelNames: string[] }).labelNames);
  }
  const recorded = new Set(readRules().groups.flatMap(({ rules }) => rules.flatMap(({ record }) => record ?? [])));
  const shown = new Set<string>();
  for (const { title, targets = [] } of panels) {
    for (const { expr } of targets) {
      const metrics = [...expr.matchAll(/\b(?:keyferry|process)_\w+/g)].map(([name]) =>
        name.replace(/_(bucket|sum|count)$/, ""),
      );
      expect(
        metrics.filter((name) => !labels.has(name)),
        title,
      ).toEqual([]);
      for (const name of metrics) shown.add(name);
      for (const [name] of expr.matchAll(/\bkeyferry:[\w:]+/g)) expect(recorded, title).toContain(name);
      for (const [, by = ""] of expr.matchAll(/\bby \(([^)]*)\)/g)) {
        const known = new Set(["le", ...metrics.flatMap((name) => labels.get(name)!)]);
        const names = by.split(", ").filter((name) => metrics.length > 0 && !known.has(name));
        expect(names, title).toEqual([]);
      }
    }
  }
  const own = [...labels.keys()].filter((name) => name.startsWith("keyferry_"));
  expect(own.filter((name) => !shown.has(name))).toEqual([]);
});

test("a query without variables has the given window and all namespaces", () => {
  expect(withoutVariables('rate(a{namespace=~"$namespace"}[$__rate_interval])', "5s")).toBe(
    'rate(a{namespace=~".+"}[5s])',
  );
});
