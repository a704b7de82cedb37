import type { SyncedSecret } from "../api/types.ts";
import type { CacheBound } from "../kube/informer/cache-bound.ts";
import type { KubeObject } from "../kube/resource.ts";

/** Room for about 10,000 Secrets in each namespace. */
export const secretBound: CacheBound<KubeObject> = {
  bytesPerNamespace: 16 * 2 ** 20,
  cut: ({ metadata: { name, namespace, uid, resourceVersion } }) => ({
    metadata: {
      ...(name && { name }),
      ...(namespace && { namespace }),
      ...(uid && { uid }),
      ...(resourceVersion && { resourceVersion }),
    },
  }),
};

/** Room for about 10,000 SyncedSecrets with parameters in each namespace, or 16 with a megabyte of ciphertext each. */
export const syncedSecretBound: CacheBound<SyncedSecret & KubeObject> = {
  bytesPerNamespace: 16 * 2 ** 20,
  cut: (object) => {
    const { connectionRef, suspend, refresh, target, rollout } = object.spec ?? {};
    const { name, creationPolicy } = target ?? {};
    const { secretRef, observedGeneration, conditions = [] } = object.status ?? {};
    const ready = conditions.filter(({ type }) => type === "Ready").map((condition) => ({ ...condition, message: "" }));
    return {
      ...(object.apiVersion === undefined ? {} : { apiVersion: object.apiVersion }),
      ...(object.kind === undefined ? {} : { kind: object.kind }),
      metadata: object.metadata,
      spec: JSON.parse(JSON.stringify({ connectionRef, suspend, refresh, rollout, target: { name, creationPolicy } })),
      ...(object.status
        ? { status: JSON.parse(JSON.stringify({ secretRef, observedGeneration, conditions: ready })) }
        : {}),
    } as SyncedSecret & KubeObject;
  },
};
