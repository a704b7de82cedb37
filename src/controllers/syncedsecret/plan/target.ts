import { fieldManager, labels as labelNames, annotations as names } from "../../../api/annotations.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import { ownedBy } from "../../../kube/managed-fields.ts";
import type { ObjectMeta, OwnerReference } from "../../../kube/resource.ts";
import { Failure } from "../../../runtime/failure.ts";
import { keysDigest } from "../trust/revision.ts";

export type CreationPolicy = "Owner" | "Merge" | "Orphan";

/** The Secret that a SyncedSecret writes, with the field manager and annotations of its writes. */
export interface Target {
  namespace: string;
  name: string;
  policy: CreationPolicy;
  /** Field manager of the apply; under Merge it contains the uid, so that two writers do not undo each other. */
  manager: string;
  revisionAnnotation: string;
  keyDigestAnnotation: string;
  retainedKeysAnnotation: string;
}

/** The field manager of a SyncedSecret under Merge. */
export function mergeManagerOf(uid: string): string {
  return `${fieldManager}-${uid}`;
}

/** The target of a SyncedSecret; the name defaults to the SyncedSecret's. */
export function targetOf(resource: SyncedSecret): Target {
  const { metadata, spec } = resource;
  const policy = spec.target?.creationPolicy ?? "Owner";
  const mark = policy === "Merge" ? `-${metadata.uid}` : "";
  return {
    namespace: metadata.namespace!,
    name: spec.target?.name ?? metadata.name!,
    policy,
    manager: policy === "Merge" ? mergeManagerOf(metadata.uid!) : fieldManager,
    revisionAnnotation: names.revision + mark,
    keyDigestAnnotation: names.keyDigest + mark,
    retainedKeysAnnotation: names.retainedKeys + mark,
  };
}

/**
 * Who owns the Secret with the target's name:
 * - `absent`: the Secret does not exist;
 * - `ours`: made by this SyncedSecret; under Merge, a Secret that it may write into;
 * - `adoptable`: a person has annotated it for adoption;
 * - `passing`: owned by a deleted SyncedSecret of this name; the garbage collector has not deleted it yet;
 * - `foreign`: another owner's, never changed.
 */
export type Standing =
  | { state: "absent" }
  | { state: "ours" | "adoptable" | "passing"; metadata: ObjectMeta }
  | { state: "foreign"; metadata: ObjectMeta; why: string };

/**
 * Decides who owns a Secret. Ownership is the controller reference's uid, since tools copy labels and annotations. An
 * Orphan has no owner; it is ours if only our field manager owns the annotation with our uid.
 */
export function standing(resource: SyncedSecret, target: Target, metadata: ObjectMeta | undefined): Standing {
  if (!metadata) return { state: "absent" };
  const { uid, name } = resource.metadata;
  const controller = metadata.ownerReferences?.find((owner) => owner.controller);
  const annotation = (key: string) =>
    metadata.annotations && Object.hasOwn(metadata.annotations, key) ? metadata.annotations[key] : undefined;
  if (target.policy === "Merge") {
    if (annotation(names.allowMerge) === name) return { state: "ours", metadata };
    return { state: "foreign", metadata, why: `it does not carry the annotation ${names.allowMerge}: ${name}` };
  }
  if (controller?.uid === uid) return { state: "ours", metadata };
  // Without an owner reference the Secret is ours if only we have set the annotation with our uid: an Orphan, or a
  // Secret whose owner reference was removed. A client that can forge this can also set the annotation adopt.
  const wasMadeBy = (mark: string) =>
    annotation(mark) === uid && ownedBy(metadata.managedFields, target.manager)?.annotations.has(mark);
  if (!controller && (wasMadeBy(names.orphanOf) || wasMadeBy(names.ownerUid))) return { state: "ours", metadata };
  const isOfOurName = controller?.kind === "SyncedSecret" && controller.name === name;
  if (isOfOurName && controller.apiVersion.startsWith("keyferry.io/")) return { state: "passing", metadata };
  if (controller)
    return { state: "foreign", metadata, why: whyOf(controller, `${target.name} ${names.adopt}=${name}`) };
  if (annotation(names.adopt) === name) return { state: "adoptable", metadata };
  return {
    state: "foreign",
    metadata,
    why: `it was not made by this SyncedSecret: to hand it over, run kubectl annotate secret ${target.name} ${names.adopt}=${name}`,
  };
}

