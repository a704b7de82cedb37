import type { SyncedSecret } from "../api/types.ts";
import { compact } from "../kube/managed-fields.ts";
import type { KubeObject } from "../kube/resource.ts";

/** kubectl's record of the last apply doubles an object's size, and nothing here reads it. */
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

/** Keeps of a SyncedSecret what decisions read: no record of who set what, no copy of itself. */
export function trimSyncedSecret(object: SyncedSecret & KubeObject): SyncedSecret & KubeObject {
  const { managedFields: _fields, ...metadata } = object.metadata;
  return { ...object, metadata: { ...metadata, ...ownAnnotations(metadata.annotations) } } as SyncedSecret & KubeObject;
}

/** Keeps of a Secret's metadata what tells whether it is intact. Its data was never asked for. */
export function trimSecret(object: KubeObject): KubeObject {
  const { managedFields, ...metadata } = object.metadata;
  return {
    metadata: {
      ...metadata,
      ...(managedFields ? { managedFields: compact(managedFields) } : {}),
      ...ownAnnotations(metadata.annotations),
    },
  };
}

function ownAnnotations(all: Record<string, string> | undefined): { annotations?: Record<string, string> } {
  if (!all || !Object.hasOwn(all, lastApplied)) return {};
  return { annotations: Object.fromEntries(Object.entries(all).filter(([key]) => key !== lastApplied)) };
}
