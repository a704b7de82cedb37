import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPanels, withoutVariables } from "../monitoring/dashboard.ts";
import { findPrometheus } from "../monitoring/prometheus.ts";
import { alertsOf, readRules, scaledDown } from "../monitoring/rules.ts";
import { type PrometheusServer, startPrometheus } from "../monitoring/server.ts";
import { importMaterial } from "../support/import-material.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { connectionOf, documents, keysOf, openStage, readyCount, type Stage, synced } from "./stage.ts";

/** A real Prometheus with the chart's rules, their times divided by twenty, scrapes the operator during faults. */

/** Alerts that this test does not provoke, and why. */
const unprovoked = {
  KeyferryInternalError: "an internal error is a bug of the operator",
  KeyferryNoLeader: "the operator runs without leader election here",
  KeyferryEventsSilent: "its threshold is a day",
  KeyferryEventsMissed: "polls of announced parameters take minutes, and throttles delay them further",
};

const found = await findPrometheus();
const name =
  typeof found === "string" ? `the alerts and the dashboard (skipped: ${found})` : "the alerts and the dashboard";
const policy = (days: number) =>
  JSON.stringify([
    {
      Type: "Expiration",
      Version: "1.0",
      Attributes: { Timestamp: new Date(Date.now() + days * 86_400_000).toISOString() },
    },
  ]);
const numbered = <T>(count: number, of: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => of(n));

