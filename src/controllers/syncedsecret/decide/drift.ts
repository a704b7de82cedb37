import { annotations as names } from "../../../api/annotations.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import type { ObjectMeta } from "../../../kube/resource.ts";
import { ownedBy } from "../../../kube/write/managed-fields.ts";
import { keysDigest } from "../plan/digest.ts";
import { metadataOf, type Target } from "../plan/target.ts";
import { recordsIn } from "./revert-records.ts";

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
 *
 * @param owned our fields, for a caller that has parsed them already
 */
export function damage(
  resource: SyncedSecret,
  target: Target,
  metadata: ObjectMeta,
  owned = ownedBy(metadata.managedFields, target.manager),
): Damage {
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
    recordsIn(resource, target).every((name) => owned.annotations.has(name)) &&
    (target.policy !== "Owner" || owned.ownerReferenceUids.has(resource.metadata.uid!));
  return { data: keysDigest(owned.data) !== recorded, metadata: !intact, unrecorded: false };
}
