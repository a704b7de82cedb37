import type { Kind, Schema } from "./crds.ts";

/** Tables of a kind's fields in Markdown: one for spec and one for status, every field with its full path. */
export function referenceOf({ schema }: Kind): string {
  const parts = ["spec", "status"].map((name) => {
    const property = schema.properties![name]!;
    const rows = rowsOf(name, property, schema.required?.includes(name) ?? false).slice(1);
    return [
      `### ${name}`,
      "",
      property.description,
      "",
      "| field | type | what it does |",
      "| --- | --- | --- |",
      ...rows,
    ].join("\n");
  });
  return [...parts, ["### What is refused", "", ...refusalsOf("spec", schema.properties!.spec!)].join("\n")].join(
    "\n\n",
  );
}

/** The names that kubectl accepts, and the columns that it prints. */
export function namesOf({ plural, shortNames, apiVersion, namespaced, columns }: Kind): string {
  const scope = namespaced ? "belongs to a namespace" : "belongs to no namespace";
  const names = [plural, ...shortNames].map((name) => `\`${name}\``).join(" or ");
  const shown = columns.map(({ name, jsonPath }) => `${name} (\`${jsonPath}\`)`).join(", ");
  return [`\`${apiVersion}\`; ${scope}. kubectl calls it ${names}.`, "", `Columns: ${shown}.`].join("\n");
}

function rowsOf(path: string, schema: Schema, required: boolean): string[] {
  const what = cell(schema.description ?? "");
  const row = `| \`${path}\` | ${typeOf(schema)}${required ? ", required" : ""} | ${what} |`;
  return [row, ...childrenOf(path, schema).flatMap(([name, child, isRequired]) => rowsOf(name, child, isRequired))];
}

/** The nested fields of an object, or of a list's items. */
function childrenOf(path: string, schema: Schema): [path: string, schema: Schema, required: boolean][] {
  const holder = schema.items ?? schema;
  const inner = schema.items ? `${path}[]` : path;
  return Object.entries(holder.properties ?? {}).map(([name, child]) => [
    `${inner}.${name}`,
    child,
    holder.required?.includes(name) ?? false,
  ]);
}

function typeOf(schema: Schema): string {
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(", ");
  if (schema.format === "date-time") return "time";
  if (schema.items) return `list of ${schema.items.enum ? typeOf(schema.items) : `${schema.items.type}s`}`;
  if (schema.additionalProperties) return `map of ${schema.additionalProperties.type}s`;
  return schema.type;
}

function refusalsOf(path: string, schema: Schema): string[] {
  const own = (schema["x-kubernetes-validations"] ?? []).map(({ message }) => `- \`${path}\`: ${text(message)}`);
  const item = schema.items ? refusalsOf(`${path}[]`, schema.items) : [];
  const inner = Object.entries(schema.properties ?? {}).flatMap(([name, child]) =>
    refusalsOf(`${path}.${name}`, child),
  );
  return [...own, ...item, ...inner];
}

function cell(description: string): string {
  return text(description).replaceAll("|", "\\|");
}

/** Escapes Markdown markup. */
function text(plain: string): string {
  return plain.replaceAll("*", "\\*").replaceAll("_", "\\_").replaceAll("<", "&lt;");
}
