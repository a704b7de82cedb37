import type { Kind, Schema } from "./crds.ts";

/** The keywords that are validated without an API server, unlike descriptions and CEL rules. */
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

/** JSON contains double quotes, so the formatter requires single quotes. */
function quoted(json: string): string {
  return `'${json.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
