import type { Clock } from "./clock.ts";

/** Limits of a TtlMap. */
export interface TtlMapOptions {
  clock: Pick<Clock, "monotonic">;
  /** Milliseconds for which an element is kept, unless `set` is given others. */
  ttlMs: number;
  /** Maximum number of elements: the oldest are dropped first. Default: no limit. */
  maxSize?: number;
}

/** A map whose elements expire. Expired elements at the front are dropped at each change, without a timer. */
export class TtlMap<K, V> {
  readonly #options: TtlMapOptions;
  /** In the order of `set`; `until` in monotonic milliseconds. */
  readonly #elements = new Map<K, { value: V; until: number }>();

  constructor(options: TtlMapOptions) {
    this.#options = options;
  }

  /** Number of elements, including expired ones that are not dropped yet. */
  get size(): number {
    return this.#elements.size;
  }

  get(key: K): V | undefined {
    const element = this.#elements.get(key);
    if (!element || element.until > this.#options.clock.monotonic()) return element?.value;
    this.#elements.delete(key);
    return undefined;
  }

  has(key: K): boolean {
    return this.get(key) !== undefined;
  }

  /** Sets a value, which becomes the youngest. */
  set(key: K, value: V, ttlMs = this.#options.ttlMs): void {
    const { clock, maxSize = Infinity } = this.#options;
    const now = clock.monotonic();
    this.#elements.delete(key);
    this.#elements.set(key, { value, until: now + ttlMs });
    for (const [old, { until }] of this.#elements) {
      if (until > now && this.#elements.size <= maxSize) break;
      this.#elements.delete(old);
    }
  }

  delete(key: K): void {
    this.#elements.delete(key);
  }

  /** The values that have not expired, the oldest first. */
  *values(): Iterable<V> {
    const now = this.#options.clock.monotonic();
    for (const { value, until } of this.#elements.values()) if (until > now) yield value;
  }
}
