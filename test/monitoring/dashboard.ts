import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/crds.ts";

/** A panel of the dashboard file, as far as tests use it. */
export interface DashboardPanel {
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { refId: string; expr: string; legendFormat: string }[];
}

/** The panels of the chart's dashboard file, without its rows. */
export function readPanels(): DashboardPanel[] {
  const text = readFileSync(join(root, "helm/keyferry/files/dashboards/keyferry.json"), "utf8");
  const { panels } = JSON.parse(text) as { panels: DashboardPanel[] };
  return panels.filter(({ type }) => type !== "row");
}

/** Replaces Grafana's variables in a query: all namespaces, and rates over `window`. */
export function withoutVariables(expr: string, window: string): string {
  return expr.replaceAll("$namespace", ".+").replaceAll("$__rate_interval", window);
}
