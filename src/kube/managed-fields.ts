import type { ManagedFieldsEntry } from "./resource.ts";

/** What one field manager owns of a Secret, by name; no values, which managedFields do not hold. */
export interface Owned {
  data: ReadonlySet<string>;
  labels: ReadonlySet<string>;
  annotations: ReadonlySet<string>;
  ownerReferenceUids: ReadonlySet<string>;
  type: boolean;
  immutable: boolean;
}

/** Names that are read of one map; a Secret of 1 MiB has room for fewer keys that are of any use. */
const mostNames = 20_000;

/**
 * What a field manager owns of a Secret.
 *
 * @param operation `Apply` for server-side apply, `Update` for anything else
 * @returns undefined where managedFields have no entry of it, or one that cannot be read
 */
export function ownedBy(
  managedFields: readonly ManagedFieldsEntry[] | undefined,
  manager: string,
  operation: "Apply" | "Update" = "Apply",
  subresource = "",
): Owned | undefined {
  const entry = (managedFields ?? []).find(
    (one) => one.manager === manager && one.operation === operation && (one.subresource ?? "") === subresource,
  );
  const fields = entry && fieldsOf(entry);
  return fields && ownedIn(fields);
}

/**
 * Entries for a cache: what is read of them, and their fields as JSON. As objects these take three times as much, most
 * of it for shapes that no two Secrets share, since a list item's key holds a uid.
 */
export function compact(managedFields: readonly ManagedFieldsEntry[]): ManagedFieldsEntry[] {
  return managedFields.map(({ apiVersion: _apiVersion, fieldsV1, ...rest }) => ({
    ...rest,
    ...(fieldsV1 === undefined ? {} : { fieldsV1: typeof fieldsV1 === "string" ? fieldsV1 : JSON.stringify(fieldsV1) }),
  }));
}

/** The fields of an entry that are keys of a Secret's data, as JSON; undefined where there are none. */
export function dataOf(entry: ManagedFieldsEntry): string | undefined {
  const data = child(fieldsOf(entry), "f:data");
  return data === undefined ? undefined : JSON.stringify({ "f:data": data });
}

/** Another field manager that owns keys of a Secret's data. */
export interface CoOwner {
  manager: string;
  operation: string;
  data: ReadonlySet<string>;
}

/** Everybody but one manager's apply who owns keys of a Secret's data. */
export function coOwners(managedFields: readonly ManagedFieldsEntry[] | undefined, manager: string): CoOwner[] {
  const others: CoOwner[] = [];
  for (const entry of managedFields ?? []) {
    const { manager: other = "", operation = "" } = entry;
    if (other === manager && operation === "Apply" && !entry.subresource) continue;
    const fields = fieldsOf(entry);
    if (!fields) continue;
    const { data } = ownedIn(fields);
    if (data.size > 0) others.push({ manager: other, operation, data });
  }
  return others;
}

/** The fields of an entry; undefined where they cannot be read. */
function fieldsOf({ fieldsType, fieldsV1 }: ManagedFieldsEntry): object | undefined {
  if (fieldsType !== "FieldsV1") return undefined;
  const fields = typeof fieldsV1 === "string" ? parsed(fieldsV1) : fieldsV1;
  return isRecord(fields) ? fields : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Reads the form FieldsV1: an object for each set, in which `f:NAME` is a field, `k:{"uid":"..."}` an item of a list
 * by its key, and `.` the object itself (sigs.k8s.io/structured-merge-diff, fieldpath/serialize.go).
 */
function ownedIn(fields: unknown): Owned {
  const metadata = child(fields, "f:metadata");
  return {
    data: namesIn(child(fields, "f:data")),
    labels: namesIn(child(metadata, "f:labels")),
    annotations: namesIn(child(metadata, "f:annotations")),
    ownerReferenceUids: uidsIn(child(metadata, "f:ownerReferences")),
    type: child(fields, "f:type") !== undefined,
    immutable: child(fields, "f:immutable") !== undefined,
  };
}

function namesIn(set: unknown): Set<string> {
  const names = new Set<string>();
  for (const entry of keysOf(set)) if (entry.startsWith("f:")) names.add(entry.slice(2));
  return names;
}

function uidsIn(set: unknown): Set<string> {
  const uids = new Set<string>();
  for (const entry of keysOf(set)) {
    const uid = entry.startsWith("k:") ? uidOf(entry.slice(2)) : undefined;
    if (uid !== undefined) uids.add(uid);
  }
  return uids;
}

/** The uid in a list item's key, `{"uid":"..."}`. */
function uidOf(key: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(key);
    const uid = child(parsed, "uid");
    return typeof uid === "string" ? uid : undefined;
  } catch {
    return undefined;
  }
}

function keysOf(set: unknown): string[] {
  return isRecord(set) ? Object.keys(set).slice(0, mostNames) : [];
}

function child(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
