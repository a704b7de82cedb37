import { annotations } from "../../../src/api/annotations.ts";
import type { SyncedSecret } from "../../../src/api/types.ts";
import { targetOf } from "../../../src/controllers/syncedsecret/plan/target.ts";
import type { KubeObject, ObjectMeta } from "../../../src/kube/resource.ts";

type Resource = SyncedSecret & KubeObject;

/** The SyncedSecret `shop/db`, which asks for rollouts. */
export function aSyncedSecret(status?: SyncedSecret["status"], rollout: object = { mode: "Auto" }): Resource {
  return {
    apiVersion: "keyferry.io/v1alpha1",
    kind: "SyncedSecret",
    metadata: { name: "db", namespace: "shop", uid: "uid-db", resourceVersion: "1", generation: 1 },
    spec: { rollout } as SyncedSecret["spec"],
    ...(status ? { status } : {}),
  };
}

/** The metadata of its Secret with this restart revision, last written at `time`. */
export function secretOf(resource: Resource, revision: string | undefined, time?: string): ObjectMeta {
  const { name, manager } = targetOf(resource);
  const set = {
    [annotations.revision]: "written",
    ...(revision === undefined ? {} : { [annotations.restartRevision]: revision }),
  };
  const fields = Object.fromEntries(Object.keys(set).map((key) => [`f:${key}`, {}]));
  return {
    ...{ name, namespace: "shop", annotations: set },
    ownerReferences: [{ ...ownerOf(resource), controller: true }],
    managedFields: [
      {
        ...{
          manager,
          operation: "Apply",
          fieldsType: "FieldsV1",
          fieldsV1: { "f:metadata": { "f:annotations": fields } },
        },
        ...(time === undefined ? {} : { time }),
      },
    ],
  };
}

function ownerOf({ apiVersion, kind, metadata: { name, uid } }: Resource) {
  return { apiVersion: apiVersion!, kind: kind!, name: name!, uid: uid! };
}
