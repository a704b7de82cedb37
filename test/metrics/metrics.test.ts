import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Metrics } from "../../src/metrics/metrics.ts";

it("docs/metrics.md lists exactly the exported metrics with type, labels and help text", async () => {
  const { registry } = new Metrics();
  const page = readFileSync("docs/metrics.md", "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| `keyferry_"));
  const expected = (await registry.getMetricsAsJSON()).map(({ name, help, type }) => {
    const { labelNames } = registry.getSingleMetric(name) as unknown as { labelNames: string[] };
    const labels = labelNames.map((label) => `\`${label}\``).join(", ") || "none";
    return `| \`${name}\` | ${type} | ${labels} | ${help} |`;
  });
  expect(rows).toEqual(expected);
});
