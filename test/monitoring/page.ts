import { chartOf, labelOf, linesOf } from "./chart.ts";
import type { DashboardPanel, PanelData } from "./dashboard.ts";
import { formatted } from "./units.ts";

/** Pixels of the page's width, of a row of Grafana's grid, and between panels. */
export const pageWidth = 1_500;
const rowHeight = 26;
const gap = 8;
const headingHeight = 30;
/** Entries of a legend, and rows of a table. */
const atMost = { legend: 6, rows: 5 };

const style = `
  body { margin: 0; padding: 12px; width: ${pageWidth - 24}px; background: #f4f5f5; color: #24292e; font: 13px "DejaVu Sans", sans-serif; }
  h1 { font-size: 19px; margin: 2px 4px 4px; } p { margin: 0 4px 6px; color: #57606a; }
  h2 { font-size: 15px; margin: 14px 4px 6px; }
  .row { display: grid; grid-template-columns: repeat(24, 1fr); gap: ${gap}px; }
  .panel { background: #fff; border: 1px solid #d8dce0; border-radius: 3px; padding: 6px 8px; overflow: hidden; }
  h3 { font-size: 13px; margin: 0 0 4px; font-weight: 600; }
  .stat { font-size: 40px; text-align: center; color: #2e7d32; line-height: 1.3; }
  .grid { stroke: #e6e8ea; } text { font-size: 10.5px; fill: #57606a; } .y { text-anchor: end; dominant-baseline: middle; } .x { text-anchor: middle; }
  path { fill: none; stroke-width: 1.4; }
  .legend { font-size: 11px; line-height: 1.45; height: 32px; overflow: hidden; }
  .legend span { white-space: nowrap; margin-right: 12px; } .legend i { display: inline-block; width: 11px; height: 3px; margin-right: 4px; vertical-align: middle; }
  table { width: 100%; border-collapse: collapse; font-size: 12px; } td { padding: 4px 2px; border-bottom: 1px solid #e6e8ea; white-space: nowrap; }
  td:first-child { max-width: 330px; overflow: hidden; text-overflow: ellipsis; } td:last-child { text-align: right; }
  .more { color: #57606a; font-size: 11px; padding-top: 4px; }
`;

/**
 * The dashboard as a page that draws the results of its queries, without a script. Pure.
 *
 * @param layout all panels of the dashboard file, with its rows, in order
 */
export function pageOf(layout: readonly DashboardPanel[], data: readonly PanelData[]): string {
  const byTitle = new Map(data.map((panel) => [panel.title, panel]));
  const range = rangeOf(data);
  const rows: { title: string; panels: PanelData[] }[] = [];
  for (const { type, title } of layout) {
    if (type === "row") rows.push({ title, panels: [] });
    else rows.at(-1)!.panels.push(byTitle.get(title)!);
  }
  const body = rows.map(
    ({ title, panels }) =>
      `<h2>${escaped(title.replace("$namespace", "(all)"))}</h2><div class="row">${panels.map((panel) => panelOf(panel, range)).join("")}</div>`,
  );
  return `<!doctype html><meta charset="utf-8"><style>${style}</style><h1>Keyferry</h1><p>The queries of the dashboard, with data of the monitoring test.</p>${body.join("")}`;
}

/** The pixels of the page's height. */
export function pageHeight(layout: readonly DashboardPanel[]): number {
  const tops = new Map<number, number>();
  for (const { type, gridPos } of layout) {
    if (type !== "row") tops.set(gridPos.y, Math.max(tops.get(gridPos.y) ?? 0, gridPos.h));
  }
  const lines = [...tops.values()].reduce((sum, h) => sum + h * rowHeight + gap, 0);
  const headings = layout.filter(({ type }) => type === "row").length;
  return Math.ceil(lines + headings * (headingHeight + 12) + 90);
}

function rangeOf(data: readonly PanelData[]): { from: number; to: number } {
  const times = data.flatMap(({ queries }) =>
    queries.flatMap(({ series }) =>
      series.flatMap(({ values }) => [values[0]?.[0] ?? [], values.at(-1)?.[0] ?? []].flat()),
    ),
  );
  return { from: Math.min(...times), to: Math.max(...times) };
}

function panelOf(panel: PanelData, range: { from: number; to: number }): string {
  const { title, gridPos, type } = panel;
  const content = type === "stat" ? statOf(panel) : type === "table" ? tableOf(panel) : timeseriesOf(panel, range);
  const place = `grid-column: span ${gridPos.w}; height: ${gridPos.h * rowHeight - 14}px`;
  return `<div class="panel" style="${place}"><h3>${escaped(title)}</h3>${content}</div>`;
}

function statOf({ queries, unit }: PanelData): string {
  const last = queries[0]?.series[0]?.values.at(-1)?.[1];
  return `<div class="stat">${last === undefined ? "no data" : formatted(Number(last), unit)}</div>`;
}

/** A table shows one instant in Grafana: here the last one with the most rows. */
function tableOf({ queries, unit }: PanelData): string {
  const all = queries.flatMap(({ legend, series }) => series.map((one) => ({ label: labelOf(legend, one), ...one })));
  const counts = new Map<number, number>();
  for (const { values } of all) for (const [at] of values) counts.set(at, (counts.get(at) ?? 0) + 1);
  const most = Math.max(0, ...counts.values());
  const instant = [...counts].findLast(([, count]) => count === most)?.[0];
  const rows = all
    .flatMap(({ label, values }) =>
      values.filter(([at]) => at === instant).map(([, value]) => ({ label, value: Number(value) })),
    )
    .sort((a, b) => a.value - b.value || (a.label < b.label ? -1 : 1));
  const shown = rows
    .slice(0, atMost.rows)
    .map(({ label, value }) => `<tr><td>${escaped(label)}</td><td>${formatted(value, unit)}</td></tr>`);
  const more = rows.length > atMost.rows ? `<div class="more">and ${rows.length - atMost.rows} more</div>` : "";
  return rows.length === 0 ? "no data" : `<table>${shown.join("")}</table>${more}`;
}

function timeseriesOf(panel: PanelData, range: { from: number; to: number }): string {
  const lines = linesOf(panel);
  if (lines.length === 0) return "no data";
  const width = Math.floor(((pageWidth - 24 + gap) * panel.gridPos.w) / 24) - gap - 20;
  const chart = chartOf(lines, panel.unit, { width, height: panel.gridPos.h * rowHeight - 80 }, range);
  const entries = lines
    .slice(0, atMost.legend)
    .map(({ label, color }) => `<span><i style="background: ${color}"></i>${escaped(label)}</span>`);
  const more = lines.length > atMost.legend ? `<span>and ${lines.length - atMost.legend} more</span>` : "";
  return `${chart}<div class="legend">${entries.join("")}${more}</div>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
