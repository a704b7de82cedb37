import type { Builder } from "@grafana/grafana-foundation-sdk/cog";
import {
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  VizLegendOptionsBuilder,
} from "@grafana/grafana-foundation-sdk/common";
import {
  type Dashboard,
  DashboardBuilder,
  DatasourceVariableBuilder,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TableBuilder } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as TimeSeriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";
import type { PanelSpec, RowSpec } from "./dashboard-panels.ts";

/** The data source that the reader selects at the top of the dashboard. */
const datasource = { type: "prometheus", uid: "$datasource" };

/** A dashboard of Grafana with these rows, three panels beside each other. Pure. */
export function dashboardOf(rows: readonly RowSpec[]): Dashboard {
  const builder = new DashboardBuilder("Keyferry")
    .uid("keyferry")
    .description("SyncedSecrets, calls to AWS, KMS keys and the Kubernetes side of Keyferry.")
    .tags(["keyferry"])
    .timezone("browser")
    .readonly()
    .time({ from: "now-6h", to: "now" })
    .refresh("1m")
    .withVariable(new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"))
    .withVariable(
      new QueryVariableBuilder("namespace")
        .label("Namespace")
        .datasource(datasource)
        .query("label_values(keyferry_syncedsecret_ready, namespace)")
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .multi(true)
        .includeAll(true)
        .allValue(".+"),
    );
  let id = 0;
  for (const { title, panels } of rows) {
    builder.withRow(new RowBuilder(title).id(++id));
    for (const panel of panels) builder.withPanel(panelOf(panel, ++id));
  }
  return builder.build();
}

function panelOf(spec: PanelSpec, id: number): Builder<Panel> {
  const { title, description, unit, queries, kind = "timeseries" } = spec;
  const panel = builderOf[kind]().id(id).title(title).description(description).unit(unit).datasource(datasource);
  panel.span(8).height(kind === "stat" ? 4 : 8);
  for (const [index, { expr, legend }] of queries.entries()) {
    const query = new DataqueryBuilder()
      .refId(String.fromCharCode(65 + index))
      .expr(expr)
      .legendFormat(legend);
    if (kind === "table") query.format(PromQueryFormat.Table);
    panel.withTarget(kind === "timeseries" ? query.range() : query.instant());
  }
  return panel;
}

const builderOf = {
  stat: () => new StatBuilder().reduceOptions(new ReduceDataOptionsBuilder().calcs(["lastNotNull"])),
  table: () => new TableBuilder(),
  timeseries: () =>
    new TimeSeriesBuilder().legend(
      new VizLegendOptionsBuilder()
        .showLegend(true)
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom),
    ),
};
