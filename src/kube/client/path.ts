import { KubeError } from "../errors.ts";
import type { Resource } from "../resource.ts";

/**
 * The path of a collection or of one object in it.
 *
 * @param namespace undefined for a resource without namespaces, or for a list across all of them
 * @param name undefined for the collection
 * @throws KubeError `badRequest` for a name that would change the path: with an empty name, a delete would address the
 *   whole collection (client-go's rest.IsValidPathSegmentName)
 */
export function pathOf(resource: Resource, namespace?: string, name?: string, subresource?: string): string {
  const root = resource.group ? `/apis/${resource.group}/${resource.version}` : `/api/${resource.version}`;
  const scope = namespace === undefined ? "" : `/namespaces/${segment(namespace, resource)}`;
  const item = name === undefined ? "" : `/${segment(name, resource)}`;
  return `${root}${scope}/${resource.plural}${item}${subresource ? `/${subresource}` : ""}`;
}

/** As pathOf, for one object. The name is required, and for a namespaced resource the namespace. */
export function objectPathOf(
  resource: Resource,
  namespace: string | undefined,
  name: string | undefined,
  subresource?: string,
): string {
  const scope = resource.namespaced ? (namespace ?? "") : undefined;
  return pathOf(resource, scope, name ?? "", subresource);
}

/** The name of a request in messages: `PATCH secrets shop/checkout`. */
export function describe(method: string, resource: Resource, namespace?: string, name?: string): string {
  const object = [namespace, name].filter((part) => part !== undefined).join("/");
  return `${method} ${resource.plural}${object ? ` ${object}` : ""}`;
}

function segment(text: string, resource: Resource): string {
  if (text === "" || text === "." || text === ".." || /[/%]/.test(text)) {
    throw new KubeError("badRequest", `${resource.plural}: a name or namespace is empty or cannot be part of a path`);
  }
  return encodeURIComponent(text);
}

/** A query string with its question mark. Entries that are undefined, false or "" are omitted. */
export function queryOf(entries: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const query = Object.entries(entries)
    .filter(([, value]) => value !== undefined && value !== "" && value !== false)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`);
  return query.length > 0 ? `?${query.join("&")}` : "";
}
