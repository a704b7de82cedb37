import { once } from "../../runtime/once.ts";
import type { ManagedFieldsEntry } from "../resource.ts";

/** The fields of a Secret that one field manager owns, by name. managedFields contain no values. */
export interface Owned {
  data: ReadonlySet<string>;
  labels: ReadonlySet<string>;
  annotations: ReadonlySet<string>;
  ownerReferenceUids: ReadonlySet<string>;
  type: boolean;
  immutable: boolean;
}

/** Maximum names read from one map: more than a Secret of 1 MiB can usefully have. */
const maxNames = 20_000;

/**
 * The fields of a Secret that a field manager owns.
 *
 * @param operation `Apply` for server-side apply, `Update` for anything else
 * @returns undefined if managedFields have no readable entry of this manager
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
 * Entries for a cache, with their fields as JSON. As objects they take three times the memory, mostly for hidden
 * classes that no two Secrets share, because a list item's key contains a uid.
 */
export function compact(managedFields: readonly ManagedFieldsEntry[]): ManagedFieldsEntry[] {
  return managedFields.map(({ apiVersion: _apiVersion, fieldsV1, ...rest }) => ({
    ...rest,
    ...(fieldsV1 === undefined ? {} : { fieldsV1: typeof fieldsV1 === "string" ? fieldsV1 : JSON.stringify(fieldsV1) }),
  }));
}

/** The keys of a Secret's data in an entry, as JSON; undefined if there are none. */
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

/** All owners of keys of a Secret's data, except the `Apply` entry of `manager`. */
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

/** The fields of an entry; undefined if they cannot be parsed. */
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
 * Parses FieldsV1: an object for each set, in which `f:NAME` is a field, `k:{"uid":"..."}` a list item by its key, and
 * `.` the object itself (sigs.k8s.io/structured-merge-diff, fieldpath/serialize.go). Each set is read on first use, since
 * most callers use one.
 */
function ownedIn(fields: unknown): Owned {
  const metadata = child(fields, "f:metadata");
  const data = once(() => namesIn(child(fields, "f:data")));
  const labels = once(() => namesIn(child(metadata, "f:labels")));
  const annotations = once(() => namesIn(child(metadata, "f:annotations")));
  const uids = once(() => uidsIn(child(metadata, "f:ownerReferences")));
  return {
    get data() {
      return data();
    },
    get labels() {
      return labels();
    },
    get annotations() {
      return annotations();
    },
    get ownerReferenceUids() {
      return uids();
    },
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
  return isRecord(set) ? Object.keys(set).slice(0, maxNames) : [];
}

function child(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
