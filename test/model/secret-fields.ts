import type { ManagedFieldsEntry, ObjectMeta, OwnerReference } from "../../src/kube/resource.ts";

/** A Secret in the API server. */
export interface StoredSecret {
  apiVersion: "v1";
  kind: "Secret";
  metadata: ObjectMeta;
  type: string;
  data: Record<string, string>;
}

/** The fields that a writer sets in a Secret, by path: `data/KEY`, `annotations/NAME`, `type`, … */
export type Fields = Map<string, string>;

/** One entry of managedFields: the writer, its fields, the kind of request, and the time. */
export interface Ownership {
  manager: string;
  operation: "Apply" | "Update";
  /** RFC 3339, in seconds. */
  time: string;
  paths: Set<string>;
}

/** The fields that an object sets. */
export function fieldsOf(object: Partial<Omit<StoredSecret, "metadata">> & { metadata: ObjectMeta }): Fields {
  const { metadata, type, data = {} } = object;
  const fields: Fields = new Map();
  for (const [key, value] of Object.entries(data)) fields.set(`data/${key}`, value);
  for (const [key, value] of Object.entries(metadata.labels ?? {})) fields.set(`labels/${key}`, value);
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) fields.set(`annotations/${key}`, value);
  for (const owner of metadata.ownerReferences ?? []) fields.set(`owner/${owner.uid}`, JSON.stringify(owner));
  if (type !== undefined) fields.set("type", type);
  return fields;
}

/** The object with these fields, in addition to what the API server sets itself. */
export function objectOf(fields: Fields, own: ObjectMeta, owners: readonly Ownership[]): StoredSecret {
  const under = (prefix: string) => {
    const entries = [...fields].filter(([path]) => path.startsWith(`${prefix}/`));
    return Object.fromEntries(entries.map(([path, value]) => [path.slice(prefix.length + 1), value]));
  };
  const references = Object.values(under("owner")).map((text) => JSON.parse(text) as OwnerReference);
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      ...own,
      labels: under("labels"),
      annotations: under("annotations"),
      ...(references.length > 0 ? { ownerReferences: references } : {}),
      managedFields: owners.map(entryOf),
    },
    type: fields.get("type") ?? "Opaque",
    data: under("data"),
  };
}

/** The entry of managedFields in the format FieldsV1. */
function entryOf({ manager, operation, time, paths }: Ownership): ManagedFieldsEntry {
  const under = (prefix: string) =>
    Object.fromEntries(
      [...paths]
        .filter((path) => path.startsWith(`${prefix}/`))
        .map((path) => [`f:${path.slice(prefix.length + 1)}`, {}]),
    );
  const uids = [...paths].filter((path) => path.startsWith("owner/")).map((path) => path.slice("owner/".length));
  return {
    manager,
    operation,
    apiVersion: "v1",
    time,
    fieldsType: "FieldsV1",
    fieldsV1: {
      "f:data": under("data"),
      "f:metadata": {
        "f:labels": under("labels"),
        "f:annotations": under("annotations"),
        ...(uids.length > 0
          ? { "f:ownerReferences": Object.fromEntries(uids.map((uid) => [`k:${JSON.stringify({ uid })}`, {}])) }
          : {}),
      },
      ...(paths.has("type") ? { "f:type": {} } : {}),
    },
  };
}
