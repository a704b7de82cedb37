import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { Metrics } from "../../src/metrics/metrics.ts";
import { anchorsOf, page } from "../docs/pages.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { cases } from "./alert-cases.ts";
import { findPrometheus } from "./prometheus.ts";
import { alertsOf, readRules, rulesPath, scaledDown } from "./rules.ts";

const file = readRules();
const alerts = alertsOf(file);
const runbooks = page("docs/runbooks.md");
const found = await findPrometheus();
const skipped = typeof found === "string" ? ` (skipped: ${found})` : "";

test("every alert has a severity, a summary, a description and the URL of its runbook", () => {
  for (const { alert, labels, annotations } of alerts) {
    expect(["info", "warning", "critical"], alert).toContain(labels?.severity);
    expect(annotations, alert).toEqual({
      summary: expect.stringMatching(/\.$/),
      description: expect.stringMatching(/\.$/),
      runbook_url: `https://github.com/keyferry/keyferry/blob/main/docs/runbooks.md#${alert.toLowerCase()}`,
    });
    expect(anchorsOf(runbooks), alert).toContain(alert.toLowerCase());
  }
});

test("docs/runbooks.md has one section for each alert, with its meaning, what to look at and what to do", () => {
  const sections = runbooks.text.split(/^### /m).slice(1);
  expect(sections.map((text) => text.split("\n")[0])).toEqual(alerts.map(({ alert }) => alert));
  for (const text of sections) {
    const parts = [...text.matchAll(/^\*\*([^*]+)\*\*/gm)].map(([, title]) => title);
    expect(parts, text).toEqual(["Meaning.", "Look at.", "Do."]);
  }
});

test("the table of docs/runbooks.md has each alert with its severity and expression time", () => {
  const rows = runbooks.text.split("\n").filter((line) => line.startsWith("| [`Keyferry"));
  const expected = alerts.map(({ alert, labels, for: pending = "at once" }) => {
    return `| [\`${alert}\`](#${alert.toLowerCase()}) | ${labels?.severity} | ${pending} |`;
  });
  expect(rows.map((row) => row.replace(/ \|[^|]*\|$/, " |"))).toEqual(expected);
});

test("every metric and recorded series of a rule exists", async () => {
  const known = new Set((await new Metrics().registry.getMetricsAsJSON()).map(({ name }) => name));
  const recorded = new Set(file.groups.flatMap(({ rules }) => rules.flatMap(({ record }) => record ?? [])));
  for (const { expr, alert, record } of file.groups.flatMap(({ rules }) => rules)) {
    const metrics = [...expr.matchAll(/\bkeyferry_\w+/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, ""));
    const series = [...expr.matchAll(/\bkeyferry:[\w:]+/g)].map(([name]) => name);
    expect(metrics.length + series.length, alert ?? record).toBeGreaterThan(0);
    expect(
      metrics.filter((name) => !known.has(name)),
      alert ?? record,
    ).toEqual([]);
    expect(
      series.filter((name) => !recorded.has(name)),
      alert ?? record,
    ).toEqual([]);
  }
});

test("shorter times: `for`, range windows and offsets are divided, and thresholds stay", () => {
  const rule = { alert: "A", expr: 'rate(a[10m]) > 600 and b offset 1h30m and c{d=~"[0-9]+"}', for: "15m" };
  const { groups } = scaledDown({ groups: [{ name: "g", rules: [rule, { record: "r", expr: "sum(a)" }] }] }, 60);
  expect(groups[0]!.rules).toEqual([
    { alert: "A", expr: 'rate(a[10000ms]) > 600 and b offset 90000ms and c{d=~"[0-9]+"}', for: "15000ms" },
    { record: "r", expr: "sum(a)" },
  ]);
  expect(() => scaledDown({ groups: [{ name: "g", rules: [{ ...rule, for: "soon" }] }] }, 60)).toThrow("soon");
  expect(() => scaledDown({ groups: [{ name: "g", rules: [{ ...rule, for: "1ms" }] }] }, 60)).toThrow("millisecond");
});

describe.skipIf(typeof found === "string")(`promtool${skipped}`, () => {
  const { promtool } = found as Exclude<typeof found, string>;

  test("accepts the rules", () => {
    expect(execFileSync(promtool, ["check", "rules", "--lint-fatal", rulesPath], { encoding: "utf8" })).toMatch(
      /SUCCESS/,
    );
  });

  test("has a case for every alert", () => {
    expect(cases.map(({ alert }) => alert)).toEqual(alerts.map(({ alert }) => alert));
  });

  test("finds that each alert is quiet before its time, fires, and clears", () => {
    const folder = mkdtempSync(join(tmpdir(), "keyferry-rules-"));
    removeAtEnd(folder);
    const tests = cases.map(({ alert, series, quiet, fires, clears, others = [] }) => {
      const at = (eval_time: string, firing: string[]) => ({
        expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
        eval_time,
        exp_samples: firing.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 })),
      });
      // Without it, KeyferryAbsent would fire in every case.
      const running = alert === "KeyferryAbsent" ? {} : { 'keyferry_build_info{version="1"}': "1+0x120" };
      return {
        name: alert,
        interval: "1m",
        input_series: Object.entries({ ...running, ...series }).map(([name, values]) => ({ series: name, values })),
        promql_expr_test: [at(quiet, []), at(fires, [alert, ...others]), at(clears, [])],
      };
    });
    const path = join(folder, "cases.yaml");
    writeFileSync(path, stringify({ rule_files: [rulesPath], evaluation_interval: "1m", tests }));
    const { status, stdout, stderr } = spawnSync(promtool, ["test", "rules", path], { encoding: "utf8" });
    expect({ status, stderr: `${stderr}${status === 0 ? "" : stdout}` }).toEqual({ status: 0, stderr: "" });
  });
});
