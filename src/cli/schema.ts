import { schemas } from "../api/schemas.ts";

/** The part of an OpenAPI v3 schema that limits values (apiextensions.k8s.io/v1, JSONSchemaProps). */
export interface ValueSchema<Self> {
  enum?: string[];
  required?: string[];
  properties?: Record<string, Self>;
  additionalProperties?: Self;
  items?: Self;
  minimum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
}

interface Schema extends ValueSchema<Schema> {
  type: string;
}

/** The supported kinds. */
export type KindName = keyof typeof schemas;

const parsed = new Map<KindName, Schema>();

/** Whether a text is a supported kind. */
export function isKind(kind: unknown): kind is KindName {
  return typeof kind === "string" && Object.hasOwn(schemas, kind);
}

/**
 * Reports where a spec violates its schema: types, fields, lengths, enums. CEL rules are not evaluated. Messages name
 * fields, and never repeat their values.
 */
export function schemaProblems(kind: KindName, spec: unknown): string[] {
  let schema = parsed.get(kind);
  if (!schema) {
    schema = JSON.parse(schemas[kind]) as Schema;
    parsed.set(kind, schema);
  }
  const problems: string[] = [];
  check(schema, spec, "spec", problems);
  return problems;
}

/** Maximum characters of a field's name in a message. */
const nameLength = 100;

function check(schema: Schema, value: unknown, at: string, problems: string[]): void {
  const wrong = (what: string) => {
    problems.push(`${at} ${what}`);
  };
  const type = typeOf(value);
  if (type !== schema.type) wrong(`must be ${withArticle(schema.type)}, and is ${withArticle(type)}`);
  else if (typeof value === "string") {
    const { length } = [...value];
    if (schema.enum && !schema.enum.includes(value)) wrong(`must be ${schema.enum.join(" or ")}`);
    if (length < (schema.minLength ?? 0)) wrong(`must have ${schema.minLength} characters at least`);
    if (length > (schema.maxLength ?? Infinity)) wrong(`must have ${schema.maxLength} characters at most`);
  } else if (typeof value === "number") {
    if (value < (schema.minimum ?? -Infinity)) wrong(`must be ${schema.minimum} at least`);
  } else if (Array.isArray(value)) {
    if (value.length < (schema.minItems ?? 0)) wrong(`must have ${schema.minItems} items at least`);
    if (value.length > (schema.maxItems ?? Infinity)) wrong(`must have ${schema.maxItems} items at most`);
    for (const [index, item] of value.entries()) check(schema.items!, item, `${at}[${index}]`, problems);
  } else if (type === "object") checkObject(schema, value as Record<string, unknown>, at, problems);
}

function checkObject(schema: Schema, value: Record<string, unknown>, at: string, problems: string[]): void {
  const { properties = {}, additionalProperties, required = [] } = schema;
  const fields = Object.entries(value);
  if (fields.length > (schema.maxProperties ?? Infinity)) {
    problems.push(`${at} must have ${schema.maxProperties} fields at most`);
  }
  for (const name of required) if (!Object.hasOwn(value, name)) problems.push(`${at}.${name} is required`);
  for (const [name, field] of fields) {
    const own = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    const where = `${at}.${name.slice(0, nameLength)}`;
    if (own) check(own, field, where, problems);
    // A selector's terms are defined by Kubernetes, and the schema may not list them.
    else if (schema.properties) problems.push(`${where} is an unknown field: correct its name or its place`);
  }
}

function typeOf(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

function withArticle(type: string): string {
  if (type === "null") return "empty";
  return type === "object" || type === "array" || type === "integer" ? `an ${type}` : `a ${type}`;
}
