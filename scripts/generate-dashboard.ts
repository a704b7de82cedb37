// Writes the Grafana dashboard of the chart from scripts/dashboard-panels.ts. With --check it only compares, and exits
// with 1 if the file differs.
import { dashboardOf } from "./dashboard-of.ts";
import { rows } from "./dashboard-panels.ts";
import { settle } from "./generated.ts";

const content = `${JSON.stringify(dashboardOf(rows), null, 2)}\n`;
settle(new Map([["helm/keyferry/files/dashboards/keyferry.json", content]]), "scripts/generate-dashboard.ts");
