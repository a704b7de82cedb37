import { namespaceOf } from "../../runtime/fair-queue.ts";

/** Maximum number of watched Secrets, in total and per namespace. Each watch is a connection to the API server. */
const watchedAtMost = { ofAll: 200, ofNamespace: 10 };

/**
 * Watches each Secret with credentials individually, as the kubelet does. These Secrets do not carry our label, and a
 * watch of all Secrets would hold all of them in memory. Secrets above the limits are only checked once a minute.
 */
export class CredentialsWatch {
  readonly #watch: (namespace: string, name: string, signal: AbortSignal) => void;
  readonly #watched = new Map<string, AbortController>();

  /** @param watch watches the metadata of one Secret until the signal aborts */
  constructor(watch: (namespace: string, name: string, signal: AbortSignal) => void) {
    this.#watch = watch;
  }

  /** @param key of the Secret, namespace/name */
  begin(key: string): void {
    const namespace = namespaceOf(key);
    const ofNamespace = [...this.#watched.keys()].filter((other) => namespaceOf(other) === namespace).length;
    const { ofAll, ofNamespace: most } = watchedAtMost;
    if (this.#watched.has(key) || this.#watched.size >= ofAll || ofNamespace >= most) return;
    const stop = new AbortController();
    this.#watched.set(key, stop);
    this.#watch(namespace, key.slice(namespace.length + 1), stop.signal);
  }

  end(key: string): void {
    this.#watched.get(key)?.abort();
    this.#watched.delete(key);
  }
}
