import type { Kind, Schema } from "./crds.ts";

/** Columns that the formatter allows (biome.json). */
const width = 120;

/**
 * TypeScript interfaces of a kind: one for the kind, and one for every object in it, named by its path
 * (`SyncedSecretSpecDataParameter`).
 */
export function typesOf({ kind, apiVersion, schema }: Kind): string[] {
  const blocks: string[] = [];
  const lines = [`  apiVersion: ${JSON.stringify(apiVersion)};`, `  kind: ${JSON.stringify(kind)};`];
  lines.push("  metadata: ObjectMeta;");
  for (const name of ["spec", "status"]) {
    const property = schema.properties?.[name];
    if (property) lines.push(...member(name, property, schema.required, kind, blocks));
  }
  return [declaration(kind, schema, lines), ...blocks];
}

function declaration(name: string, schema: Schema, lines: string[]): string {
  return [...docstring(schema.description, ""), `export interface ${name} {`, ...lines, "}"].join("\n");
}

function member(name: string, schema: Schema, required: string[] = [], parent: string, blocks: string[]): string[] {
  const mark = required.includes(name) ? "" : "?";
  const type = typeOf(schema, parent + name.charAt(0).toUpperCase() + name.slice(1), blocks);
  return [...docstring(schema.description, "  "), `  ${name}${mark}: ${type};`];
}

function typeOf(schema: Schema, name: string, blocks: string[]): string {
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "string") return "string";
  if (schema.type === "integer") return "number";
  if (schema.type === "boolean") return "boolean";
  // One type for every kind: conditions.ts documents it.
  if (name.endsWith("StatusConditions")) return "Condition[]";
  if (schema.type === "array") {
    const item = typeOf(schema.items!, name, blocks);
    return item.includes("|") ? `(${item})[]` : `${item}[]`;
  }
  if (schema.additionalProperties) return `Record<string, ${typeOf(schema.additionalProperties, name, blocks)}>`;
  const inner: string[] = [];
  const lines = Object.entries(schema.properties ?? {}).flatMap(([key, property]) =>
    member(key, property, schema.required, name, inner),
  );
  blocks.push(declaration(name, schema, lines), ...inner);
  return name;
}

function docstring(description: string | undefined, indent: string): string[] {
  if (!description) return [];
  const text = description.replaceAll("*/", "*\\/");
  const one = `${indent}/** ${text} */`;
  if (one.length <= width) return [one];
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (indent.length + 2 + longer.length <= width) lines[lines.length - 1] = longer;
    else lines.push(` ${word}`);
  }
  return [`${indent}/**`, ...lines.map((line) => `${indent} *${line}`), `${indent} */`];
}
