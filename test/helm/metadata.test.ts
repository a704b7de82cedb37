import { readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { readKinds } from "../../scripts/crds.ts";
import { chart, deploymentOf, helm, render, root } from "./chart.ts";

interface Metadata {
  home: string;
  icon: string;
  sources: string[];
  maintainers: { name: string; url: string }[];
  appVersion: string;
  annotations: Record<string, string>;
}

const metadata = parse(readFileSync(join(chart, "Chart.yaml"), "utf8")) as Metadata;
/** An annotation of Artifact Hub whose text is YAML. */
const listOf = (name: string) => parse(metadata.annotations[`artifacthub.io/${name}`]!) as Record<string, unknown>[];
const examplesOf = (file: string) =>
  parseAllDocuments(readFileSync(join(root, "examples", file), "utf8")).map((document) => document.toJS() as unknown);

test("the chart names its home, sources, maintainers, and an icon that the repository has", () => {
  const { home, sources, maintainers, icon } = metadata;
  expect(sources).toEqual([home]);
  expect(maintainers).toEqual([{ name: expect.stringMatching(/./), url: home }]);
  const path = icon.replace("https://raw.githubusercontent.com/keyferry/keyferry/main/", "");
  expect(readFileSync(join(root, path), "utf8")).toMatch(/^<svg .*viewBox/);
});

test("Artifact Hub is told the image that the chart runs", async () => {
  const { image } = deploymentOf(await render({})).spec.template.spec.containers[0]!;
  expect(listOf("images")).toEqual([{ name: "keyferry", image, platforms: ["linux/amd64", "linux/arm64"] }]);
});

test("Artifact Hub is told every kind, with an example of each that is one of examples/", () => {
  const kinds = readKinds();
  const told = listOf("crds").map(({ kind, version, name }) => ({ kind, apiVersion: `keyferry.io/${version}`, name }));
  const own = kinds.map(({ kind, apiVersion, plural }) => ({ kind, apiVersion, name: `${plural}.keyferry.io` }));
  expect(told).toEqual(expect.arrayContaining(own));
  expect(told).toHaveLength(own.length);
  const examples = listOf("crdsExamples");
  expect(examples.map(({ kind }) => kind).sort()).toEqual(kinds.map(({ kind }) => kind).sort());
  const files = ["first.yaml", "connection-namespaced.yaml", "connection-default.yaml"];
  expect(files.flatMap(examplesOf)).toEqual(expect.arrayContaining(examples));
});

test("each change has a kind that Artifact Hub knows", () => {
  const known = /^(added|changed|deprecated|removed|fixed|security)$/;
  for (const change of listOf("changes")) {
    expect(change).toEqual({ kind: expect.stringMatching(known), description: expect.stringMatching(/^[A-Z]/) });
  }
});

test("each file of files/dashboards becomes a ConfigMap, and each of files/rules a part of the PrometheusRule", async () => {
  const dir = await mkdtemp(join(tmpdir(), "keyferry-dashboards-"));
  try {
    await cp(chart, dir, { recursive: true });
    await mkdir(join(dir, "files/dashboards"), { recursive: true });
    const dashboard = '{"title": "Fleet", "panels": ["{{ $labels.name }}"]}\n';
    await writeFile(join(dir, "files/dashboards/fleet.json"), dashboard);
    await writeFile(join(dir, "files/rules/more.yaml"), "groups: [{name: more, rules: []}]\n");
    const enabled = { enabled: true, force: true };
    const values = { metrics: { grafanaDashboard: { enabled: true }, prometheusRule: enabled } };
    const args = ["template", "keyferry", dir, "--show-only", "templates/monitoring.yaml", "--values", "-"];
    const { stdout } = await helm(args, JSON.stringify(values));
    const objects = parseAllDocuments(stdout).map((document) => document.toJS() as { kind: string });
    expect(objects).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          kind: "ConfigMap",
          metadata: expect.objectContaining({
            name: "keyferry-dashboard-fleet",
            labels: expect.objectContaining({ grafana_dashboard: "1" }),
          }),
          data: { "fleet.json": dashboard },
        }),
        expect.objectContaining({
          kind: "PrometheusRule",
          spec: {
            groups: expect.arrayContaining([
              { name: "more", rules: [] },
              expect.objectContaining({ name: "keyferry-recording" }),
            ]),
          },
        }),
      ]),
    );
  } finally {
    await rm(dir, { recursive: true });
  }
});
