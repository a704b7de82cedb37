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
export class MutationCache<T> {
  readonly #clock: Clock;
  readonly #notes = new Map<string, Note<T>>();
  /** What the cache showed when a write began, and since: the write's event may come before its answer. */
  readonly #underWay = new Map<string, (string | undefined)[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * To be called before a write.
   *
   * @param cached the version that the cache shows at this moment
   */
  begin(key: string, cached: string | undefined): void {
    this.#underWay.set(key, [cached]);
  }

  /**
   * Notes a write that has been answered.
   *
   * @param value what it made; undefined for a deletion
   * @param version the version that it made; undefined for a deletion
   * @param base the version that it was made upon, undefined where there was nothing
   * @returns false where the cache may show something newer already, and nothing is noted
   */
  note(key: string, value: T | undefined, version: string | undefined, base: string | undefined): boolean {
    const shown = this.#underWay.get(key) ?? [];
    this.#underWay.delete(key);
    this.#notes.delete(key);
    // Nothing lies between a write and its base: what was shown after either is the write, or newer.
    const at = shown.lastIndexOf(base);
    if (shown.includes(version) || (at >= 0 && at < shown.length - 1)) return true;
    if (at < 0 && shown.length > 1) return false;
    const now = this.#clock.monotonic();
    // What was made and deleted between two lists is never shown. Insertion order is the order of `until`.
    for (const [old, note] of this.#notes) {
      if (note.until > now) break;
      this.#notes.delete(old);
    }
    const until = now + noteCountsMs;
    this.#notes.set(key, { value, version, base, caughtUp: at >= 0, until });
    return true;
  }

  /** What was written under a key, if the cache has yet to show it. */
  get(key: string): { value: T | undefined } | undefined {
    const note = this.#notes.get(key);
    return note && note.until > this.#clock.monotonic() ? note : undefined;
  }

  /** Forgets a note: a write was refused, so the note is no better than the cache. */
  invalidate(key: string): void {
    this.#underWay.delete(key);
    this.#notes.delete(key);
  }

  /**
   * Takes a change that the watch shows.
   *
   * @param version of the object after it; undefined for a deletion
   * @returns what it is: our own write coming back, what came before that, or news; `unsure` where the watch has
   *   skipped so much that it may be either of the last two, and then nothing is noted any more
   */
  take(key: string, version: string | undefined): "ours" | "older" | "news" | "unsure" {
    this.#underWay.get(key)?.push(version);
    const note = this.#notes.get(key);
    if (!note) return "news";
    if (version === note.version) {
      this.#notes.delete(key);
      return "ours";
    }
    if (!note.caughtUp && version === note.base && note.until > this.#clock.monotonic()) {
      note.caughtUp = true;
      return "older";
    }
    this.#notes.delete(key);
    return note.caughtUp ? "news" : "unsure";
  }
}
