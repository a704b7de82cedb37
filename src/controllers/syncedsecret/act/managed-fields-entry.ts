import { annotations, labels } from "../../../api/annotations.ts";
import type { ManagedFieldsEntry, ObjectMeta } from "../../../kube/resource.ts";

/**
 * The managedFields entry of an apply that sets these keys and all our metadata, in the form FieldsV1
 * (sigs.k8s.io/structured-merge-diff, fieldpath/serialize.go).
 */
export function recordOf(manager: string, keys: readonly string[], metadata: ObjectMeta): ManagedFieldsEntry {
  const owners = (metadata.ownerReferences ?? []).filter(({ kind }) => kind === "SyncedSecret");
  const own = (map: Record<string, string> | undefined, prefix: string) =>
    Object.keys(map ?? {}).filter((key) => key.startsWith(prefix));
  const marks = own(metadata.annotations, annotations.prefix);
  return {
    manager,
    operation: "Apply",
    apiVersion: "v1",
    fieldsType: "FieldsV1",
    fieldsV1: {
      "f:data": fieldsOf(keys),
      "f:metadata": {
        "f:annotations": fieldsOf(marks.filter((key) => key !== annotations.adopt && key !== annotations.allowMerge)),
        "f:labels": fieldsOf(own(metadata.labels, labels.managed)),
        ...(owners.length > 0
          ? { "f:ownerReferences": Object.fromEntries(owners.map(({ uid }) => [`k:${JSON.stringify({ uid })}`, {}])) }
          : {}),
      },
      "f:type": {},
    },
  };
}

function fieldsOf(keys: readonly string[]): Record<string, object> {
  return Object.fromEntries(keys.map((key) => [`f:${key}`, {}]));
}
