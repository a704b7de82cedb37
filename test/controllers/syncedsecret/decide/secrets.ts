import { annotations, labels } from "../../../../src/api/annotations.ts";
import type { SyncedSecret } from "../../../../src/api/types.ts";
import { intent, type Target } from "../../../../src/controllers/syncedsecret/plan/target.ts";
import type { ManagedFieldsEntry, ObjectMeta } from "../../../../src/kube/resource.ts";

/** How a Secret of ours differs from one that was applied with the key `A`. */
export interface SecretParts {
  /** The keys that were applied; default `A`. */
  keys?: readonly string[];
  /** Of these, the keys that no source produced. */
  retained?: readonly string[];
  /** The text of the annotation that lists the retained keys, if someone has edited it. */
  retainedText?: string;
  /** Keys that `kubectl` has taken from us. */
  edited?: readonly string[];
  /** Keys that `kubectl` has added. */
  added?: readonly string[];
  /** Whether someone has removed our label. */
  unlabelled?: true;
  /** Whether someone has removed our managedFields entry. */
  unrecorded?: true;
  /** Whether someone has removed the owner reference. */
  unowned?: true;
  /** The spec that it was made from; default the current one. */
  spec?: SyncedSecret["spec"];
  /** The region that its parameters were read in; default the connection's. */
  region?: string;
  /** Its revision; default the one of its sources. */
  revision?: string;
  /** Annotations that a person has added. */
  annotations?: Readonly<Record<string, string>>;
}

/** The metadata of a Secret as our apply and later edits have left it. */
export function madeSecret(
  resource: SyncedSecret,
  target: Target,
  { keys = ["A"], retained = [], edited = [], added = [], revision = "", ...parts }: SecretParts,
): ObjectMeta {
  const data = new Map(keys.map((key) => [key, Buffer.from(key)]));
  const made = intent(resource, target, { data, revision, retained: new Set(retained) }).metadata;
  const { ownerReferences } = made as ObjectMeta;
  const own: ManagedFieldsEntry = {
    ...{ manager: target.manager, operation: "Apply", fieldsType: "FieldsV1" },
    fieldsV1: {
      "f:data": fields(keys.filter((key) => !edited.includes(key))),
      "f:metadata": {
        "f:labels": fields(Object.keys(made.labels)),
        "f:annotations": fields(Object.keys(made.annotations)),
        ...(ownerReferences && !parts.unowned
          ? { "f:ownerReferences": { [`k:{"uid":"${ownerReferences[0]!.uid}"}`]: {} } }
          : {}),
      },
    },
  };
  const others = [...edited, ...added];
  const kubectl: ManagedFieldsEntry = {
    ...{ manager: "kubectl-edit", operation: "Update", fieldsType: "FieldsV1" },
    fieldsV1: { "f:data": fields(others) },
  };
  const { [labels.managed]: _, ...withoutOurs } = made.labels;
  const merge = target.policy === "Merge" ? { [annotations.allowMerge]: resource.metadata.name! } : {};
  const text = parts.retainedText === undefined ? {} : { [target.retainedKeysAnnotation]: parts.retainedText };
  return {
    ...{ namespace: target.namespace, name: target.name, uid: "uid-2", resourceVersion: "7" },
    labels: parts.unlabelled ? withoutOurs : made.labels,
    annotations: { ...made.annotations, ...merge, ...text, ...parts.annotations },
    ...(ownerReferences && !parts.unowned ? { ownerReferences } : {}),
    managedFields: [...(parts.unrecorded ? [] : [own]), ...(others.length > 0 ? [kubectl] : [])],
  };
}

function fields(names: readonly string[]): Record<string, object> {
  return Object.fromEntries(names.map((name) => [`f:${name}`, {}]));
}
