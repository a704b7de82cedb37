import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { startCluster } from "../cluster/cluster.ts";
import { chart, deploymentOf, type Rendered, releaseNamespace, template } from "./chart.ts";
import { monitoringKinds } from "./monitoring-kinds.ts";

const examples = join(chart, "examples");
const files = readdirSync(examples);
const version = (parse(readFileSync(join(chart, "Chart.yaml"), "utf8")) as { version: string }).version;

/** The values of each documented variant, by its name, and what the chart makes of them by default. */
const variants = new Map<string, object>([
  ["defaults", {}],
  ...files.map(
    (file) =>
      [file.replace(/\.yaml$/, ""), parse(readFileSync(join(examples, file), "utf8")) as object] as [string, object],
  ),
]);
const names = [...variants.keys()];
/** It uses the node's network, which the standard refuses. */
const privileged = "minimal";

async function textOf(name: string): Promise<string> {
  const { stdout, stderr, code } = await template(variants.get(name)!);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

function objectsIn(text: string): Rendered[] {
  const documents = parseAllDocuments(text, { uniqueKeys: true });
  if (!Array.isArray(documents)) return [];
  return documents.map((document) => document.toJS() as Rendered | null).filter((object) => object !== null);
}

test("the README lists every example, and every example has a comment", () => {
  const readme = readFileSync(join(chart, "README.md"), "utf8");
  const listed = [...readme.matchAll(/\]\(examples\/([a-z-]+\.yaml)\)/g)].map(([, file]) => file!);
  expect(listed.sort()).toEqual(files.sort());
  for (const file of files) expect(readFileSync(join(examples, file), "utf8")).toMatch(/^# [A-Z]/);
});

describe("the rendered text equals the golden file (vitest --update writes it):", () => {
  test.each(names)("%s", async (name) => {
    const definitions = /^# Source: keyferry\/templates\/crds\.yaml$/m;
    const documents = (await textOf(name))
      .split(/^---\n/m)
      .filter((text) => text.trim() !== "" && !definitions.test(text));
    const golden = documents.join("---\n").replaceAll(version, "VERSION");
    await expect(golden).toMatchFileSnapshot(join(import.meta.dirname, "golden", `${name}.yaml`));
  });
});

describe("the API server", async () => {
  // One of its own: the namespaces and definitions have fixed names.
  const cluster = await startCluster();
  afterAll(() => cluster.stop());
  const restricted = { "pod-security.kubernetes.io/enforce": "restricted" };

  beforeAll(async () => {
    const namespaces = [releaseNamespace, "team-a", "team-b", "aws-connections", "restricted"].map((name) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels: name === "aws-connections" ? {} : restricted },
    }));
    const runtime = {
      apiVersion: "node.k8s.io/v1",
      kind: "RuntimeClass",
      metadata: { name: "gvisor" },
      handler: "runsc",
    };
    const items = [...namespaces, runtime, ...monitoringKinds];
    await cluster.run(["create", "--filename", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    const established = ["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"];
    await cluster.run(established);
    const accounts = ["keyferry", "ssm-sync"].map((name) =>
      cluster.run(["create", "serviceaccount", name, "--namespace", "restricted"]),
    );
    await Promise.all(accounts);
  });

  const dryRun = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename", "-"];

  // A Deployment whose pods the namespace's standard would refuse causes a warning.
  test.each(names)("accepts every object of the variant without a warning: %s", async (name) => {
    const text = await textOf(name);
    const { stdout, stderr, code } = await cluster.kubectl(dryRun, text);
    expect([stderr, code]).toEqual(["", 0]);
    expect(stdout.trim().split("\n")).toHaveLength(objectsIn(text).length);
  });

  const podOf = async (name: string) => {
    const { metadata, spec } = deploymentOf(objectsIn(await textOf(name))).spec.template;
    const podMetadata = { ...metadata, name: `operator-${name}`, namespace: "restricted" };
    return { apiVersion: "v1", kind: "Pod", metadata: podMetadata, spec };
  };

  test.each(names.filter((name) => name !== privileged))(
    "admits the variant's pod under the restricted Pod Security Standard: %s",
    async (name) => {
      const { stderr, code } = await cluster.kubectl(["create", "--filename", "-"], JSON.stringify(await podOf(name)));
      expect([stderr, code]).toEqual(["", 0]);
    },
  );

  test("refuses a pod on the node's network under the restricted Pod Security Standard", async () => {
    const { stderr } = await cluster.kubectl(["create", "--filename", "-"], JSON.stringify(await podOf(privileged)));
    expect(stderr).toMatch(/violates PodSecurity "restricted:latest": host namespaces/);
  });

  test("admits the pod of helm test under the restricted Pod Security Standard", async () => {
    const pod = objectsIn(await textOf("defaults")).find(({ kind }) => kind === "Pod")!;
    const restrictedPod = { ...pod, metadata: { ...pod.metadata, namespace: "restricted" } };
    expect(await cluster.run(["create", "--filename", "-"], JSON.stringify(restrictedPod))).toContain("created");
  });
});
