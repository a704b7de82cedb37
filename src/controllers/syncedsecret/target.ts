import { fieldManager, labels as labelNames, annotations as names } from "../../api/annotations.ts";
import type { SyncedSecret } from "../../api/types.ts";
import { ownedBy } from "../../kube/managed-fields.ts";
import type { ObjectMeta, OwnerReference } from "../../kube/resource.ts";
import { Failure } from "../../runtime/failure.ts";
import { keysDigest } from "./revision.ts";

export type CreationPolicy = "Owner" | "Merge" | "Orphan";

/** The Secret that a SyncedSecret writes, and how it marks what it wrote. */
export interface Target {
  namespace: string;
  name: string;
  policy: CreationPolicy;
  /** Field manager of the apply; under Merge it carries the uid, so that two writers do not undo each other. */
  manager: string;
  revisionAnnotation: string;
  keyDigestAnnotation: string;
  retainedKeysAnnotation: string;
}

/** The field manager under which a SyncedSecret merges into the Secrets of others. */
export function mergeManagerOf(uid: string): string {
  return `${fieldManager}-${uid}`;
}

/** The target of a SyncedSecret, its own name where the spec names none. */
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
 * Whose the Secret under the target's name is:
 * - `absent`: nobody's;
 * - `ours`: made by this SyncedSecret; under Merge, one that it may write into;
 * - `adoptable`: a person handed it over;
 * - `passing`: its owner was an earlier SyncedSecret of this name, and the garbage collector has yet to take it;
 * - `foreign`: somebody else's, never touched.
 */
export type Standing =
  | { state: "absent" }
  | { state: "ours" | "adoptable" | "passing"; metadata: ObjectMeta }
  | { state: "foreign"; metadata: ObjectMeta; why: string };

/**
 * Decides whose a Secret is. Ownership is the controller reference's uid: labels and annotations are copied by tools.
 * An Orphan has no owner; it is ours where the field manager that wrote it, and nobody else, owns the mark with our uid.
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
  // Without an owner it is ours where we, and nobody else, have set the mark with our uid: an Orphan, or a Secret whose
  // owner reference was taken away. Whoever could forge that could set the annotation adopt as well.
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
    why: `it was not made by this SyncedSecret: kubectl annotate secret ${target.name} ${names.adopt}=${name} hands it over`,
  };
}

/** Who controls a Secret, and how it would be handed over. A name that is none is not repeated. */
function whyOf({ kind, name }: OwnerReference, annotation: string): string {
  const isNamed = /^[A-Za-z0-9]{1,63}$/.test(kind) && /^[a-z0-9A-Z][-a-z0-9A-Z.:_]{0,252}$/.test(name);
  const whom = isNamed ? `${kind} ${name}` : "another object";
  if (kind === "SyncedSecret") return `its controller is ${whom}: use another target.name, or delete that one`;
  return `its controller is ${whom}: remove that owner reference first, then kubectl annotate secret ${annotation}`;
}

/** What keeps the target from being written by us at all. */
export function conflict(whose: Standing, target: Target): Failure | undefined {
  if (whose.state === "foreign") {
    return new Failure(
      "SecretConflict",
      "wait",
      `Secret ${target.name} is not ours: ${whose.why}; it is left as it is`,
    );
  }
  if (whose.state === "passing") {
    const message = `Secret ${target.name} belongs to a SyncedSecret of this name that was deleted: waiting for the garbage collector to take it`;
    return new Failure("SecretConflict", "wait", message);
  }
  if (whose.state === "absent" && target.policy === "Merge") {
    const message = `Secret ${target.name} does not exist: creationPolicy Merge writes into a Secret that is there`;
    return new Failure("SecretConflict", "wait", message);
  }
  return undefined;
}

/** What is no longer as it was applied; `data` also where keys were edited or removed. */
export interface Damage {
  data: boolean;
  metadata: boolean;
  /** The server's record of who set what has been emptied. */
  unrecorded: boolean;
}

/**
 * Compares the managedFields of a Secret of ours with what was applied, without a value: an edit by another manager
 * takes a field out of our set. Who else owns a field does not matter: a co-owner has the same value.
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
        // Earlier releases did not write it; it comes with the next write.
        key === names.ownerUid ||
        (owned.annotations.has(key) && metadata.annotations?.[key] === wanted.annotations[key]),
    ) &&
    owned.annotations.has(target.revisionAnnotation) &&
    owned.annotations.has(target.keyDigestAnnotation) &&
    (target.policy !== "Owner" || owned.ownerReferenceUids.has(resource.metadata.uid!));
  return { data: keysDigest(owned.data) !== recorded, metadata: !intact, unrecorded: false };
}

/** The metadata that we apply, but for the revision and the digest of keys, which depend on what was read. */
export function metadataOf(resource: SyncedSecret, target: Target) {
  const { spec, metadata } = resource;
  const mark = { Orphan: names.orphanOf, Owner: names.ownerUid, Merge: undefined }[target.policy];
  const owned: Record<string, string> = mark === undefined ? {} : { [mark]: metadata.uid! };
  return {
    labels: { ...spec.target?.labels, [labelNames.managed]: labelNames.managedValue } as Record<string, string>,
    annotations: { ...spec.target?.annotations, ...owned } as Record<string, string>,
  };
}

/**
 * The whole Secret as it is applied.
 *
 * @param kept those of the keys that nothing makes any more
 */
export function intent(
  resource: SyncedSecret,
  target: Target,
  data: ReadonlyMap<string, Uint8Array>,
  revision: string,
  retained: ReadonlySet<string> = new Set(),
) {
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
