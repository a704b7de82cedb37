import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { ValueSchema } from "../src/cli/schema.ts";

/** The part of an OpenAPI v3 schema that crds/ uses. */
export interface Schema extends ValueSchema<Schema> {
  type: "object" | "array" | "string" | "integer" | "boolean";
  description?: string;
  format?: string;
  "x-kubernetes-validations"?: { rule: string; message: string; messageExpression?: string; fieldPath?: string }[];
  "x-kubernetes-list-type"?: "map" | "set" | "atomic";
}

/** A kind of crds/, in its one version. */
export interface Kind {
  kind: string;
  /** `keyferry.io/v1alpha1`. */
  apiVersion: string;
  plural: string;
  shortNames: string[];
  namespaced: boolean;
  columns: { name: string; jsonPath: string }[];
  schema: Schema;
}

export const root = join(import.meta.dirname, "..");

/** Reads every kind of crds/, sorted by name. */
export function readKinds(): Kind[] {
  const folder = join(root, "crds");
  const files = readdirSync(folder).filter((file) => file.endsWith(".yaml"));
  const kinds = files.map((file) => kindOf(readFileSync(join(folder, file), "utf8")));
  return kinds.sort((a, b) => (a.kind < b.kind ? -1 : 1));
}

function kindOf(text: string): Kind {
  const { spec } = parse(text);
  const [version] = spec.versions;
  return {
    kind: spec.names.kind,
    apiVersion: `${spec.group}/${version.name}`,
    plural: spec.names.plural,
    shortNames: spec.names.shortNames,
    namespaced: spec.scope === "Namespaced",
    columns: version.additionalPrinterColumns,
    schema: version.schema.openAPIV3Schema,
  };
}