describe.skipIf(typeof found === "string")(name, () => {
  const { prometheus } = found as Exclude<typeof found, string>;
  let stage: Stage;
  let folder: string;
  let auditLog: string;
  let server: PrometheusServer;
  let operator: RunningOperator;

  const apply = (objects: object[]) =>
    stage.cluster.run(["apply", "--server-side", "--force-conflicts", "-f", "-"], documents(objects));
  const firing = async () => {
    const alerts = (await server.alerts()).filter(({ state }) => state === "firing");
    return new Set(alerts.map(({ labels }) => labels.alertname!));
  };
  const seen = new Set<string>();
  const annotations: string[] = [];
  /** Waits until each of these alerts has fired. */
  const fire = async (alerts: string[], withinMs = 240_000) => {
    const left = () => alerts.filter((alert) => !seen.has(`Keyferry${alert}`));
    await until(
      async () => {
        for (const { state, labels, annotations: texts } of await server.alerts()) {
          if (state !== "firing") continue;
          seen.add(labels.alertname!);
          annotations.push(...Object.values(texts));
        }
        return left().length === 0;
      },
      withinMs,
      () => `the firing of ${left()}`,
    );
  };
  /** Waits until none of these alerts fires. */
  const clear = async (alerts: string[]) => {
    let left: string[] = [];
    await until(
      async () => {
        const now = await firing();
        left = alerts.filter((alert) => now.has(`Keyferry${alert}`));
        return left.length === 0;
      },
      180_000,
      () => `the end of ${left}`,
    );
  };
  const blob = async (keyId: string) => ({
    data: [{ key: "B", kms: { ciphertext: await stage.aws.encrypt({ keyId, plaintext: "p" }), keyId } }],
  });
  const put = (parameter: string, value = "1", region = "eu-west-1") =>
    stage.aws.putParameter({ name: parameter, value, type: "SecureString" }, { region });
  const linkAudit = async (to: string) => {
    await rm(auditLog, { force: true });
    await symlink(to, auditLog);
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "keyferry-monitoring-"));
    removeAtEnd(folder);
    auditLog = join(folder, "audit.jsonl");
    await writeFile(join(folder, "audit"), "");
    await linkAudit(join(folder, "audit"));
    stage = await openStage();
    const { aws, cluster } = stage;
    const queueUrl = await aws.createQueue("keyferry");
    aws.eventsTo(queueUrl);
    aws.identity("AKIASLOW", { account: "210987654321", arn: "arn:aws:iam::210987654321:user/slow" });
    const regional = `${aws.url}/{region}`;
    await stage.connect({
      pollInterval: "10s",
      failoverRegions: ["eu-central-1"],
      endpoints: { ssm: regional, kms: regional, sts: regional, sqs: aws.url },
      events: { queueUrl },
    });
    for (const namespace of ["shop", "keys", "slow"]) await cluster.run(["create", "namespace", namespace]);
    const names = Array.from({ length: 20 }, (_, n) => `/shop/p${n}`);
    for (const one of names) await put(one);
    await apply([
      ...names.map((one, n) => synced("shop", `r${n}`, keysOf([one]))),
      ...connectionOf("slow", aws.url, 1),
    ]);
    server = await startPrometheus(prometheus, folder, scaledDown(readRules(), 20));
    operator = await stage.operator(["--audit-log", auditLog]);
    await server.scrape(operator.metricsUrl);
    await until(async () => (await readyCount(cluster, "shop")) === names.length, 60_000, "the first sync");
    // An announced change proves the queue.
    await put("/shop/p0", "2");
    await until(async () => (await operator.metric("keyferry_events_received_total", { type: "change" })) > 0, 30_000);
  }, 300_000);
  afterAll(async () => {
    await server?.stop();
    await operator?.stop();
    await stage?.close();
  });

  it("no alert fires before a fault", async () => {
    await clear(["Absent"]);
    expect([...(await firing())]).toEqual([]);
  }, 60_000);

  it("alerts of SyncedSecrets, AWS, keys and the audit log fire, and clear after the faults", async () => {
    const { aws, cluster } = stage;
    await linkAudit("/dev/full");
    await aws.putParameter({ name: "/shop/expires", value: "1", tier: "Advanced", policies: policy(2) });
    await put("/shop/throttled");
    const denied = await aws.createKey();
    // The first look at a key comes within five minutes: of several keys one is looked at soon.
    const doomed = await Promise.all(Array.from({ length: 12 }, () => aws.createKey()));
    const imported = await Promise.all(Array.from({ length: 12 }, () => aws.createKey({ origin: "EXTERNAL" })));
    for (const key of imported) await importMaterial(aws, key, Date.now() + 3 * 86_400_000);
    const blobs = await Promise.all(
      [...doomed, ...imported].map(async (key, n) => synced("keys", `k${n}`, await blob(key))),
    );
    await apply(blobs);
    await until(async () => (await readyCount(cluster, "keys")) === blobs.length, 60_000, "the blobs");
    for (const KeyId of doomed) await aws.direct("kms", "ScheduleKeyDeletion", { KeyId, PendingWindowInDays: 7 });
    aws.deny({ action: "kms:Decrypt", key: denied });
    aws.fault({ operation: "GetParameters", kind: "throttle", names: ["/shop/throttled"] });
    const slow = { connectionRef: { kind: "ClusterAWSConnection" as const, name: "slow" } };
    await apply([
      synced("shop", "expires", keysOf(["/shop/expires"])),
      synced("shop", "throttled", keysOf(["/shop/throttled"])),
      ...numbered(12, (n) => synced("shop", `missing${n}`, keysOf([`/shop/missing${n}`]))),
      ...(await Promise.all(numbered(8, async (n) => synced("keys", `d${n}`, await blob(denied))))),
      ...numbered(250, (n) =>
        synced("slow", `s${n}`, { ...slow, ...keysOf(Array.from({ length: 10 }, (_, k) => `/slow/${n}/${k}`)) }),
      ),
    ]);
    await fire(["SecretNotReady", "ManySecretsNotReady", "ParameterExpires", "AuditLost", "QueueWaits"]);
    await fire(["Throttled", "QuotaNearlyUsed", "DecryptDenied"]);
    await fire(["KeyPendingDeletion", "KeyMaterialExpiring"]);
    await linkAudit(join(folder, "audit"));
    aws.clearFaults();
    aws.allowAll();
    await cluster.run(["delete", "syncedsecrets", "--all", "-n", "slow"]);
    await cluster.run(["delete", "syncedsecrets", "--all", "-n", "keys"]);
    await cluster.run(["delete", "syncedsecrets", "-n", "shop", ...numbered(12, (n) => `missing${n}`)]);
    await aws.putParameter({ name: "/shop/expires", value: "1", tier: "Advanced", policies: policy(30) });
    await clear(["SecretNotReady", "ManySecretsNotReady", "ParameterExpires", "AuditLost", "QueueWaits"]);
    await clear(["Throttled", "QuotaNearlyUsed", "DecryptDenied"]);
    await clear(["KeyPendingDeletion", "KeyMaterialExpiring"]);
  }, 600_000);

  it("failed calls and reads in a failover region raise alerts while the home region is down", async () => {
    await put("/shop/elsewhere", "1", "eu-central-1");
    stage.aws.fault({ operation: "ssm:*", kind: "503", region: "eu-west-1" });
    await apply([synced("shop", "elsewhere", keysOf(["/shop/elsewhere"]))]);
    await fire(["ReadsFailOver", "AWSCallsFail"]);
    await put("/shop/elsewhere");
    stage.aws.clearFaults();
    await clear(["ReadsFailOver", "AWSCallsFail"]);
  }, 420_000);

  it("alerts of the Kubernetes side fire while the API server is down, and clear after it", async () => {
    const { cluster } = stage;
    await cluster.stopApiServer();
    for (let n = 0; n < 20; n++) await put(`/shop/p${n}`, "during the outage");
    await fire(["WatchesRestart", "KubernetesWritesFail", "NotSyncing"]);
    await cluster.startApiServer();
    await clear(["WatchesRestart", "KubernetesWritesFail", "NotSyncing"]);
  }, 420_000);

  it("an operator that has ended raises an alert until it runs again", async () => {
    await operator.stop();
    await fire(["Absent"]);
    operator = await stage.operator(["--audit-log", auditLog]);
    await server.scrape(operator.metricsUrl);
    await clear(["Absent"]);
  }, 120_000);

  it("every alert has fired but those named above, with texts whose templates are filled in", () => {
    const all = alertsOf(readRules()).map(({ alert }) => alert);
    expect([...seen, ...Object.keys(unprovoked)].toSorted()).toEqual(all.toSorted());
    expect(annotations.filter((text) => /<error|<no value>|\{\{|%!/.test(text))).toEqual([]);
  });

  it("every query of the dashboard has had data", async () => {
    const empty: string[] = [];
    for (const { title, targets = [] } of readPanels()) {
      for (const { expr } of targets) {
        const series = await server.query(withoutVariables(expr, "15s").replaceAll("[1h]", "[15s]"));
        const isThere = series.some(({ values }) => values.some(([, value]) => value !== "NaN"));
        if (!isThere) empty.push(`${title}: ${expr}`);
      }
    }
    expect(empty).toEqual([]);
  }, 60_000);
});
