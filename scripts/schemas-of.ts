import type { Kind, Schema } from "./crds.ts";

/** What of a schema is checked without an API server; the rest is descriptions, and rules in CEL. */
const kept = [
  "type",
  "enum",
  "required",
  "minimum",
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
  "maxProperties",
] as const;

/** The schemas of kinds as text: JSON by kind, of `spec` alone, on one line for each. */
export function schemasOf(kinds: readonly Kind[]): string {
  const lines = kinds.map(
    ({ kind, schema }) => `  ${kind}:\n    ${quoted(JSON.stringify(bare(schema.properties!.spec!)))},`,
  );
  return `export const schemas = {\n${lines.join("\n")}\n};\n`;
}

function bare(schema: Schema): object {
  const { properties, additionalProperties, items } = schema;
  const own = kept.filter((name) => schema[name] !== undefined).map((name) => [name, schema[name]]);
  return {
    ...Object.fromEntries(own),
    ...(properties
      ? { properties: Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, bare(one)])) }
      : {}),
    ...(additionalProperties ? { additionalProperties: bare(additionalProperties) } : {}),
    ...(items ? { items: bare(items) } : {}),
  };
}

/** JSON is full of double quotes; so the formatter wants single ones. */
function quoted(json: string): string {
  return `'${json.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
