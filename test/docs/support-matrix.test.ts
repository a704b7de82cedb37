import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { root } from "../../scripts/crds.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { helm } from "../helm/chart.ts";
import { page, rowsBelow } from "./pages.ts";

const cluster = await sharedCluster();
const read = (file: string) => readFileSync(join(root, file), "utf8");
const manifest = JSON.parse(read("package.json")) as {
  engines: { node: string };
  devDependencies: Record<string, string>;
};
const rows = new Map(rowsBelow(page("docs/support-matrix.md"), "# Support matrix").map((cells) => [cells[0]!, cells]));
const cellsOf = (what: string) => rows.get(what)!.slice(1);

/** The version of a module that the control plane's go.mod pins, without its v. */
const pinned = (module: string) =>
  new RegExp(`\\t${module} v(\\S+)`).exec(read("test/cluster/controlplane/go.mod"))![1]!;

test("names the control plane of the tests, and the chart's oldest Kubernetes", () => {
  const [supported, tested] = cellsOf("Kubernetes");
  expect(tested).toContain(`${pinned("k8s.io/kubernetes")}: `);
  expect(tested).toContain(`etcd ${pinned("go.etcd.io/etcd/server/v3")} `);
  const { kubeVersion } = parse(read("helm/keyferry/Chart.yaml")) as { kubeVersion: string };
  expect(supported).toContain(`${/^>=(\d+\.\d+)\.0-0$/.exec(kubeVersion)![1]} or later`);
});

test("names the Helm and the kubectl of the tests", async () => {
  const { stdout } = await helm(["version", "--template", "{{.Version}}"]);
  expect(`v${cellsOf("Helm")[1]}`).toBe(stdout);
  const { clientVersion } = JSON.parse(await cluster.run(["version", "--client", "--output", "json"])) as {
    clientVersion: { gitVersion: string };
  };
  expect(`v${cellsOf("kubectl")[1]}`).toBe(clientVersion.gitVersion);
});

test("names the Node of the tests and the oldest for the command", () => {
  expect(cellsOf("Node, in the image")[1]).toBe(read(".node-version").trim());
  expect(`>=${cellsOf("Node, for the `keyferry` command")[0]}`).toBe(`${manifest.engines.node} or later`);
  expect(cellsOf("Node, for the `keyferry` command")[1]).toBe(manifest.devDependencies.node);
});

test("names the version of moto", () => {
  const [, moto] = /^moto==(.*)$/m.exec(read("test/emulator/requirements.txt"))!;
  expect(cellsOf("AWS")[1]).toContain(`moto ${moto} `);
});

test("names the versions that the Terraform module requires", () => {
  const versions = read("aws/terraform/versions.tf");
  const [supported] = cellsOf("Terraform, OpenTofu");
  expect(supported).toContain(`Terraform ${/required_version = ">= ([\d.]+)"/.exec(versions)![1]}`);
  expect(`${supported} `).toContain(`\`hashicorp/aws\` ${/ version = ">= (\d+)\.0"/.exec(versions)![1]} or later`);
});
