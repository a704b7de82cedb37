import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { root } from "../../scripts/crds.ts";
import { startCluster } from "../cluster/cluster.ts";
import { connection, withSpec } from "../crds/manifests.ts";
import { blocksOf, page } from "../docs/pages.ts";
import { kstatusOf } from "../gitops/kstatus.ts";
import { chart } from "../helm/chart.ts";
import { Release } from "../helm/release.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { recordedFolder } from "./recorded.ts";

/** CustomResourceDefinitions upgraded, rolled back and migrated, with the commands of the docs. `make upgrade` runs all. */
const isCampaign = Boolean(process.env.CAMPAIGNS);

const older = join(recordedFolder, "crds");
const newer = join(root, "crds");
const cluster = await startCluster({ crds: older });
afterAll(() => cluster.stop());

const apply = (folder: string, ...more: string[]) =>
  cluster.kubectl(["apply", "--server-side", "--filename", folder, ...more]);
const get = async (...what: string[]) => JSON.parse(await cluster.run(["get", ...what, "--output", "json"]));
const create = (object: object) => cluster.run(["create", "--filename", "-"], JSON.stringify(object));
/** Runs commands of the docs. */
const shell = (text: string) => {
  const PATH = `${dirname(cluster.details.kubectlPath)}:${process.env.PATH}`;
  const env = { PATH, HOME: cluster.dir, KUBECONFIG: cluster.kubeconfigPath };
  return promisify(execFile)("bash", ["-euo", "pipefail", "-c", text], { env });
};
/** An AWSConnection that uses a field which the older definitions do not have. */
const auth = { serviceAccountRef: { name: "checkout" } };
const withNewField = connection({ auth });

describe("applied by kubectl", () => {
  let before: { metadata: { resourceVersion: string }; spec: object };
  beforeAll(async () => {
    await create(withSpec({}));
    await create(connection({}));
    before = await get("awsc", "aws");
  });

  it("newer definitions leave objects as they are, and accept their new fields", async () => {
    expect((await cluster.kubectl(["create", "-f", "-"], JSON.stringify(withNewField))).code).not.toBe(0);
    expect(await apply(newer)).toMatchObject({ code: 0 });
    // The newer definitions show that no operator has seen it.
    const { status, ...after } = await get("awsc", "aws");
    expect(after).toEqual(before);
    expect(status).toEqual({ observedGeneration: -1 });
    expect(kstatusOf({ ...after, status })).toBe("InProgress");
    const renamed = { ...withNewField, metadata: { ...withNewField.metadata, name: "new-field" } };
    await create(renamed);
    expect((await get("awsc", "new-field")).spec.auth).toEqual(auth);
  });

  it("older definitions hide a new field, and drop it when the object is written", async () => {
    expect(await apply(older)).toMatchObject({ code: 0 });
    expect((await get("awsc", "new-field")).spec.auth).toEqual({});
    expect(await apply(newer)).toMatchObject({ code: 0 });
    expect((await get("awsc", "new-field")).spec.auth).toEqual(auth);

    expect(await apply(older)).toMatchObject({ code: 0 });
    await cluster.run(["annotate", "awsc", "new-field", "written=yes"]);
    expect(await apply(newer)).toMatchObject({ code: 0 });
    expect((await get("awsc", "new-field")).spec.auth).toEqual({});
    expect(await get("awsc", "aws")).toMatchObject(before);
  });
});

describe.skipIf(!isCampaign)("installed by the chart", () => {
  const release = new Release(cluster, "keyferry");
  let olderChart: string;
  beforeAll(async () => {
    olderChart = await mkdtemp(join(tmpdir(), "keyferry-chart-"));
    removeAtEnd(olderChart);
    await cp(chart, olderChart, { recursive: true });
    await cp(older, join(olderChart, "files/crds"), { recursive: true });
    const { items } = await get("crds");
    await cluster.run(["delete", "crd", ...items.map((one: { metadata: { name: string } }) => one.metadata.name)]);
    await cluster.run(["create", "namespace", release.namespace]);
    await release.install({}, olderChart);
  }, 120_000);
  const hasNewField = async () => {
    const { spec } = await get("crd", "awsconnections.keyferry.io");
    return JSON.stringify(spec).includes("serviceAccountRef");
  };

  it("helm upgrade and helm rollback replace them", async () => {
    expect(await hasNewField()).toBe(false);
    await release.install();
    expect(await hasNewField()).toBe(true);
    await release.rollback();
    expect(await hasNewField()).toBe(false);
  });

  it("an older chart with crds.install=false keeps newer ones", async () => {
    await release.install();
    await release.install({ crds: { install: false } }, olderChart);
    expect(await hasNewField()).toBe(true);
    await release.install({}, olderChart);
    expect(await hasNewField()).toBe(false);
  });

  it("kubectl replaces them with --force-conflicts, and Helm needs it for the next change", async () => {
    expect((await apply(newer)).stderr).toContain("--force-conflicts");
    expect(await apply(newer, "--force-conflicts")).toMatchObject({ code: 0 });
    expect(await hasNewField()).toBe(true);
    await release.install();
    expect(await hasNewField()).toBe(true);
    await expect(release.install({}, olderChart)).rejects.toThrow('conflict with "kubectl"');
    await release.install({}, olderChart, "--force-conflicts");
    expect(await hasNewField()).toBe(false);
  });
});

describe("a later version of the API", () => {
  const storedVersions = async () => (await get("crd", "syncedsecrets.keyferry.io")).status.storedVersions;
  /** The definition of SyncedSecrets with v1beta1 as the stored version. @param isOldServed whether v1alpha1 still is */
  const definition = async (isOldServed: boolean) => {
    const crd = parse(await readFile(join(newer, "syncedsecrets.yaml"), "utf8"));
    const [alpha] = crd.spec.versions;
    const beta = { ...alpha, name: "v1beta1" };
    crd.spec.versions = [beta, { ...alpha, storage: false, served: isOldServed }];
    return JSON.stringify(crd);
  };

  it("takes over the storage by the documented commands, without a change of the objects", async () => {
    await cluster.run(["apply", "--server-side", "--filename", "-"], JSON.stringify(withSpec({})));
    const before = (await get("syncedsecrets.v1alpha1.keyferry.io", "checkout")) as { spec: object };
    await cluster.run(["apply", "--server-side", "--force-conflicts", "-f", "-"], await definition(true));
    expect(await storedVersions()).toEqual(["v1alpha1", "v1beta1"]);
    const migration = blocksOf(page("docs/api-stability.md")).find(({ text }) => text.includes("storedVersions"))!;
    await shell(migration.text);
    expect(await storedVersions()).toEqual(["v1beta1"]);
    await cluster.run(["apply", "--server-side", "--force-conflicts", "-f", "-"], await definition(false));
    const after = await get("syncedsecrets.v1beta1.keyferry.io", "checkout");
    expect(after.spec).toEqual(before.spec);
    expect(after.apiVersion).toBe("keyferry.io/v1beta1");
  });
});
