import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/crds.ts";
import type { PrometheusServer, Series } from "./server.ts";

/** A panel of the dashboard file, as far as tests use it. */
export interface DashboardPanel {
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { refId: string; expr: string; legendFormat: string }[];
  fieldConfig?: { defaults?: { unit?: string } };
}

/** A panel with the results of its queries. */
export interface PanelData extends Pick<DashboardPanel, "type" | "title" | "gridPos"> {
  unit: string;
  queries: { expr: string; legend: string; series: Series[] }[];
}

/** The panels of the chart's dashboard file, with its rows. */
export function readAllPanels(): DashboardPanel[] {
  const text = readFileSync(join(root, "helm/keyferry/files/dashboards/keyferry.json"), "utf8");
  return (JSON.parse(text) as { panels: DashboardPanel[] }).panels;
}

/** The panels of the chart's dashboard file, without its rows. */
export function readPanels(): DashboardPanel[] {
  return readAllPanels().filter(({ type }) => type !== "row");
}

/** Replaces Grafana's variables in a query: all namespaces, and rates over `window`. */
export function withoutVariables(expr: string, window: string): string {
  return expr.replaceAll("$namespace", ".+").replaceAll("$__rate_interval", window);
}

/**
 * Runs each query of the dashboard from the start of the server until now.
 *
 * @param window stands for Grafana's interval of rates, and for the hour of the bill, which such a server does not have
 */
export function panelData(server: PrometheusServer, window: string): Promise<PanelData[]> {
  return Promise.all(
    readPanels().map(async ({ type, title, gridPos, targets = [], fieldConfig }) => {
      const queries = targets.map(async ({ expr, legendFormat }) => {
        const asked = withoutVariables(expr, window).replaceAll("[1h]", `[${window}]`);
        return { expr, legend: legendFormat, series: await server.query(asked) };
      });
      return { type, title, gridPos, unit: fieldConfig?.defaults?.unit ?? "none", queries: await Promise.all(queries) };
    }),
  );
}
