import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** A JSON schema, as far as values.schema.json uses it. */
export interface JsonSchema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  deprecated?: true;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: boolean | JsonSchema;
  required?: string[];
  items?: JsonSchema;
  $ref?: string;
  definitions?: Record<string, JsonSchema>;
}

/** The prefix of the definitions that are made here. */
export const PREFIX = "k8s.";

const models = join(dirname(createRequire(import.meta.url).resolve("@kubernetes/client-node")), "gen/models");

/**
 * Closed schemas of the Kubernetes types that `schema` refers to as `#/definitions/k8s.NAME`, and of the types that these use,
 * sorted by name. They come from the declarations of the Kubernetes client: names of fields, their types, which are required.
 *
 * @throws Error for a type that the client does not declare
 */
export function podSchemasOf(schema: JsonSchema): Record<string, JsonSchema> {
  const made = new Map<string, JsonSchema>();
  const waiting = referredIn(schema);
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (made.has(name)) continue;
    const closed = closedSchema(name);
    made.set(name, closed);
    waiting.push(...referredIn(closed));
  }
  return Object.fromEntries([...made].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, s]) => [PREFIX + name, s]));
}

function referredIn(schema: JsonSchema): string[] {
  const references = JSON.stringify(schema).matchAll(/"#\/definitions\/k8s\.(\w+)"/g);
  return [...references].map((match) => match[1]!);
}

function closedSchema(name: string): JsonSchema {
  const text = readFileSync(join(models, `${name}.d.ts`), "utf8");
  const fields = text.matchAll(/^ {4}'_?(\w+)'(\??): ([^;{]+|\{[^}]*\});$/gm);
  const properties: Record<string, JsonSchema> = {};
  const required: string[] = [];
  for (const [, field, optional, type] of fields) {
    // Of a claim's metadata only what a person writes.
    if (name === "V1ObjectMeta" && field !== "labels" && field !== "annotations") continue;
    properties[field!] = schemaOf(type!.trim(), name);
    if (optional === "") required.push(field!);
  }
  const closed: JsonSchema = { type: "object", additionalProperties: false, properties };
  return required.length > 0 ? { ...closed, required } : closed;
}

/** Quantities may be numbers. */
const quantities = /^V1(Volume)?ResourceRequirements$/;

function schemaOf(type: string, owner: string): JsonSchema {
  const list = /^Array<(.+)>$/.exec(type);
  if (list) return { type: "array", items: schemaOf(list[1]!, owner) };
  if (type.startsWith("{")) {
    const values = quantities.test(owner) ? { type: ["string", "number"] } : { type: "string" };
    return { type: "object", additionalProperties: values };
  }
  if (/^(Core)?V1\w+$/.test(type)) return { $ref: `#/definitions/${PREFIX}${type}` };
  switch (type) {
    case "string":
    case "boolean":
      return { type };
    case "number":
      return { type: "integer" };
    case "IntOrString":
      return { type: ["integer", "string"] };
    default:
      throw new Error(`${owner} has a field of type ${type}, for which there is no schema`);
  }
}
