import type { KubeObject, Resource } from "../resource.ts";
import type { Line } from "./lines.ts";
import { type Fault, faultOfStatus } from "./watch-fault.ts";

/** Why an object or line from the server was skipped. */
export type SkipCause = "too-long" | "bad-line" | "unknown-type" | "wrong-kind" | "bad-object";

/** One event of a watch, or why it was skipped. */
export type WatchEvent =
  | { type: "ADDED" | "MODIFIED" | "DELETED"; object: KubeObject }
  | { type: "BOOKMARK"; resourceVersion: string }
  | { type: "ERROR"; fault: Fault }
  | { type: "SKIPPED"; cause: SkipCause };

/** Parses one line of a watch on `resource`. Never throws, and keeps no part of an unusable line. */
export function parseEvent(line: Line, resource: Resource): WatchEvent {
  if (line.fault) return skipped(line.fault === "too-long" ? "too-long" : "bad-line");
  let parsed: unknown;
  try {
    parsed = JSON.parse(line.text);
  } catch {
    return skipped("bad-line"); // the parser's message quotes the line
  }
  if (!isRecord(parsed) || !isRecord(parsed.object)) return skipped("bad-line");
  const { type, object } = parsed;
  switch (type) {
    case "ERROR":
      return { type, fault: faultOfStatus(object) };
    case "BOOKMARK": {
      if (!isOfKind(object, resource)) return skipped("wrong-kind");
      const metadata = isRecord(object.metadata) ? object.metadata : {};
      const { resourceVersion } = metadata;
      if (!isText(resourceVersion)) return skipped("bad-object");
      return { type, resourceVersion };
    }
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
      if (!isOfKind(object, resource)) return skipped("wrong-kind");
      if (!isObjectOf(object, resource)) return skipped("bad-object");
      return { type, object };
    default:
      return skipped("unknown-type");
  }
}

/** Whether `object` has a name, a resourceVersion, and, for a namespaced resource, a namespace: a store needs these. */
export function isObjectOf(object: unknown, resource: Resource): object is KubeObject {
  if (!isRecord(object) || !isRecord(object.metadata)) return false;
  const { name, namespace, resourceVersion } = object.metadata;
  return isText(name) && isText(resourceVersion) && isText(namespace) === resource.namespaced;
}

/** Whether an object is of the requested kind, or PartialObjectMetadata. */
function isOfKind(object: Record<string, unknown>, resource: Resource): boolean {
  const { kind, apiVersion } = object;
  if (kind === "PartialObjectMetadata") return typeof apiVersion === "string" && apiVersion.startsWith("meta.k8s.io/");
  return kind === resource.kind && apiVersion === apiVersionOf(resource);
}

/** `group/version`, or the version alone for the core group. */
export function apiVersionOf(resource: Resource): string {
  return resource.group ? `${resource.group}/${resource.version}` : resource.version;
}

function skipped(cause: SkipCause): WatchEvent {
  return { type: "SKIPPED", cause };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
