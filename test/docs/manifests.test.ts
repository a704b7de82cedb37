import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { sharedCluster } from "../cluster/shared.ts";
import { chart, render } from "../helm/chart.ts";
import { type Block, blocksOf, pages } from "./pages.ts";

/** Every block of YAML in the pages goes where its reader would put it: to the API server, or into the chart. */

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}

const cluster = await sharedCluster();
const own = randomBytes(4).toString("hex");
/** The namespaces that stand for those of the pages, by page and name. */
const namespaces = new Map<string, string>();
const clusterWide: string[] = [];

afterAll(async () => {
  const kinds = clusterWide.map((name) => `clusterawsconnection/${name}`);
  if (kinds.length > 0) await cluster.run(["delete", "--wait=false", ...kinds]);
  if (namespaces.size > 0) await cluster.run(["delete", "namespace", "--wait=false", ...namespaces.values()]);
});

/** A namespace of the page's own, which stands for one that it names. */
async function standIn(page: string, name: string): Promise<string> {
  const key = `${page} ${name}`;
  const made = namespaces.get(key) ?? (await cluster.freshNamespace("docs"));
  namespaces.set(key, made);
  return made;
}

/** Kinds whose definitions are not here. */
const ofOthers = /\.toolkit\.fluxcd\.io\//;

const isManifest = (value: unknown): value is Manifest =>
  typeof value === "object" &&
  value !== null &&
  "apiVersion" in value &&
  "kind" in value &&
  !ofOthers.test(String(value.apiVersion));

/** Objects of the whole cluster get names of their own: other tests have a ClusterAWSConnection `default` too. */
async function placed(page: string, manifest: Manifest): Promise<Manifest> {
  const { metadata } = manifest;
  if (manifest.kind === "ClusterAWSConnection") {
    const name = `docs-${own}-${clusterWide.length}`;
    clusterWide.push(name);
    return { ...manifest, metadata: { ...metadata, name } };
  }
  if (manifest.kind === "Namespace")
    return { ...manifest, metadata: { ...metadata, name: await standIn(page, metadata.name) } };
  return { ...manifest, metadata: { ...metadata, namespace: await standIn(page, metadata.namespace ?? "default") } };
}

/** Applies an object as kubectl does, unknown fields being refused, and gives what is stored. */
async function applied(manifest: Manifest): Promise<Record<string, unknown>> {
  const args = [
    "apply",
    "--server-side",
    "--force-conflicts",
    "--validate=strict",
    "--output",
    "json",
    "--filename",
    "-",
  ];
  return JSON.parse(await cluster.run(args, JSON.stringify(manifest))) as Record<string, unknown>;
}

const values = new Set(
  Object.keys(
    (JSON.parse(readFileSync(join(chart, "values.schema.json"), "utf8")) as { properties: object }).properties,
  ),
);

/** What a document is: a manifest, values of the chart, or something else that need only be YAML. */
function kindOf(document: unknown): "manifest" | "values" | "other" {
  if (isManifest(document)) return "manifest";
  if (typeof document !== "object" || document === null || Array.isArray(document)) return "other";
  const keys = Object.keys(document);
  return keys.length > 0 && keys.every((key) => values.has(key)) ? "values" : "other";
}

function documentsOf({ text }: Block): unknown[] {
  const documents = parseAllDocuments(text, { uniqueKeys: true });
  if (!Array.isArray(documents)) return [];
  for (const { errors } of documents) expect(errors).toEqual([]);
  return documents.map((document) => document.toJS() as unknown);
}

/**
 * Blocks that are neither, by page: Prometheus' rules, its scrape configuration, and settings of Argo CD. Nothing else
 * may be there.
 */
const elsewhere = new Set(["docs/metrics.md", "docs/metrics-over-tls.md", "docs/gitops.md"]);

const blocks = pages.flatMap(blocksOf).filter(({ language }) => language === "yaml");

describe("the API server accepts YAML of a page:", () => {
  for (const block of blocks) {
    test(`block ${block.number} of ${block.page}`, async () => {
      const documents = documentsOf(block);
      expect(documents).not.toHaveLength(0);
      for (const document of documents) {
        const kind = kindOf(document);
        if (kind === "values") expect(await render(document as object)).not.toHaveLength(0);
        if (kind === "other") expect(elsewhere).toContain(block.page);
        if (kind !== "manifest") continue;
        const manifest = await placed(block.page, document as Manifest);
        expect(await applied(manifest)).toMatchObject(storedOf(manifest));
      }
    });
  }
});

/** As much of an object as is stored as it was sent: a Secret's stringData is not. */
function storedOf(manifest: Manifest): object {
  const { stringData: _sent, ...stored } = manifest as Manifest & { stringData?: object };
  return stored;
}

test("the pages contain every kind", () => {
  const kinds = blocks.flatMap((block) => documentsOf(block).filter(isManifest)).map(({ kind }) => kind);
  expect(kinds).toEqual(expect.arrayContaining(["SyncedSecret", "AWSConnection", "ClusterAWSConnection"]));
});
