import { mkdir, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fault, tableOfTimes } from "../monitoring/alert-watch.ts";
import { Campaign } from "../monitoring/campaign.ts";
import { type PanelData, panelData } from "../monitoring/dashboard.ts";
import { findPrometheus } from "../monitoring/prometheus.ts";
import { alertsOf, readRules } from "../monitoring/rules.ts";
import { importMaterial } from "../support/import-material.ts";
import { until } from "../support/operator.ts";
import { connectionOf, keysOf, synced } from "./stage.ts";

/**
 * Provokes each alert of the chart, which fires and clears in a real Prometheus, with the times of the rules divided by
 * twenty. Then runs each query of the dashboard. Keeps the results for the picture of the dashboard.
 */

const dayMs = 86_400_000;

const found = await findPrometheus();
const name =
  typeof found === "string" ? `the alerts and the dashboard (skipped: ${found})` : "the alerts and the dashboard";
const expiresIn = (days: number) => ({
  name: "/shop/expires",
  value: "1",
  tier: "Advanced" as const,
  policies: JSON.stringify([
    {
      Type: "Expiration",
      Version: "1.0",
      Attributes: { Timestamp: new Date(Date.now() + days * dayMs).toISOString() },
    },
  ]),
});
/** A Lease that somebody else holds for an hour. */
const heldLease = (name: string) => {
  const now = new Date().toISOString().replace("Z", "000Z");
  const spec = { holderIdentity: "another", leaseDurationSeconds: 3_600, acquireTime: now, renewTime: now };
  return { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name, namespace: "default" }, spec };
};
const numbered = <T>(count: number, of: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => of(n));

