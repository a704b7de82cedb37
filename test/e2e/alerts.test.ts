import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Campaign } from "../monitoring/campaign.ts";
import { panelData } from "../monitoring/dashboard.ts";
import { findPrometheus } from "../monitoring/prometheus.ts";
import { until } from "../support/operator.ts";

/** A short form of monitoring.test.ts: some alerts, with the times of the rules divided by two hundred. */

/** Panels that may be empty here. */
const mayBeEmpty = [
  // Their five minutes, divided by two hundred, are less than two scrapes.
  ...["Calls", "Results of calls"],
  // Their series begin with a fault, an expiration or an event.
  ...["Key material that expires", "Keys that will be deleted", "Next expirations", "Reads in failover regions"],
  // Its series need shards.
  "Shards",
  ...["Restarts of watches", "Silence of event queues", "Throttles", "Time to the first expiration"],
  "Versions held back",
];

const found = await findPrometheus();
const skipped = typeof found === "string" ? ` (skipped: ${found})` : "";

const connection = async () => ({ pollInterval: "10s" });

describe.skipIf(typeof found === "string")(`a real Prometheus with the chart's rules${skipped}`, () => {
  const { prometheus } = found as Exclude<typeof found, string>;
  let campaign: Campaign;
  beforeAll(async () => {
    campaign = await Campaign.open({ prometheus, divisor: 200, intervalS: 1, withinMs: 60_000, connection });
  });
  afterAll(() => campaign?.close());

  it("raises and clears alerts of SyncedSecrets, the audit log and the operator", async () => {
    const { alerts, server } = campaign;
    await alerts.quiet();
    await Promise.all([campaign.missingParameters(4), campaign.lostAudit()].map((fault) => alerts.provoke(fault)));
    await alerts.provoke(campaign.absence());
    expect([...alerts.times.keys()].sort()).toEqual(["Absent", "AuditLost", "ManySecretsNotReady", "SecretNotReady"]);
    expect(await server.ruleErrors()).toEqual({});
  });

  it("accepts every query of the dashboard, and has data of the panels that need no fault", async () => {
    const { server } = campaign;
    await campaign.put("/shop/p0", "2");
    const isHeld = async () => (await server.query("keyferry_changes_pending")).length > 0;
    await until(isHeld, 60_000, "a change that waits for an approval");
    const panels = await panelData(server, "5s");
    expect(panels.length).toBeGreaterThan(30);
    const isEmpty = ({ queries }: (typeof panels)[0]) => queries.every(({ series }) => series.length === 0);
    const empty = panels.filter(isEmpty).map(({ title }) => title);
    expect(empty.filter((title) => !mayBeEmpty.includes(title))).toEqual([]);
  });
});
