import type { KubeClient } from "../client/client.ts";
import { KubeError } from "../errors.ts";
import { type KubeObject, type ManagedFieldsEntry, type ObjectMeta, secrets } from "../resource.ts";

/** The Secret to apply: the whole intent of the field manager, without a resourceVersion. */
export interface SecretIntent {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta & { namespace: string; name: string };
  type?: string;
  immutable?: boolean;
  /** Base64, by key. */
  data?: Record<string, string>;
}

/** The version of a Secret that a decision was made from. */
export interface SecretVersion {
  uid: string;
  resourceVersion: string;
}

/** The state that a decision was made from. */
export type Expected = { state: "absent" } | ({ state: "present" } & SecretVersion);

/** The Secret has changed since the decision: nothing was written. */
export interface LookAgain {
  outcome: "lookAgain";
}

/** The server's answer to a write, without the Secret's data. */
export interface Written {
  outcome: "written";
  uid: string;
  resourceVersion: string;
  managedFields: readonly ManagedFieldsEntry[];
  metadata: ObjectMeta;
}

/** Other field managers own fields of the intent, and `force` is false: nothing was written. */
export interface FieldConflict {
  outcome: "fieldConflict";
  conflicts: readonly { manager: string; field: string }[];
}

export interface ApplySecretOptions {
  object: SecretIntent;
  expect: Expected;
  fieldManager: string;
  /** Take over fields from other managers. Use only for a Secret that the operator manages. */
  force: boolean;
}

/**
 * A resourceVersion that no object ever has: etcd's revision is past 1 before the API server stores anything. With it,
 * an apply creates the Secret, or fails with a conflict if it exists, also with force. Without a version, the apply
 * would merge into somebody else's Secret.
 */
const neverMatching = "1";

/**
 * Adds the decision's version to the intent as a precondition, so that a stale or concurrent writer overwrites nothing.
 * With the uid alone, an older decision could overwrite a newer one.
 */
export function conditional(object: SecretIntent, expect: Expected): SecretIntent {
  const precondition =
    expect.state === "absent"
      ? { resourceVersion: neverMatching }
      : { resourceVersion: expect.resourceVersion, uid: expect.uid };
  return { ...object, metadata: { ...object.metadata, ...precondition } };
}

/**
 * Applies a Secret if it is unchanged since the decision.
 *
 * @throws KubeError for every failure except a changed Secret and a field manager conflict
 */
export async function applySecret(
  client: KubeClient,
  { object, expect, fieldManager, force }: ApplySecretOptions,
): Promise<Written | LookAgain | FieldConflict> {
  try {
    const options = { fieldManager, force, metadataOnly: true };
    return written(await client.apply<KubeObject>(secrets, conditional(object, expect), options));
  } catch (error) {
    return refusal(error, expect);
  }
}

/**
 * Removes the fields that a field manager owns in a Secret, by an empty apply. Fields that another manager owns too
 * stay.
 *
 * @throws KubeError for every failure except a changed Secret
 */
export async function removeFields(
  client: KubeClient,
  { namespace, name }: { namespace: string; name: string },
  version: SecretVersion,
  fieldManager: string,
): Promise<Written | LookAgain> {
  const object: SecretIntent = { apiVersion: "v1", kind: "Secret", metadata: { namespace, name } };
  const result = await applySecret(client, {
    object,
    expect: { state: "present", ...version },
    fieldManager,
    force: false,
  });
  // An empty apply cannot conflict with other managers.
  return result.outcome === "fieldConflict" ? { outcome: "lookAgain" } : result;
}

/**
 * Deletes a Secret if it is unchanged since the decision. A Secret that no longer exists counts as deleted.
 *
 * @throws KubeError for every failure except a changed Secret
 */
export async function deleteSecret(
  client: KubeClient,
  namespace: string,
  name: string,
  { uid, resourceVersion }: SecretVersion,
): Promise<{ outcome: "deleted" } | LookAgain> {
  try {
    await client.delete(secrets, namespace, name, { uid, resourceVersion, propagationPolicy: "Background" });
    return { outcome: "deleted" };
  } catch (error) {
    if (error instanceof KubeError && error.kind === "notFound") return { outcome: "deleted" };
    if (error instanceof KubeError && error.kind === "conflict") return { outcome: "lookAgain" };
    throw error;
  }
}

function written({ metadata }: KubeObject): Written {
  const { uid = "", resourceVersion = "", managedFields = [] } = metadata;
  return { outcome: "written", uid, resourceVersion, managedFields, metadata };
}

/**
 * Classifies a refused apply. A wrong uid is a 422 if the object exists, and a 409 if not. Without force, the server
 * checks field managers before the version: such a conflict on a Secret expected to be absent means that it exists.
 */
function refusal(error: unknown, { state }: Expected): LookAgain | FieldConflict {
  if (!(error instanceof KubeError)) throw error;
  if (error.kind === "fieldManagerConflict") {
    return state === "absent" ? { outcome: "lookAgain" } : { outcome: "fieldConflict", conflicts: error.conflicts };
  }
  const isOtherUid = error.kind === "invalid" && error.causes.some(({ field }) => field === "metadata.uid");
  if (error.kind === "conflict" || isOtherUid) return { outcome: "lookAgain" };
  throw error;
}
