import { rolloutOf } from "../../api/rollout-status.ts";
import type { SyncedSecret } from "../../api/types.ts";
import { isCut } from "../../kube/informer/cache-bound.ts";
import type { Change } from "../../kube/informer/store.ts";
import type { KubeObject } from "../../kube/resource.ts";
import { namespaceOf } from "../../runtime/fair-queue.ts";
import { isSame } from "../conditions.ts";
import { targetOf } from "../syncedsecret/plan/target.ts";
import { asksForRollout } from "./decide/request.ts";

type Resource = SyncedSecret & KubeObject;

/** The SyncedSecrets that ask for rollouts, or whose status still tells of one, by namespace. */
export class Requests {
  readonly #byNamespace = new Map<string, Set<string>>();

  /** Takes a change of a SyncedSecret. @returns whether its namespace must be looked at */
  changed({ key, before, after }: Change<Resource>): boolean {
    const namespace = namespaceOf(key);
    const keys = this.#byNamespace.get(namespace) ?? new Set<string>();
    const wasKnown = keys.has(key);
    if (after && isConcerned(after)) this.#byNamespace.set(namespace, keys.add(key));
    else if (!after) this.forget(key);
    if (!wasKnown && !keys.has(key)) return false;
    // A change of the status alone is our own, or is mended by the next look.
    return !before || !after || before.metadata.generation !== after.metadata.generation;
  }

  /** Drops a SyncedSecret that no longer asks for rollouts. */
  forget(key: string): void {
    const keys = this.#byNamespace.get(namespaceOf(key));
    keys?.delete(key);
    if (keys?.size === 0) this.#byNamespace.delete(namespaceOf(key));
  }

  /** The keys in a namespace. */
  in(namespace: string): readonly string[] {
    return [...(this.#byNamespace.get(namespace) ?? [])];
  }

  get namespaces(): readonly string[] {
    return [...this.#byNamespace.keys()];
  }
}

function isConcerned(resource: Resource): boolean {
  return asksForRollout(resource) || rolloutOf(resource.status ?? {}).conditions.length > 0;
}

/** Whether a change of a Secret concerns a SyncedSecret: its target was created, deleted or applied. */
export function concernsTarget({ before, after }: Change<KubeObject>, resource: SyncedSecret): boolean {
  const { name } = (after ?? before)!.metadata;
  if (targetOf(resource).name !== name) return false;
  // The cache has no room for the annotations of a cut object.
  return isCut(after) || !isSame(before?.metadata.annotations, after?.metadata.annotations);
}