/** Who controls a Secret, and how to hand it over. An invalid kind or name is not repeated in the message. */
function whyOf({ kind, name }: OwnerReference, annotation: string): string {
  const isNamed = /^[A-Za-z0-9]{1,63}$/.test(kind) && /^[a-z0-9A-Z][-a-z0-9A-Z.:_]{0,252}$/.test(name);
  const whom = isNamed ? `${kind} ${name}` : "another object";
  if (kind === "SyncedSecret") return `its controller is ${whom}: use another target.name, or delete that SyncedSecret`;
  return `its controller is ${whom}: remove that owner reference, then run kubectl annotate secret ${annotation}`;
}

/** Why the target cannot be written at all. */
export function conflict(ownership: Standing, target: Target): Failure | undefined {
  if (ownership.state === "foreign") {
    return new Failure(
      "SecretConflict",
      "wait",
      `Secret ${target.name} is not ours and is not changed: ${ownership.why}`,
    );
  }
  if (ownership.state === "passing") {
    const message = `Secret ${target.name} belongs to a SyncedSecret of this name that was deleted: waiting for the garbage collector to delete it`;
    return new Failure("SecretConflict", "wait", message);
  }
  if (ownership.state === "absent" && target.policy === "Merge") {
    const message = `Secret ${target.name} does not exist: create it, since creationPolicy Merge only writes into an existing Secret`;
    return new Failure("SecretConflict", "wait", message);
  }
  return undefined;
}

/** The drift of a Secret from the last apply; `data` means edited or removed keys. */
export interface Damage {
  data: boolean;
  metadata: boolean;
  /** Whether our managedFields entry was removed. */
  unrecorded: boolean;
}

/**
 * Compares the managedFields of our Secret with the last apply, without values: an edit by another manager removes the
 * field from our set. A co-owner does not matter, since it has the same value.
 */
export function damage(resource: SyncedSecret, target: Target, metadata: ObjectMeta): Damage {
  const owned = ownedBy(metadata.managedFields, target.manager);
  if (!owned) return { data: true, metadata: true, unrecorded: true };
  const recorded = metadata.annotations?.[target.keyDigestAnnotation];
  const wanted = metadataOf(resource, target);
  const intact =
    Object.keys(wanted.labels).every((key) => owned.labels.has(key) && metadata.labels?.[key] === wanted.labels[key]) &&
    Object.keys(wanted.annotations).every(
      (key) =>
        // Earlier releases did not write this annotation; the next write adds it.
        key === names.ownerUid ||
        (owned.annotations.has(key) && metadata.annotations?.[key] === wanted.annotations[key]),
    ) &&
    owned.annotations.has(target.revisionAnnotation) &&
    owned.annotations.has(target.keyDigestAnnotation) &&
    (target.policy !== "Owner" || owned.ownerReferenceUids.has(resource.metadata.uid!));
  return { data: keysDigest(owned.data) !== recorded, metadata: !intact, unrecorded: false };
}

/** The metadata that we apply, without the revision and the digest of keys, which depend on the values. */
export function metadataOf(resource: SyncedSecret, target: Target) {
  const { spec, metadata } = resource;
  const mark = { Orphan: names.orphanOf, Owner: names.ownerUid, Merge: undefined }[target.policy];
  const owned: Record<string, string> = mark === undefined ? {} : { [mark]: metadata.uid! };
  return {
    labels: { ...spec.target?.labels, [labelNames.managed]: labelNames.managedValue } as Record<string, string>,
    annotations: { ...spec.target?.annotations, ...owned } as Record<string, string>,
  };
}

/** What a Secret is to hold. */
export interface Contents {
  data: ReadonlyMap<string, Uint8Array>;
  revision: string;
  /** Keys that no source produces any more; none when left out. */
  retained?: ReadonlySet<string>;
}

/** The complete Secret to apply. */
export function intent(resource: SyncedSecret, target: Target, { data, revision, retained = new Set() }: Contents) {
  const { spec, metadata } = resource;
  const { labels, annotations } = metadataOf(resource, target);
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      namespace: target.namespace,
      name: target.name,
      labels,
      annotations: {
        ...annotations,
        [target.revisionAnnotation]: revision,
        [target.keyDigestAnnotation]: keysDigest(data.keys()),
        ...(retained.size > 0 ? { [target.retainedKeysAnnotation]: JSON.stringify([...retained].sort()) } : {}),
      },
      ...(target.policy === "Owner"
        ? {
            ownerReferences: [
              {
                apiVersion: resource.apiVersion,
                kind: resource.kind,
                name: metadata.name!,
                uid: metadata.uid!,
                controller: true,
                blockOwnerDeletion: false,
              },
            ],
          }
        : {}),
    },
    ...(target.policy === "Merge" ? {} : { type: spec.target?.type ?? "Opaque" }),
    ...(spec.target?.immutable ? { immutable: true } : {}),
    data: Object.fromEntries([...data].map(([key, bytes]) => [key, Buffer.from(bytes).toString("base64")])),
  };
}
