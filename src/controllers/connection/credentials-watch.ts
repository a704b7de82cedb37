import { namespaceOf } from "../../runtime/fair-queue.ts";

/** Secrets that are watched, of all namespaces and of one: each watch is a connection to the API server. */
const watchedAtMost = { ofAll: 200, ofNamespace: 10 };

/**
 * Watches the Secrets that hold connections' credentials, each by itself, as the kubelet does: they carry no label of
 * ours, and to watch all Secrets would cost the memory of all. Those beyond the bounds are looked at once a minute only.
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
