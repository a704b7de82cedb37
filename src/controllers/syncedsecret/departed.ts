import type { SyncedSecret } from "../../api/types.ts";
import { KubeError } from "../../kube/errors.ts";
import type { Log } from "../../runtime/log.ts";
import { type Target, targetOf } from "./target.ts";
import type { SecretWriter } from "./write.ts";

export interface DepartedOptions {
  writer: Pick<SecretWriter, "sweep">;
  log: Log;
  /** No Secret is written. */
  readOnly: boolean;
}

/** What deleted SyncedSecrets merged into the Secrets of others, to be taken back when their key is worked on. */
export class Departed {
  readonly #options: DepartedOptions;
  readonly #left = new Map<string, Target[]>();

  constructor(options: DepartedOptions) {
    this.#options = options;
  }

  /** Notes what a deleted SyncedSecret leaves in somebody else's Secret. */
  note(key: string, before: SyncedSecret): void {
    const target = targetOf(before);
    if (target.policy !== "Merge" || this.#options.readOnly) return;
    this.#left.set(key, [...(this.#left.get(key) ?? []), target]);
  }

  /** @returns whether nothing is left to take back */
  async sweep(key: string): Promise<boolean> {
    const { writer, log } = this.#options;
    for (const target of [...(this.#left.get(key) ?? [])]) {
      try {
        await writer.sweep(target.namespace, target.name, target.manager);
        const rest = (this.#left.get(key) ?? []).filter((other) => other !== target);
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
