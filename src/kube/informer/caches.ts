import type { KubeObject } from "../resource.ts";
import type { Reflector } from "./reflector.ts";
import type { View } from "./store.ts";
import type { WatchProgress } from "./stuck-watch.ts";

/**
 * Combines the reflectors of one resource, one for each namespace. An operator installed for some namespaces may not
 * list across all namespaces.
 */
export class Caches<T extends KubeObject> implements View<T> {
  /** Resolves when all reflectors have synced. */
  readonly synced: Promise<void>;
  #reflectors: readonly Reflector<T>[];

  constructor(reflectors: readonly Reflector<T>[]) {
    this.#reflectors = reflectors;
    this.synced = Promise.all(reflectors.map((reflector) => reflector.synced)).then(() => {});
  }

  /** Whether all reflectors have synced. */
  get hasSynced(): boolean {
    return this.#reflectors.every((reflector) => reflector.hasSynced);
  }

  /** The last step of each reflector. */
  get progress(): WatchProgress[] {
    return this.#reflectors.map((reflector) => reflector.progress);
  }

  /** Runs all reflectors until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.run(signal)));
  }

  get(key: string): T | undefined {
    for (const { store } of this.#reflectors) {
      const object = store.get(key);
      if (object) return object;
    }
    return undefined;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  *keys(): Generator<string> {
    for (const { store } of this.#reflectors) yield* store.keys();
  }

  *values(): Generator<T> {
    for (const { store } of this.#reflectors) yield* store.values();
  }

  get size(): number {
    return this.#reflectors.reduce((sum, { store }) => sum + store.size, 0);
  }
}
