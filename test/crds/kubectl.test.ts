import { describe, expect, test } from "vitest";
import { readKinds } from "../../scripts/crds.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { rowWith } from "./dry-run.ts";
import { connection, withSpec } from "./manifests.ts";

const cluster = await sharedCluster();
const hourAgo = new Date(Date.now() - 3_600_000).toISOString().replace(/\.\d+Z$/, "Z");
const namespace = await cluster.freshNamespace("crds");

describe("kubectl", () => {
  for (const { plural } of readKinds()) {
    test(`explains every field of ${plural}`, async () => {
      const text = await cluster.run(["explain", plural, "--recursive"]);
      expect(text).toContain("spec\t<Object> -required-");
      for (const part of ["spec", "status"]) await cluster.run(["explain", `${plural}.${part}`, "--recursive"]);
    });
  }

  test("explains a field with its default and the effect of omitting it", async () => {
    const text = await cluster.run(["explain", "kss.spec.refresh.staleAfter"]);
    expect(text.replaceAll(/\s+/g, " ")).toContain("It must be longer than pollInterval. Default: ten intervals.");
  });

  test("explains the requirements of binding, and the migration to it", async () => {
    const explain = async (path: string) => (await cluster.run(["explain", path])).replaceAll(/\s+/g, " ");
    const scope = await explain("cawsc.spec.binding.scope");
    expect(scope).toContain("ENUM: None Namespace Name");
    expect(scope).toContain("Namespace: keyferry.io/cluster and keyferry.io/namespace.");
    expect(await explain("awsc.spec.binding")).toContain("Needs the operator's --cluster-name.");
    expect(await explain("kss.spec.data.kms.bound")).toContain("Needs binding.allowUnbound of the connection.");
  });

  test("accepts every short name, and the category keyferry for all kinds", async () => {
    const names = await cluster.run(["api-resources", "--api-group", "keyferry.io", "--categories", "keyferry"]);
    expect(names).toMatch(/^syncedsecrets +kss +keyferry.io\/v1alpha1 +true +SyncedSecret$/m);
    expect(names).toMatch(/^awsconnections +awsc +keyferry.io\/v1alpha1 +true +AWSConnection$/m);
    expect(names).toMatch(/^clusterawsconnections +cawsc +keyferry.io\/v1alpha1 +false +ClusterAWSConnection$/m);
  });

  const seen = [
    {
      // Suspended, so that an operator in the same cluster has nothing to do with it.
      manifest: withSpec({ suspend: true }),
      columns: ["NAME", "READY", "REASON", "SECRET", "KEYS", "CHANGED", "AGE"],
      status: { secretRef: { name: "other" }, keyCount: 3, lastChangeTime: hourAgo },
      cells: { Secret: "other", Keys: 3, Changed: "60m" },
    },
    {
      manifest: connection({ auth: { secretRef: { name: "absent" } } }),
      columns: ["NAME", "READY", "REASON", "ACCOUNT", "REGION", "AGE"],
      status: { accountID: "123456789012", callerARN: "arn:aws:iam::123456789012:user/x", pollInterval: "5m" },
      cells: { Account: "123456789012", Region: "eu-west-1" },
    },
  ];
  for (const { manifest, columns, status, cells } of seen) {
    test(`shows of ${manifest.kind} the columns ${columns.join(", ")}`, async () => {
      const own = { ...manifest, metadata: { name: "seen", namespace } };
      await cluster.run(["create", "-f", "-"], JSON.stringify(own));
      const [header] = (await cluster.run(["get", manifest.kind, "--namespace", namespace])).split("\n");
      expect(header!.trim().split(/ +/)).toEqual(columns);
      const condition = { type: "Ready", status: "True", reason: "Synced", message: "", lastTransitionTime: hourAgo };
      const row = await rowWith(cluster, own, { conditions: [condition], ...status });
      expect(Object.fromEntries(row)).toMatchObject({ Name: "seen", Ready: "True", Reason: "Synced", ...cells });
    });
  }

  test("shows the connection and the revision with -o wide", async () => {
    const own = { ...withSpec({ suspend: true }), metadata: { name: "wide", namespace } };
    await cluster.run(["create", "-f", "-"], JSON.stringify(own));
    const [header] = (await cluster.run(["get", "kss", "wide", "-o", "wide", "--namespace", namespace])).split("\n");
    expect(header!.trim().split(/ +/)).toEqual([
      "NAME",
      "READY",
      "REASON",
      "SECRET",
      "KEYS",
      "CHANGED",
      "CONNECTION",
      "REVISION",
      "AGE",
    ]);
  });

  test.each([
    ["kss", "spec.suspend=true", "picked"],
    ["kss", "spec.connectionRef.name=picked-by", "picked"],
    ["kss", "spec.connectionRef.kind=AWSConnection,spec.connectionRef.name=picked-by", "picked"],
    ["kss", "spec.target.name=picked-target", "picked"],
    ["kss", "spec.target.creationPolicy=Orphan", "picked"],
    ["kss", "spec.refresh.policy=Once", "picked"],
    ["awsc", "spec.region=ap-south-2", "picked-by"],
  ])("selects %s by %s", async (kind, selector, name) => {
    const make = (object: object) => cluster.run(["apply", "-f", "-"], JSON.stringify(object));
    await make({
      ...connection({ auth: { secretRef: { name: "absent" } }, region: "ap-south-2" }),
      metadata: { name: "picked-by", namespace },
    });
    const spec = {
      suspend: true,
      connectionRef: { kind: "AWSConnection", name: "picked-by" },
      target: { name: "picked-target", creationPolicy: "Orphan" },
      refresh: { policy: "Once" },
    };
    await make({ ...withSpec(spec), metadata: { name: "picked", namespace } });
    await make({ ...withSpec({ suspend: true }), metadata: { name: "another", namespace } });
    const found = await cluster.run([
      "get",
      kind,
      "--field-selector",
      selector,
      "-o",
      "name",
      "--namespace",
      namespace,
    ]);
    expect(found).toContain(`/${name}\n`);
    if (selector !== "spec.suspend=true") expect(found.trim().split("\n")).toHaveLength(1);
  });
});
