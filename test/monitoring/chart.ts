import type { PanelData } from "./dashboard.ts";
import type { Series } from "./server.ts";
import { formatted } from "./units.ts";

/** A line of a chart. */
export interface Line {
  label: string;
  color: string;
  /** Seconds since the epoch, and a finite value. */
  points: [number, number][];
}

const colors = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2", "#edc948", "#9c755f", "#ff9da7"];
const margin = { left: 62, right: 12, top: 8, bottom: 22 };
/** Seconds without a sample that break a line. */
const gapS = 10;

/** Fills the labels of a series into a legend such as `{{service}} {{operation}}`. */
export function labelOf(legend: string, { metric }: Series): string {
  return legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => metric[name] ?? "");
}

/** The lines of a panel, with colors. */
export function linesOf({ queries }: PanelData): Line[] {
  const all = queries.flatMap(({ legend, series }) =>
    series.map((one) => ({
      label: labelOf(legend, one),
      points: one.values
        .map(([at, text]): [number, number] => [at, Number(text)])
        .filter(([, y]) => Number.isFinite(y)),
    })),
  );
  return all
    .filter(({ points }) => points.length > 0)
    .map((line, index) => ({ ...line, color: colors[index % colors.length]! }));
}

/** Values of an axis from 0, or from a negative minimum, up: three to six round steps. */
export function ticksOf(min: number, max: number): number[] {
  const span = max - Math.min(min, 0) || 1;
  const magnitude = 10 ** Math.floor(Math.log10(span / 4));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * magnitude).find((size) => span / size <= 5)!;
  const first = Math.floor(Math.min(min, 0) / step);
  const last = Math.max(Math.ceil((max - step * 1e-6) / step), first + 1);
  return Array.from({ length: last - first + 1 }, (_, n) => Number(((first + n) * step).toPrecision(12)));
}

/** A chart as SVG. @param from and `to`: seconds since the epoch, of the whole dashboard */
export function chartOf(
  lines: readonly Line[],
  unit: string,
  size: { width: number; height: number },
  range: { from: number; to: number },
): string {
  const { width, height } = size;
  const values = lines.flatMap(({ points }) => points.map(([, y]) => y));
  const ticks = ticksOf(Math.min(0, ...values), Math.max(0, ...values));
  const [low, high] = [ticks[0]!, ticks.at(-1)!];
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  const x = (at: number) => margin.left + ((at - range.from) / (range.to - range.from)) * inner.width;
  const y = (value: number) => margin.top + (1 - (value - low) / (high - low)) * inner.height;
  const horizontal = ticks.map((tick) => {
    const at = y(tick).toFixed(1);
    return `<line x1="${margin.left}" x2="${width - margin.right}" y1="${at}" y2="${at}" class="grid"/><text x="${margin.left - 6}" y="${at}" class="y">${formatted(tick, unit)}</text>`;
  });
  const minutes = minutesOf(range).map((at) => {
    const left = x(at).toFixed(1);
    const time = new Date(at * 1_000).toISOString().slice(11, 16);
    return `<line x1="${left}" x2="${left}" y1="${margin.top}" y2="${height - margin.bottom}" class="grid"/><text x="${left}" y="${height - 6}" class="x">${time}</text>`;
  });
  const paths = lines.map(({ color, points }) => `<path d="${pathOf(points, x, y)}" stroke="${color}"/>`);
  return `<svg width="${width}" height="${height}">${horizontal.join("")}${minutes.join("")}${paths.join("")}</svg>`;
}

function pathOf(points: Line["points"], x: (at: number) => number, y: (value: number) => number): string {
  let before = Number.NEGATIVE_INFINITY;
  const steps = points.map(([at, value]) => {
    const command = at - before > gapS ? "M" : "L";
    before = at;
    return `${command}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  return steps.join("");
}

/** About five whole minutes in a range. */
function minutesOf({ from, to }: { from: number; to: number }): number[] {
  const stepS =
    [1, 2, 3, 5, 10, 15, 30, 60].map((minutes) => minutes * 60).find((step) => (to - from) / step <= 6) ?? 7_200;
  const first = Math.ceil(from / stepS) * stepS;
  return Array.from({ length: Math.max(Math.floor((to - first) / stepS) + 1, 0) }, (_, n) => first + n * stepS);
}
