import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { templates } from "./stack.ts";

/** A template's text as objects, each short function as its long one. */
export interface Template {
  Parameters: Record<string, { Type: string; Default?: string; AllowedPattern?: string }>;
  Resources: Record<string, { Type: string; Condition?: string; Properties: Record<string, unknown> }>;
  Outputs: Record<string, { Value: unknown }>;
}

const functions = ["If", "Sub", "Equals", "Not", "And", "Or", "Join", "Select", "Split"];
const customTags = [
  ...functions.flatMap((name) => [
    { tag: `!${name}`, collection: "seq" as const, resolve: (seq: object) => seq },
    { tag: `!${name}`, resolve: (text: string) => `\${${name}} ${text}` },
  ]),
  { tag: "!Ref", resolve: (text: string) => `!Ref ${text}` },
  { tag: "!GetAtt", resolve: (text: string) => `!GetAtt ${text}` },
];

/** The text of a template of `templates`. */
export const text = (file: string) => readFileSync(join(templates, file), "utf8");

/** A template of `templates`, parsed. */
export const template = (file: string) => parse(text(file), { customTags } as never) as Template;
