import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { root } from "../../scripts/crds.ts";
import type { SyncedSecret } from "../../src/api/types.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { dryRunner, type Manifest } from "./dry-run.ts";

const dryRun = dryRunner(await sharedCluster());

/** The objects of our kinds in a text of YAML documents, moved to a namespace that exists. */
function objectsIn(text: string): Manifest[] {
  const objects = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
  return objects
    .filter(({ apiVersion }) => apiVersion.startsWith("keyferry.io/"))
    .map((object) => ({ ...object, metadata: { ...object.metadata, namespace: "default" } }));
}

async function expectAccepted(text: string): Promise<void> {
  const objects = objectsIn(text);
  expect(objects).not.toHaveLength(0);
  for (const object of objects) expect(await dryRun(object)).toEqual({ accepted: true });
}

const read = (folder: string, ending: string) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith(ending))
    .map((file) => [file, readFileSync(join(root, folder, file), "utf8")] as const);

const manifests = read("examples", ".yaml").filter(([file]) => file !== "parameters.yaml");

describe("the API server accepts", () => {
  for (const [file, text] of manifests) test(`examples/${file}`, () => expectAccepted(text));
});

test("examples/README.md names every example", () => {
  const readme = readFileSync(join(root, "examples/README.md"), "utf8");
  for (const [file] of read("examples", ".yaml")) expect(readme).toContain(`(${file})`);
});

test("examples/parameters.yaml has the required parameters of first.yaml and checkout.yaml", () => {
  const texts = new Map(read("examples", ".yaml"));
  const given = new Set((parse(texts.get("parameters.yaml")!) as { name: string }[]).map(({ name }) => name));
  const specs = ["first.yaml", "checkout.yaml"].flatMap((file) => objectsIn(texts.get(file)!)).map(({ spec }) => spec);
  const entries = specs.flatMap((spec) => (spec as SyncedSecret["spec"]).data ?? []);
  const needed = entries.filter((entry) => !entry.optional && entry.default === undefined);
  expect(needed.length).toBeGreaterThan(3);
  expect(needed.map((entry) => entry.parameter!.name).filter((name) => !given.has(name))).toEqual([]);
});
