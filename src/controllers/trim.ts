import { annotationOf, fieldManager, labels as labelNames, annotations as names } from "../api/annotations.ts";
import type { SyncedSecret } from "../api/types.ts";
import type { KubeObject, ManagedFieldsEntry, ObjectMeta, OwnerReference } from "../kube/resource.ts";
import { compact, dataOf, ownedBy } from "../kube/write/managed-fields.ts";
import { markOf } from "./refresh-mark.ts";

/** Maximum characters kept of fields that anyone may have written. */
const longest = { foreignRecord: 4_096, name: 253, annotation: 1_024, retainedKeys: 16_384 };
/** Maximum number of entries kept of other field managers: they only show who edited a key. */
const mostForeign = 10;

/** Annotations that are read regardless of who set them. Under Merge the last three end with a uid. */
const read: readonly string[] = [names.adopt, names.allowMerge, names.orphanOf, names.ownerUid];
const marks: readonly string[] = [names.revision, names.keyDigest, names.retainedKeys];

/**
 * Keeps the fields of a SyncedSecret that decisions read: no foreign metadata, no managed fields, no last-applied copy.
 */
export function trimSyncedSecret(object: SyncedSecret & KubeObject): SyncedSecret & KubeObject {
  const { metadata, ...rest } = object;
  const { generation } = metadata;
  const asked = annotationOf(metadata.annotations, names.refresh);
  const approved = annotationOf(metadata.annotations, names.approve);
  const kept = {
    ...(asked === undefined ? {} : { [names.refresh]: markOf(asked) }),
    // A revision is shorter: a longer text names none.
    ...(approved === undefined || approved.length > longest.name ? {} : { [names.approve]: approved }),
  };
  return {
    ...rest,
    metadata: {
      ...identityOf(metadata),
      ...(generation === undefined ? {} : { generation }),
      ...(Object.keys(kept).length > 0 ? { annotations: kept } : {}),
    },
  } as SyncedSecret & KubeObject;
}

/** Keeps the metadata that `trimMetadata` keeps. A Secret's data is never requested. */
export function trimSecret(object: KubeObject): KubeObject {
  return { metadata: trimMetadata(object.metadata) };
}

/** Keeps a namespace's labels, which selectors read, and whether it is being deleted. */
export function trimNamespace(object: KubeObject): KubeObject {
  const { labels } = object.metadata;
  return { metadata: { ...identityOf(object.metadata), ...(labels ? { labels } : {}) } };
}

/**
 * Keeps the metadata that shows whether a Secret is intact, and who owns it. Foreign metadata, which can have 256 KiB
 * of annotations alone, is dropped.
 */
export function trimMetadata(metadata: ObjectMeta): ObjectMeta {
  const { managedFields, ownerReferences } = metadata;
  const ours = (managedFields ?? []).filter(isOurs);
  const owned = ours.map((entry) => ownedBy([entry], entry.manager!));
  const isOwned = (kind: "labels" | "annotations", key: string) => owned.some((fields) => fields?.[kind].has(key));
  const labels = pick(metadata.labels, (key) => key === labelNames.managed || isOwned("labels", key));
  const annotations = pick(metadata.annotations, (key, { length }) => {
    if (read.includes(key)) return length <= longest.annotation;
    if (isOwned("annotations", key)) return true;
    const mark = marks.find((one) => key === one || key.startsWith(`${one}-`));
    return mark !== undefined && length <= (mark === names.retainedKeys ? longest.retainedKeys : longest.annotation);
  });
  const controller = ownerReferences?.find((owner) => owner.controller);
  return {
    ...identityOf(metadata),
    ...(managedFields ? { managedFields: [...compact(ours), ...foreignOf(managedFields)] } : {}),
    ...(labels ? { labels } : {}),
    ...(annotations ? { annotations } : {}),
    ...(controller ? { ownerReferences: [ownerOf(controller)] } : {}),
  };
}

/** Whether an entry is an apply with one of our field managers. */
function isOurs({ manager, operation, subresource }: ManagedFieldsEntry): boolean {
  const isNamed = manager === fieldManager || (manager?.startsWith(`${fieldManager}-`) ?? false);
  return isNamed && operation === "Apply" && !subresource;
}

/** The data keys of other field managers, and the time of the last foreign write. */
function foreignOf(managedFields: readonly ManagedFieldsEntry[]): ManagedFieldsEntry[] {
  const kept: ManagedFieldsEntry[] = [];
  const others = managedFields.filter((entry) => !isOurs(entry));
  const times = others.map(({ time = "" }) => time).sort();
  // An apply that changes only the ownership is recorded without a time: the last write's time is then unknown.
  if (others.length > 0) kept.push(times[0] === "" ? {} : { time: times.at(-1)! });
  for (const entry of managedFields) {
    if (kept.length > mostForeign) break;
    if (isOurs(entry)) continue;
    const fieldsV1 = dataOf(entry);
    if (fieldsV1 === undefined || fieldsV1.length > longest.foreignRecord) continue;
    const { manager, operation, subresource, time } = entry;
    const named = Object.entries({ manager, operation, subresource, time }).filter(([, text]) => text !== undefined);
    const texts = Object.fromEntries(named.map(([key, text]) => [key, shortened(text!)]));
    kept.push({ ...texts, fieldsType: "FieldsV1", fieldsV1 });
  }
  return kept;
}

/** The fields that identify an object and its version. */
function identityOf({ name, namespace, uid, resourceVersion, deletionTimestamp }: ObjectMeta): ObjectMeta {
  const identity: ObjectMeta = {};
  if (name !== undefined) identity.name = name;
  if (namespace !== undefined) identity.namespace = namespace;
  if (uid !== undefined) identity.uid = uid;
  if (resourceVersion !== undefined) identity.resourceVersion = resourceVersion;
  if (deletionTimestamp !== undefined) identity.deletionTimestamp = deletionTimestamp;
  return identity;
}

/** The controller reference, shortened: anyone can set its name and uid to any length. */
function ownerOf({ apiVersion, kind, name, uid }: OwnerReference): OwnerReference {
  return {
    apiVersion: shortened(apiVersion),
    kind: shortened(kind),
    name: shortened(name),
    uid: shortened(uid),
    controller: true,
  };
}

/** A copy: a slice would keep the whole long text in memory. */
function shortened(text: string): string {
  return text.length <= longest.name ? text : Buffer.from(text.slice(0, longest.name)).toString();
}

function pick(
  all: Record<string, string> | undefined,
  isKept: (key: string, value: string) => boolean,
): Record<string, string> | undefined {
  const kept = Object.entries(all ?? {}).filter(([key, value]) => isKept(key, value));
  return kept.length > 0 ? Object.fromEntries(kept) : undefined;
}
