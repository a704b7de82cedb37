import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openStage } from "../e2e/stage.ts";
import type { Json } from "../emulator/http.ts";
import { Release } from "../helm/release.ts";
import { until } from "../support/operator.ts";
import { Fleet } from "./fleet.ts";
import { Pods } from "./pods.ts";
import { type RecordedObject, type RecordedParameter, type RecordedState, recordedFolder } from "./recorded.ts";
import { snapshotOf } from "./snapshot.ts";
import { previous, versionAt } from "./versions.ts";

/**
 * Records what a previous version leaves in a cluster: `node test/upgrade/record.ts NAME`, with a name of `previous`.
 * It runs that version, with changes, and writes test/upgrade/previous/NAME.json and the version's
 * CustomResourceDefinitions.
 */

const [name = ""] = process.argv.slice(2);
const past = Object.entries(previous).find(([key]) => key === name)?.[1];
if (past === undefined) throw new Error(`name one of ${Object.keys(previous).join(", ")}`);
const version = await versionAt(past);
if (typeof version === "string") throw new Error(version);

const stage = await openStage({ crds: version.crds });
const { cluster, aws } = stage;
try {
  const release = new Release(cluster, "keyferry-system");
  const pods = new Pods(stage, release);
  await cluster.run(["create", "namespace", release.namespace]);
  await release.install({ allowInsecureEndpoints: true, crds: { install: false } }, version.chart);
  await stage.connect({ pollInterval: "10s" });
  // Keys of another emulator do not exist.
  aws.deny({ action: "kms:DescribeKey" });
  const fleet = new Fleet(name, 22, aws);
  await fleet.create(cluster);
  await pods.roll(version);
  const areReady = async (count: number) => {
    const { syncedSecrets } = await snapshotOf(cluster, fleet.namespace);
    const hasCondition = [...syncedSecrets.values()].filter(({ status }) => status?.conditions);
    return hasCondition.length === count;
  };
  await until(() => areReady(fleet.members.length), 60_000, "the first sync");
  for (const member of fleet.changing) await fleet.put(member, "second");
  const isChanged = async () => {
    const { secrets } = await snapshotOf(cluster, fleet.namespace);
    return fleet.changing.every(({ secret, key }) => {
      const value = Buffer.from(secrets.get(secret)?.data?.[key] ?? "", "base64").toString();
      return value === "second";
    });
  };
  await until(isChanged, 60_000, "the changes");
  await pods.stop();
  const state: RecordedState = {
    commit: past.commit,
    objects: [...(await objectsOf(fleet.namespace)), ...(await objectsOf(release.namespace))],
    parameters: (await Promise.all(fleet.members.flatMap(({ parameters }) => parameters).map(historyOf))).flat(),
  };
  await mkdir(recordedFolder, { recursive: true });
  await writeFile(join(recordedFolder, `${name}.json`), `${JSON.stringify(state, null, 1)}\n`);
} finally {
  await stage.close();
}

async function objectsOf(namespace: string): Promise<RecordedObject[]> {
  const args = ["get", "secrets,syncedsecrets,leases", "--namespace", namespace, "--output", "json"];
  const { items } = JSON.parse(await cluster.run([...args, "--show-managed-fields"])) as { items: RecordedObject[] };
  // Helm's own records are Secrets too.
  const own = items.filter(({ metadata }) => !metadata.name.startsWith("sh.helm."));
  for (const { metadata } of own) delete metadata.resourceVersion;
  return own;
}

async function historyOf(parameter: string): Promise<RecordedParameter[]> {
  const input = { Name: parameter, WithDecryption: true };
  const found = await aws.direct("ssm", "GetParameterHistory", input).catch(() => ({ Parameters: [] }));
  return (found.Parameters as Json[]).map((one) => ({
    name: parameter,
    value: one.Value as string,
    modified: Math.round((one.LastModifiedDate as number) * 1_000),
    labels: (one.Labels as string[] | undefined) ?? [],
  }));
}
