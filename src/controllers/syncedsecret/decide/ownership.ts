import { annotationOf, annotations as names } from "../../../api/annotations.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import type { ObjectMeta, OwnerReference } from "../../../kube/resource.ts";
import { ownedBy } from "../../../kube/write/managed-fields.ts";
import { Failure } from "../../../runtime/failure.ts";
import type { Target } from "../plan/target.ts";

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
  const annotation = (key: string) => annotationOf(metadata.annotations, key);
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
