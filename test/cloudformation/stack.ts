import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Document } from "../../src/policy/document.ts";
import { motoPython } from "../emulator/venv.ts";

const run = promisify(execFile);

/** What came of a stack, each part by its logical id. */
export interface Stack {
  status: string;
  outputs: Record<string, string>;
  policies: Record<string, Document>;
  /** Policies by their ARNs. */
  roles: Record<string, { trust: { Statement: Record<string, unknown>[] }; policies: string[] }>;
  rules: Record<string, { pattern: Record<string, string[]>; targets: string[] }>;
  resources: string[];
}

/** The folder of the templates. */
export const templates = join(import.meta.dirname, "../../aws");

let stacks = 0;

/**
 * Creates a stack where moto makes what it can of it: all but policies of queues and topics.
 *
 * @param url the emulator's
 * @param file of `templates`
 */
export async function createStack(url: string, file: string, parameters: Record<string, string>): Promise<Stack> {
  stacks += 1;
  const script = join(import.meta.dirname, "stack.py");
  const args = [script, url, `keyferry-${stacks}`, join(templates, file), JSON.stringify(parameters)];
  return JSON.parse((await run(await motoPython(), args)).stdout) as Stack;
}
