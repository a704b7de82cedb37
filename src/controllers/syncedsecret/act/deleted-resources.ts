import type { SyncedSecret } from "../../../api/types.ts";
import { KubeError } from "../../../kube/errors.ts";
import type { Log } from "../../../runtime/log.ts";
import type { SecretView } from "../../secret-view.ts";
import { mergeManagerOf, targetOf } from "../plan/target.ts";
import type { SecretWriter } from "./write.ts";

export interface DeletedResourcesOptions {
  writer: Pick<SecretWriter, "release">;
  view: Pick<SecretView, "mergedBy">;
  log: Log;
  /** No Secret is written. */
  readOnly: boolean;
}

/** A deleted SyncedSecret, and Secrets outside the watch cache that may still hold keys that it merged. */
interface Gone {
  uid: string;
  namespace: string;
  names: Set<string>;
}

/** Garbage collection of keys that deleted SyncedSecrets merged into other owners' Secrets. */
export class DeletedResources {
  readonly #options: DeletedResourcesOptions;
  readonly #left = new Map<string, Gone[]>();

  constructor(options: DeletedResourcesOptions) {
    this.#options = options;
  }

  /**
   * Records a deleted SyncedSecret. Its last spec names one target. The status may name an earlier target, if the spec
   * changed just before the deletion. For Secrets in the watch cache, the field managers tell the owner.
   *
   * @param before the last state, with the last written status
   */
  note(key: string, before: SyncedSecret): void {
    const { uid, namespace, generation } = before.metadata;
    if (this.#options.readOnly || uid === undefined) return;
    const target = targetOf(before);
    const isMerge = target.policy === "Merge";
    const names = new Set(isMerge ? [target.name] : []);
    const last = before.status?.secretRef?.name;
    const hasMoved = before.status?.observedGeneration !== generation;
    if (last !== undefined && (isMerge || hasMoved)) names.add(last);
    this.#left.set(key, [...(this.#left.get(key) ?? []), { uid, namespace: namespace!, names }]);
  }

  /**
   * Removes the merged keys. A write that was under way at the deletion is over by now: the work queue never handles a
   * key twice at a time.
   *
   * @returns whether all keys are removed
   */
  async collect(key: string): Promise<boolean> {
    const { writer, view, log } = this.#options;
    for (const gone of [...(this.#left.get(key) ?? [])]) {
      try {
        const seen = [...view.mergedBy(gone.uid)].map((secret) => secret.slice(secret.indexOf("/") + 1));
        for (const name of new Set([...gone.names, ...seen])) {
          await writer.release(gone.namespace, name, mergeManagerOf(gone.uid));
        }
        const rest = (this.#left.get(key) ?? []).filter((other) => other !== gone);
        if (rest.length > 0) this.#left.set(key, rest);
        else this.#left.delete(key);
      } catch (error) {
        const message = error instanceof KubeError ? error.message : "unknown error";
        log.warn(
          { syncedSecret: key, error: message },
          "could not remove the keys of a deleted SyncedSecret, retrying",
        );
      }
    }
    return !this.#left.has(key);
  }
}
