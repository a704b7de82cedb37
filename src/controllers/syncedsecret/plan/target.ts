import { fieldManager, labels as labelNames, annotations as names } from "../../../api/annotations.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import { keysDigest } from "./digest.ts";

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
  restartRevisionAnnotation: string;
  lastGoodAnnotation: string;
  heldBackAnnotation: string;
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
    restartRevisionAnnotation: names.restartRevision + mark,
    lastGoodAnnotation: names.lastGoodRevision + mark,
    heldBackAnnotation: names.heldBackRevision + mark,
  };
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
  /** The revision whose bytes differed last, with spec.rollout. */
  restartRevision?: string | undefined;
  /** With rollout.onFailure Revert: the last good revision, and what is held back, as annotations. */
  revertRecords?: Readonly<Record<string, string>>;
}

/** The complete Secret to apply. */
export function intent(resource: SyncedSecret, target: Target, contents: Contents) {
  const { data, revision, retained = new Set(), restartRevision, revertRecords } = contents;
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
        ...(restartRevision === undefined ? {} : { [target.restartRevisionAnnotation]: restartRevision }),
        ...revertRecords,
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
