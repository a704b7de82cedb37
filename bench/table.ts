import { type Figure, isMet, ratio } from "./figures.ts";

/** The results of a run, in bench/results.json. */
export interface Results {
  node: string;
  /** The version in package.json of the operator that ran. */
  version: string;
  processor: string;
  processors: number;
  startedAt: string;
  seconds: number;
  /** The factor of all sizes; the goals apply at 1. */
  scale: number;
  figures: Figure[];
  /** Rows that failed, with the cause. */
  failures: { row: string; message: string }[];
}

/** Returns the results as a Markdown table, below a line with the versions, the processor and the date. */
export function tableOf(results: Results): string {
  const { node, version, processor, processors, startedAt, seconds, scale, figures, failures } = results;
  const sizes = scale === 1 ? "" : `, sizes × ${scale}: the goals apply at 1`;
  const where = `Keyferry ${version}, Node ${node}, ${processors} × ${processor}`;
  const lines = [
    `${where}, ${startedAt.slice(0, 10)}, ${(seconds / 60).toFixed(1)} minutes${sizes}.`,
    "",
    "| row | figure | measured | goal | at best | reached | |",
    "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ...figures.toSorted((a, b) => Number(a.row) - Number(b.row)).map(lineOf),
    ...failures.map(({ row, message }) => `| ${row} | did not end: ${message.split("\n")[0]} | | | | | ✗ |`),
  ];
  return lines.join("\n");
}

function lineOf(figure: Figure): string {
  const { row, what, value, unit, goal, limit, note } = figure;
  const met = isMet(figure);
  const share = ratio(figure);
  const bound = goal ? ("atMost" in goal ? `≤ ${text(goal.atMost, unit)}` : `≥ ${text(goal.atLeast, unit)}`) : "";
  const cells = [
    row,
    note ? `${what} (${note})` : what,
    value === null ? "none" : text(value, unit),
    bound,
    limit === undefined ? "" : text(limit, unit),
    share === undefined ? "" : `${(100 * share).toFixed(0)}%`,
    met === undefined ? "" : met ? "✓" : "✗",
  ];
  return `| ${cells.join(" | ")} |`;
}

function text(value: number, unit: string): string {
  const digits = Number.isInteger(value) ? 0 : Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${unit && unit !== "%" && unit !== "/s" ? " " : ""}${unit}`;
}
