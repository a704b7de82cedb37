// Describes the chart's values in one place, values.yaml: copies its comments and defaults into values.schema.json, and lists
// them in the chart's README.md. Also writes the schema's definitions of Kubernetes types. With --check it only compares, and
// exits with 1 if a file differs.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./crds.ts";
import { settle } from "./generated.ts";
import { between } from "./markers.ts";
import { type JsonSchema, PREFIX, podSchemasOf } from "./pod-schemas-of.ts";
import { describeValues, tableOf } from "./values-of.ts";

const [schemaPath, readmePath] = ["helm/keyferry/values.schema.json", "helm/keyferry/README.md"];
const read = (path: string) => readFileSync(join(root, path), "utf8");

const { definitions = {}, ...schema } = JSON.parse(read(schemaPath)) as JsonSchema;
const values = describeValues(schema, read("helm/keyferry/values.yaml"));
const own = Object.fromEntries(Object.entries(definitions).filter(([name]) => !name.startsWith(PREFIX)));
const complete = { ...schema, definitions: { ...own, ...podSchemasOf({ ...schema, definitions: own }) } };

const files = new Map([
  [schemaPath, formatted(JSON.stringify(complete, undefined, 2))],
  [readmePath, between({ page: read(readmePath), path: readmePath, source: "values.yaml" }, "values", tableOf(values))],
]);
settle(files, "scripts/chart-values.ts");

function formatted(json: string): string {
  const biome = join(root, "node_modules/.bin/biome");
  return execFileSync(biome, ["format", "--stdin-file-path=values.schema.json"], { input: json, encoding: "utf8" });
}
