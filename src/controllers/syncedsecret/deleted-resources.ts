import type { SyncedSecret } from "../../api/types.ts";
import { KubeError } from "../../kube/errors.ts";
import type { Log } from "../../runtime/log.ts";
import type { SecretView } from "../secret-view.ts";
import { mergeManagerOf, targetOf } from "./target.ts";
import type { SecretWriter } from "./write.ts";

export interface DeletedResourcesOptions {
  writer: Pick<SecretWriter, "release">;
  view: Pick<SecretView, "mergedBy">;
  log: Log;
  /** No Secret is written. */
  readOnly: boolean;
}

/** A SyncedSecret that is no more, and the Secrets that may still have what it merged into them, besides those in view. */
interface Gone {
  uid: string;
  namespace: string;
  names: Set<string>;
}

/** What deleted SyncedSecrets merged into the Secrets of others, to be taken back when their key is worked on. */
export class DeletedResources {
  readonly #options: DeletedResourcesOptions;
  readonly #left = new Map<string, Gone[]>();

  constructor(options: DeletedResourcesOptions) {
    this.#options = options;
  }

  /**
   * Notes a deleted SyncedSecret. Its last spec names one target; the status may name an earlier one, which a spec that
   * was changed just before had no time to leave; and the field managers say of what the watch shows whose it is.
   *
   * @param before as it was last, with the status that was last written to it
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
   * Takes back what is left. What was being written when the SyncedSecret was deleted has been written by now: a key is
   * worked on once at a time.
   *
   * @returns whether nothing is left to take back
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
        const said = error instanceof KubeError ? error.message : "unknown error";
        log.warn({ syncedSecret: key, error: said }, "keys could not be taken back; it is tried again");
      }
    }
    return !this.#left.has(key);
  }
}
