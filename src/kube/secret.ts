import type { KubeClient } from "./client.ts";
import { KubeError } from "./errors.ts";
import { type KubeObject, type ManagedFieldsEntry, type ObjectMeta, secrets } from "./resource.ts";

/** A Secret as it is applied: the whole intent of its field manager, without a resourceVersion. */
export interface SecretIntent {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta & { namespace: string; name: string };
  type?: string;
  immutable?: boolean;
  /** Base64, by key. */
  data?: Record<string, string>;
}

/** What was looked at when a write was decided on. */
export interface SecretVersion {
  uid: string;
  resourceVersion: string;
}

/** The state that a decision was made on. */
export type Expected = { state: "absent" } | ({ state: "present" } & SecretVersion);

/** The Secret is not, or no longer, what the decision was made on: nothing was written. */
export interface LookAgain {
  outcome: "lookAgain";
}

/** A Secret that was written, as the server answered, without its data. */
export interface Written {
  outcome: "written";
  uid: string;
  resourceVersion: string;
  managedFields: readonly ManagedFieldsEntry[];
  metadata: ObjectMeta;
}

/** Other field managers own fields of the intent, and force was off: nothing was written. */
export interface FieldConflict {
  outcome: "fieldConflict";
  conflicts: readonly { manager: string; field: string }[];
}

export interface ApplySecretOptions {
  object: SecretIntent;
  expect: Expected;
  fieldManager: string;
  /** Take fields over from other managers: only in a Secret of ours. */
  force: boolean;
}

/**
 * No object ever has it: versions count up from where etcd began, which is past it before the API server stores
 * anything. With it, an apply creates where nothing is and is a conflict where something is, also with force; without
 * a version it would merge into a stranger's Secret.
 */
const neverMatching = "1";

/**
 * What is sent for an intent: the intent on the version that was decided on, so that neither a stale writer nor a race
 * overwrites anything. The uid alone would let an older decision overwrite a newer one.
 */
export function conditional(object: SecretIntent, expect: Expected): SecretIntent {
  const precondition =
    expect.state === "absent"
      ? { resourceVersion: neverMatching }
      : { resourceVersion: expect.resourceVersion, uid: expect.uid };
  return { ...object, metadata: { ...object.metadata, ...precondition } };
}

/**
 * Applies a Secret, if it still is what was looked at.
 *
 * @throws KubeError for anything but a changed Secret and a conflict of field managers
 */
export async function applySecret(
  client: KubeClient,
  { object, expect, fieldManager, force }: ApplySecretOptions,
): Promise<Written | LookAgain | FieldConflict> {
  try {
    return written(await client.apply<KubeObject>(secrets, conditional(object, expect), { fieldManager, force }));
  } catch (error) {
    return refusal(error, expect);
  }
}

/**
 * Takes back what a field manager set in a Secret, by an apply that sets nothing. What another manager owns too stays.
 *
 * @throws KubeError for anything but a changed Secret
 */
export async function removeFields(
  client: KubeClient,
  namespace: string,
  name: string,
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
  // An apply that sets nothing has nothing to conflict over.
  return result.outcome === "fieldConflict" ? { outcome: "lookAgain" } : result;
}

/**
 * Deletes a Secret, if it still is what was looked at. One that is not there any more counts as deleted.
 *
 * @throws KubeError for anything but a changed Secret
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
 * Sorts a refused apply. A wrong uid is 422 on a live object, and 409 where there is none. Without force the server
 * reports a conflict of managers before it looks at the version, so that one where nothing was seen is news.
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
