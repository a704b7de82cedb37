import { LineCounter, parseAllDocuments } from "yaml";
import { apiVersion } from "../api/annotations.ts";
import type { AnyConnection } from "../api/any-connection.ts";
import type { SyncedSecret } from "../api/types.ts";
import { roleAnnotation } from "../aws/web-identity-denial.ts";
import { Failure } from "../runtime/failure.ts";
import { readText } from "./input.ts";
import { isKind, schemaProblems } from "./schema.ts";

/** The Keyferry objects in some files, and the problems of the unusable ones. */
export interface Manifests {
  syncedSecrets: SyncedSecret[];
  connections: AnyConnection[];
  /** By namespace/name: the role in the annotation of each ServiceAccount, which `auth.serviceAccountRef` may name. */
  roles: Map<string, string>;
  /** Lines for the user. The objects with problems are left out. */
  problems: string[];
}

/** How `render`, `policy` and `cost` receive manifests. */
export interface ManifestFlags {
  connection?: string[];
  namespace?: string;
}

/**
 * Reads a command's manifests.
 *
 * @param files standard input if empty
 * @throws Failure if a file cannot be read or is not YAML, or if there is no SyncedSecret
 */
export async function readManifests(files: readonly string[], flags: ManifestFlags): Promise<Manifests> {
  const named = [...(files.length === 0 ? ["-"] : files), ...(flags.connection ?? [])];
  const all: Manifests = { syncedSecrets: [], connections: [], roles: new Map(), problems: [] };
  // In sequence: one file may be `-`, and messages follow the order of the files.
  for (const file of named) {
    const found = manifestsIn(await readText(file), flags.namespace);
    if ("problem" in found) throw new Failure("InvalidData", "stalled", `${file} ${found.problem}`);
    all.syncedSecrets.push(...found.syncedSecrets);
    all.connections.push(...found.connections);
    for (const [account, role] of found.roles) all.roles.set(account, role);
    all.problems.push(...found.problems);
  }
  if (all.syncedSecrets.length + all.problems.length > 0) return all;
  throw new Failure("InvalidData", "stalled", `there is no SyncedSecret in ${named.join(", ")}`);
}

/**
 * Finds the Keyferry objects and the ServiceAccounts with roles in YAML documents or JSON, also within Lists. Others are skipped. Pure.
 *
 * @param namespace default for objects without a namespace
 * @returns a clause if the text is not YAML; the parser's own message may contain a value
 */
export function manifestsIn(text: string, namespace: string | undefined): Manifests | { problem: string } {
  const lines = new LineCounter();
  const found: Manifests = { syncedSecrets: [], connections: [], roles: new Map(), problems: [] };
  const documents = parseAllDocuments(text, { lineCounter: lines, logLevel: "silent" });
  for (const document of documents) {
    const at = document.errors[0]?.pos[0];
    if (at !== undefined) return { problem: `is not valid YAML: line ${lines.linePos(at).line}` };
    let object: unknown;
    try {
      object = document.toJS();
    } catch {
      return { problem: "is not valid YAML: it has too many aliases" };
    }
    for (const one of objectsOf(object)) take(one, namespace, found);
  }
  return found;
}

function objectsOf(object: unknown): Record<string, unknown>[] {
  if (!isObject(object)) return [];
  const isList = typeof object.kind === "string" && object.kind.endsWith("List") && Array.isArray(object.items);
  return isList ? (object.items as unknown[]).filter(isObject) : [object];
}

function take(object: Record<string, unknown>, namespace: string | undefined, found: Manifests): void {
  const { kind, spec = {} } = object;
  if (kind === "ServiceAccount" && object.apiVersion === "v1") return void takeRole(object, namespace, found);
  if (typeof object.apiVersion !== "string" || !object.apiVersion.startsWith("keyferry.io/")) return;
  if (!isKind(kind)) return void found.problems.push("an object of keyferry.io has an unknown kind");
  const metadata: Record<string, unknown> = isObject(object.metadata) ? object.metadata : {};
  const isOfCluster = kind === "ClusterAWSConnection";
  const own = isOfCluster ? undefined : (metadata.namespace ?? namespace);
  const name = typeof metadata.name === "string" && metadata.name !== "" ? metadata.name : undefined;
  const label = [kind, [own, name].filter((part) => typeof part === "string").join("/")].join(" ").trim();
  const problems: string[] = [];
  if (object.apiVersion !== apiVersion) problems.push(`apiVersion must be ${apiVersion}`);
  if (name === undefined) problems.push("metadata.name is required");
  if (!isOfCluster && typeof own !== "string")
    problems.push("metadata.namespace is required: name it, or give --namespace");
  problems.push(...schemaProblems(kind, spec));
  if (problems.length === 0 && kind === "SyncedSecret") problems.push(...sourceProblems(spec as SyncedSecret["spec"]));
  if (problems.length > 0) {
    found.problems.push(...problems.map((problem) => `${label}: ${problem}`));
    return;
  }
  const whole = {
    ...object,
    spec,
    metadata: { ...metadata, ...(isOfCluster ? {} : { namespace: own }) },
  };
  if (kind === "SyncedSecret") found.syncedSecrets.push(whole as unknown as SyncedSecret);
  else found.connections.push(whole as unknown as AnyConnection);
}

function takeRole({ metadata }: Record<string, unknown>, namespace: string | undefined, found: Manifests): void {
  if (!isObject(metadata) || !isObject(metadata.annotations)) return;
  const role = metadata.annotations[roleAnnotation];
  if (typeof role === "string") found.roles.set(`${metadata.namespace ?? namespace}/${metadata.name}`, role);
}

/** Checks CEL rules of the CRD that the operator's code relies on. */
function sourceProblems({ data = [], dataFrom = [] }: SyncedSecret["spec"]): string[] {
  const problems: string[] = [];
  const one = (at: string, entry: object, sources: readonly string[]) => {
    const given = sources.filter((source) => Object.hasOwn(entry, source));
    if (given.length !== 1)
      problems.push(`${at} must have one of ${sources.join(", ")}, and has ${given.join(", ") || "none"}`);
  };
  if (data.length + dataFrom.length === 0) problems.push("spec.data or spec.dataFrom is required");
  const keys = new Set<string>();
  for (const [index, entry] of data.entries()) {
    const at = `spec.data[${index}] (${entry.key})`;
    one(at, entry, ["parameter", "kms", "encryptionSDK"]);
    if (keys.has(entry.key)) problems.push(`${at} repeats the key of an earlier entry`);
    keys.add(entry.key);
  }
  for (const [index, entry] of dataFrom.entries()) {
    const at = `spec.dataFrom[${index}]`;
    one(at, entry, ["path", "parameter", "encryptionSDK"]);
    if ((entry.path === undefined) !== (entry.format !== undefined)) {
      problems.push(`${at}.format is ${entry.path ? "not for a path" : "required"}`);
    }
  }
  return problems;
}

/** A SyncedSecret's name in messages. */
export function nameOf({ metadata }: SyncedSecret): string {
  return `${metadata.namespace}/${metadata.name}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
