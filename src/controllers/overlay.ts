import type { Clock } from "../runtime/clock.ts";

interface Note<T> {
  value: T | undefined;
  /** The version that the write made; undefined for a deletion. */
  version: string | undefined;
  /** The version that it was made upon, undefined where there was nothing. */
  base: string | undefined;
  /** Whether the cache had come as far as `base`: the next change it shows is then this write, or a later one. */
  caughtUp: boolean;
  /** Monotonic milliseconds until which the note counts: a watch that lags longer is believed again. */
  until: number;
}

const noteCountsMs = 30_000;

/**
 * What this process has just written and the watch's cache has yet to show, so that the next decision rests on it.
 * Resource versions are opaque: they are only ever compared for equality.
 */
export class Overlay<T> {
  readonly #clock: Clock;
  readonly #notes = new Map<string, Note<T>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Notes a write.
   *
   * @param value what it made; undefined for a deletion
   * @param cached the version that the cache shows at this moment
   */
  note(
    key: string,
    value: T | undefined,
    versions: { version: string | undefined; base: string | undefined; cached: string | undefined },
  ): void {
    const { version, base, cached } = versions;
    const until = this.#clock.monotonic() + noteCountsMs;
    this.#notes.set(key, { value, version, base, caughtUp: cached === base, until });
  }

  /** What was written under a key, if the cache has yet to show it. */
  get(key: string): { value: T | undefined } | undefined {
    const note = this.#notes.get(key);
    return note && note.until > this.#clock.monotonic() ? note : undefined;
  }

  /** Forgets a note: a write was refused, so the note is no better than the cache. */
  doubt(key: string): void {
    this.#notes.delete(key);
  }

  /**
   * Takes a change that the watch shows.
   *
   * @param version of the object after it; undefined for a deletion
   * @returns whether it tells something new: our own write coming back, and what came before it, do not
   */
  isNews(key: string, version: string | undefined): boolean {
    const note = this.#notes.get(key);
    if (!note) return true;
    const isOurs = version === note.version;
    if (isOurs || note.caughtUp || note.until <= this.#clock.monotonic()) {
      this.#notes.delete(key);
      return !isOurs;
    }
    note.caughtUp = version === note.base;
    return false;
  }
}