describe.skipIf(typeof found === "string")(name, () => {
  const { prometheus } = found as Exclude<typeof found, string>;
  let campaign: Campaign;
  let queueUrl: string;
  let panels: PanelData[];

  const blob = async (keyId: string) => {
    const ciphertext = await campaign.stage.aws.encrypt({ keyId, plaintext: "p" });
    return { data: [{ key: "B", kms: { ciphertext, keyId } }] };
  };
  const provoke = (...faults: Fault[]) => Promise.all(faults.map((fault) => campaign.alerts.provoke(fault)));

  beforeAll(async () => {
    campaign = await Campaign.open({
      prometheus,
      ...{ divisor: 20, intervalS: 2, withinMs: 400_000 },
      async connection({ aws }) {
        queueUrl = await aws.createQueue("keyferry");
        aws.eventsTo(queueUrl);
        const regional = `${aws.url}/{region}`;
        return {
          pollInterval: "10s",
          failoverRegions: ["eu-central-1"],
          endpoints: { ssm: regional, kms: regional, sts: regional, sqs: aws.url },
          events: { queueUrl },
        };
      },
    });
    const { stage, operator } = campaign;
    stage.aws.identity("AKIASLOW", { account: "210987654321", arn: "arn:aws:iam::210987654321:user/slow" });
    for (const namespace of ["doomed", "imported", "denied", "slow"])
      await stage.cluster.run(["create", "namespace", namespace]);
    await campaign.apply(connectionOf("slow", stage.aws.url, 1));
    // An announced change proves the queue.
    await campaign.put("/shop/p0", "2");
    await until(async () => (await operator.metric("keyferry_events_received_total", { type: "change" })) > 0, 30_000);
  }, 300_000);
  afterAll(() => campaign?.close());

  it("no alert fires before a fault", () => campaign.alerts.quiet(), 420_000);

  it("alerts of SyncedSecrets, rollouts, expiry, keys, events and the audit log fire and clear", async () => {
    const { aws } = campaign.stage;
    const denied = await aws.createKey();
    // The first look at a key comes within five minutes: of several keys one is looked at soon.
    const doomed = await Promise.all(numbered(12, () => aws.createKey()));
    const imported = await Promise.all(numbered(12, () => aws.createKey({ origin: "EXTERNAL" })));
    for (const key of imported) await importMaterial(aws, key, Date.now() + 3 * dayMs);
    const blobs = async (namespace: string, keys: readonly string[]) =>
      Promise.all(keys.map(async (key, n) => synced(namespace, `b${n}`, await blob(key))));
    const keyFaults: Fault[] = [
      {
        alerts: ["KeyPendingDeletion"],
        async begin() {
          await campaign.apply(await blobs("doomed", doomed));
          await campaign.ready("doomed", doomed.length);
          for (const KeyId of doomed) await aws.direct("kms", "ScheduleKeyDeletion", { KeyId, PendingWindowInDays: 7 });
        },
        end: () => campaign.remove("doomed", ["--all"]),
      },
      {
        alerts: ["KeyMaterialExpiring"],
        begin: async () => campaign.apply(await blobs("imported", imported)),
        end: () => campaign.remove("imported", ["--all"]),
      },
      {
        alerts: ["DecryptDenied"],
        async begin() {
          aws.deny({ action: "kms:Decrypt", key: denied });
          await campaign.apply(
            await blobs(
              "denied",
              numbered(8, () => denied),
            ),
          );
        },
        async end() {
          aws.allowAll();
          await campaign.remove("denied", ["--all"]);
        },
      },
    ];
    const expiry: Fault = {
      alerts: ["ParameterExpires"],
      async begin() {
        await aws.putParameter(expiresIn(2));
        await campaign.apply([synced("shop", "expires", keysOf(["/shop/expires"]))]);
      },
      end: () => aws.putParameter(expiresIn(30)),
    };
    const missedEvent: Fault = {
      alerts: ["EventsMissed"],
      async begin() {
        await aws.flushEvents();
        aws.clearEvents();
        // Without any event so far: a change within a minute of one counts as announced.
        await campaign.put("/shop/unheard");
        await campaign.apply([synced("shop", "unheard", keysOf(["/shop/unheard"]))]);
        const read = ["get", "secret", "unheard", "-n", "shop", "--ignore-not-found", "-o", "name"];
        await until(async () => (await campaign.stage.cluster.run(read)) !== "", 30_000, "its Secret");
        await campaign.put("/shop/unheard", "not announced");
        await aws.flushEvents();
        aws.eventsTo(queueUrl);
      },
      end: () => campaign.remove("shop", ["unheard"]),
    };
    const silence: Fault = {
      alerts: ["EventsSilent"],
      begin: async () => {},
      end: () => campaign.put("/shop/p2", "an event"),
    };
    const fleet = [campaign.lostAudit(), campaign.missingParameters(12), campaign.failedRollout()];
    await provoke(...fleet, expiry, missedEvent, ...keyFaults);
    await provoke(silence, campaign.internalError());
  }, 900_000);

  it("alerts of throttles and of the quota fire and clear", async () => {
    const { aws } = campaign.stage;
    const throttled: Fault = {
      alerts: ["Throttled"],
      async begin() {
        await campaign.put("/shop/throttled");
        aws.fault({ operation: "GetParameters", kind: "throttle", names: ["/shop/throttled"] });
        await campaign.apply([synced("shop", "throttled", keysOf(["/shop/throttled"]))]);
      },
      end: async () => aws.clearFaults(),
    };
    const slow = { connectionRef: { kind: "ClusterAWSConnection" as const, name: "slow" } };
    const exhausted: Fault = {
      alerts: ["QuotaNearlyUsed", "QueueWaits"],
      begin: () =>
        campaign.apply(
          numbered(250, (n) => synced("slow", `s${n}`, { ...slow, ...keysOf(numbered(10, (k) => `/slow/${n}/${k}`)) })),
        ),
      end: () => campaign.remove("slow", ["--all"]),
    };
    await provoke(throttled, exhausted);
  }, 900_000);

  it("alerts of failed calls and of reads in a failover region fire and clear", async () => {
    const { aws } = campaign.stage;
    await provoke({
      alerts: ["ReadsFailOver", "AWSCallsFail"],
      async begin() {
        await campaign.put("/shop/elsewhere", "1", "eu-central-1");
        aws.fault({ operation: "ssm:*", kind: "503", region: "eu-west-1" });
        await campaign.apply([synced("shop", "elsewhere", keysOf(["/shop/elsewhere"]))]);
      },
      async end() {
        await campaign.put("/shop/elsewhere");
        aws.clearFaults();
      },
    });
  }, 900_000);

  it("alerts of the Kubernetes side fire and clear", async () => {
    const { cluster } = campaign.stage;
    await provoke({
      alerts: ["KubernetesWritesFail", "NotSyncing"],
      async begin() {
        await cluster.stopApiServer();
        for (let n = 0; n < 20; n++) await campaign.put(`/shop/p${n}`, "during the outage");
      },
      end: () => cluster.startApiServer(),
    });
    await provoke(campaign.brokenWatches());
  }, 900_000);

  it("alerts of an operator that has ended, and of one that does not lead, fire and clear", async () => {
    const { cluster } = campaign.stage;
    await provoke(campaign.absence());
    const lease = ["leases.coordination.k8s.io", "keyferry", "-n", "default"];
    await provoke({
      alerts: ["NoLeader"],
      async begin() {
        await campaign.apply([heldLease("keyferry")]);
        await campaign.operator.stop();
        await campaign.startOperator(["--leader-elect"], { env: { POD_NAMESPACE: "default" } });
      },
      end: () => cluster.run(["delete", ...lease]),
    });
  }, 900_000);

  it("the alert of a shard that no replica works on fires and clears", async () => {
    await provoke({
      alerts: ["ShardWithoutOwner"],
      async begin() {
        await campaign.apply([heldLease("keyferry-shard-1")]);
        await campaign.operator.stop();
        await campaign.startOperator(["--leader-elect", "--shards", "2"], { env: { POD_NAMESPACE: "default" } });
      },
      end: () => campaign.stage.cluster.run(["delete", "lease", "keyferry-shard-1", "-n", "default"]),
    });
  }, 900_000);

  it("every alert has fired and cleared, with texts whose templates are filled in", () => {
    const { times, texts } = campaign.alerts;
    const all = alertsOf(readRules()).map(({ alert }) => alert.replace("Keyferry", ""));
    process.stdout.write(`${tableOfTimes(times)}\n`);
    expect([...times.keys()].toSorted()).toEqual(all.toSorted());
    expect([...texts].filter((text) => /<error|<no value>|\{\{|%!/.test(text))).toEqual([]);
  });

  it("every query of the dashboard has had data", async () => {
    panels = await panelData(campaign.server, "30s");
    await mkdir("dist/monitoring", { recursive: true });
    await writeFile("dist/monitoring/dashboard.json", JSON.stringify(panels));
    const hasData = ({ series }: PanelData["queries"][0]) =>
      series.some(({ values }) => values.some(([, value]) => value !== "NaN"));
    const empty = panels.flatMap(({ title, queries }) =>
      queries.filter((query) => !hasData(query)).map(({ expr }) => `${title}: ${expr}`),
    );
    expect(empty).toEqual([]);
  }, 60_000);
});
