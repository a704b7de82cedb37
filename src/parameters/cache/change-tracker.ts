import type { Entry } from "./cache-entry.ts";
import { isSameServed, isSameToDependents, lastingFailure, type Observed, observe } from "./observed.ts";

/** The trackers in use, by entry. Entries are tracked only while an answer is applied, so most have none. */
const inUse = new WeakMap<Entry, Set<ChangeTracker>>();

/**
 * Tells whether an entry has changed since the tracker was made. It keeps the original of each parameter that changes,
 * because versions also count changes that are reversed later, and a reversed change must not notify dependents.
 */
export class ChangeTracker {
  readonly #entry: Entry;
  readonly #version: number;
  readonly #servedVersion: number;
  readonly #failure: string;
  #originals: Map<string, Observed | undefined> | undefined;

  constructor(entry: Entry) {
    this.#entry = entry;
    this.#version = entry.version;
    this.#servedVersion = entry.servedVersion;
    this.#failure = lastingFailure(entry);
    const others = inUse.get(entry);
    if (others) others.add(this);
    else inUse.set(entry, new Set([this]));
  }

  /** Whether anything differs that dependents act on. */
  get hasChanged(): boolean {
    if (this.#entry.version === this.#version) return false;
    return this.#failure !== lastingFailure(this.#entry) || this.#some(isSameToDependents);
  }

  /** Whether AWS serves other versions than before. */
  get hasServedChanged(): boolean {
    return this.#entry.servedVersion !== this.#servedVersion && this.#some(isSameServed);
  }

  /** Keeps the original of a parameter that changes for the first time. */
  keep(name: string, original: Observed | undefined): void {
    this.#originals ??= new Map();
    if (!this.#originals.has(name)) this.#originals.set(name, original);
  }

  /** Ends the tracking. */
  end(): void {
    const trackers = inUse.get(this.#entry);
    if (trackers?.delete(this) && trackers.size === 0) inUse.delete(this.#entry);
  }

  #some(isSame: (a: Observed | undefined, b: Observed | undefined) => boolean): boolean {
    for (const [name, original] of this.#originals ?? []) {
      if (!isSame(original, observe(this.#entry, name))) return true;
    }
    return false;
  }
}

/** The trackers of an entry. */
export function trackersOf(entry: Entry): Iterable<ChangeTracker> {
  return inUse.get(entry) ?? [];
}
