import type { AnyConnection } from "../../src/api/any-connection.ts";
import type { SyncedSecret } from "../../src/api/types.ts";
import { secretBound, syncedSecretBound } from "../../src/controllers/cache-bounds.ts";
import type { Engine } from "../../src/controllers/wiring.ts";
import type { Settings } from "../../src/controllers/worlds.ts";
import type { CacheBound } from "../../src/kube/informer/cache-bound.ts";
import { Store } from "../../src/kube/informer/store.ts";
import type { KubeObject } from "../../src/kube/resource.ts";

/** Empty watch caches for an engine. @param bytesPerNamespace the bound of a namespace; undefined for no bound */
export function newStores(bytesPerNamespace?: number) {
  const of = <T>(bound: CacheBound<T>) =>
    bytesPerNamespace === undefined ? undefined : { ...bound, bytesPerNamespace };
  return {
    syncedSecrets: new Store<SyncedSecret & KubeObject>(of(syncedSecretBound)),
    secrets: new Store<KubeObject>(of(secretBound)),
    connections: new Store<AnyConnection & KubeObject>(),
    clusterConnections: new Store<AnyConnection & KubeObject>(),
    namespaces: new Store<KubeObject>(),
  };
}

/** An engine's settings: the program's defaults, except for `part`. */
export function settingsWith(part: Partial<Settings> = {}): Settings {
  return {
    namespaces: [],
    readOnly: false,
    protectedNamespaces: new Set(),
    allowedTargetMetadata: [],
    missingGraceMs: 300_000,
    perObjectMetrics: false,
    maxConcurrentRollouts: 5,
    rolloutKinds: ["Deployment", "StatefulSet", "DaemonSet"],
    clusterName: "",
    instance: "test",
    ...part,
  };
}

/** Stops what an engine runs by timers, but does not wait for its receivers. */
export function stopTimers({ observer, outages, keys }: Engine): void {
  observer.stop();
  outages.stop();
  keys.stop();
}
