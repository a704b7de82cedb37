import { isMap, isScalar, parseDocument, type YAMLMap } from "yaml";
import type { JsonSchema } from "./pod-schemas-of.ts";

/** A value of the chart: a leaf of values.yaml, as far as the schema divides it. */
export interface ChartValue {
  /** `metrics.port`. */
  path: string;
  description: string;
  /** As JSON. */
  defaultValue: string;
}

/**
 * Copies the comments and defaults of values.yaml into the schema, which it changes, and lists the values in the order of the file.
 *
 * @param text values.yaml; each value has a comment of its own above it, or is one of a group that has one
 * @throws Error for a value without a comment, or one that the schema does not have
 */
export function describeValues(schema: JsonSchema, text: string): ChartValue[] {
  const { contents } = parseDocument(text);
  if (!isMap(contents)) throw new Error("values.yaml is not a map");
  return valuesIn(contents, schema, "");
}

function valuesIn(map: YAMLMap, schema: JsonSchema, prefix: string): ChartValue[] {
  return map.items.flatMap((pair, index) => {
    if (!isScalar(pair.key)) throw new Error(`a key under ${prefix} is not plain`);
    const name = String(pair.key.value);
    const path = `${prefix}${name}`;
    const comment = pair.key.commentBefore ?? (index === 0 ? map.commentBefore : undefined);
    const at = schema.properties?.[name];
    if (!at) throw new Error(`values.schema.json lacks ${path}`);
    if (!comment) throw new Error(`values.yaml has no comment above ${path}`);
    const description = oneLine(comment);
    at.description = description;
    if (isMap(pair.value) && at.properties) return valuesIn(pair.value, at, `${path}.`);
    const defaultValue = pair.value as { toJSON(): unknown };
    at.default = defaultValue.toJSON();
    return [{ path, description, defaultValue: JSON.stringify(at.default) }];
  });
}

/** A table of the values for a page in Markdown. */
export function tableOf(values: readonly ChartValue[]): string {
  const rows = values.map(
    ({ path, description, defaultValue }) => `| \`${path}\` | \`${cell(defaultValue)}\` | ${cell(description)} |`,
  );
  return ["| value | default | meaning |", "| --- | --- | --- |", ...rows].join("\n");
}

function oneLine(comment: string): string {
  return comment.trim().replaceAll(/\s*\n\s*/g, " ");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
