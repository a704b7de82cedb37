import type { Change } from "../kube/informer/store.ts";
import type { KubeObject } from "../kube/resource.ts";
import type { ServiceAccountName } from "../kube/service-account-tokens.ts";
import type { Reference } from "../parameters/read/reference.ts";
import type { Lane } from "../runtime/lane.ts";
import { Topic } from "../runtime/topic.ts";

/** What the parts of the operator tell each other. wiring.ts connects them. */
export function newTopics() {
  return {
    /** A SyncedSecret, namespace/name, must be reconciled: the observer has news of its sources. */
    sourcesChanged: new Topic<[key: string, lane: Lane]>(),
    /** A Secret has changed, and not by a write of this process. */
    secretChanged: new Topic<[change: Change<KubeObject>]>(),
    /** A poll has found a change of a reference that no event announced. */
    changeMissed: new Topic<[reference: Reference]>(),
    /** The factor by which a quota stretches polls has changed. */
    stretchChanged: new Topic<[where: { account: string; region: string }]>(),
    /** An identity has lost or gained the permission to see policies. */
    visibilityChanged: new Topic<[identityKey: string]>(),
    /** There is news of the KMS keys of SyncedSecrets. */
    keysChanged: new Topic<[users: readonly string[], lane: Lane]>(),
    /** A service in the region of a connection went down or answers again. */
    regionChanged: new Topic<[connectionKey: string]>(),
    /** The role of a ServiceAccount has changed, or has been read for the first time. */
    serviceAccountChanged: new Topic<[account: ServiceAccountName]>(),
    /** What a connection grants has changed. */
    grantsChanged: new Topic<[connectionKey: string]>(),
    /** The state of a connection's event queue has changed. */
    eventsChanged: new Topic<[connectionKey: string]>(),
  };
}

export type Topics = ReturnType<typeof newTopics>;
