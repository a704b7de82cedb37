import type { KubeClient } from "../client/client.ts";
import type { KubeObject, ObjectMeta, Resource } from "../resource.ts";

/**
 * Applies the status of an object, with the uid and resourceVersion that it was decided on as preconditions.
 *
 * @param decidedOn the object; only what identifies it is sent
 * @param status the whole status of this field manager
 * @returns the metadata after the write
 * @throws KubeError `conflict` if the object has changed since, `notFound` if it is gone
 */
export async function applyStatus(
  client: Pick<KubeClient, "apply">,
  resource: Resource,
  { apiVersion, kind, metadata }: KubeObject,
  { status, fieldManager }: { status: object; fieldManager: string },
): Promise<ObjectMeta> {
  const { namespace, name, uid, resourceVersion } = metadata;
  const object = { apiVersion, kind, metadata: { namespace, name, uid, resourceVersion }, status } as KubeObject;
  const options = { fieldManager, force: true, subresource: "status", metadataOnly: true } as const;
  return (await client.apply(resource, object, options)).metadata;
}
