import type { Clock } from "../runtime/clock.ts";

interface Note<T> {
  value: T | undefined;
  /** The version that the write created; undefined for a deletion. */
  version: string | undefined;
  /** The version before the write; undefined if there was no object. */
  base: string | undefined;
  /** Whether the cache had reached `base`: its next change is then this write, or a later one. */
  caughtUp: boolean;
  /** Monotonic milliseconds until which the note is valid. After that the watch is trusted again. */
  until: number;
}

const noteCountsMs = 30_000;

/**
 * How what the watch shows relates to a write of this process: `ours` is the write itself, `older` a change before it,
 * `news` a later change; `unsure` if the watch skipped versions, and the change may be older or later.
 */
export type Relation = "ours" | "older" | "news" | "unsure";

/**
 * The writes of this process that the watch has not shown yet, for the next decision. Resource versions are opaque:
 * they are compared for equality only.
 */
export class MutationCache<T> {
  readonly #clock: Clock;
  readonly #notes = new Map<string, Note<T>>();
  /** The versions that the cache has shown since a write began: the event of a write may arrive before its response. */
  readonly #underWay = new Map<string, (string | undefined)[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Must be called before a write.
   *
   * @param cached the version in the cache now
   */
  begin(key: string, cached: string | undefined): void {
    this.#underWay.set(key, [cached]);
  }

  /**
   * Notes a completed write.
   *
   * @param value the new value; undefined for a deletion
   * @param version the new version; undefined for a deletion
   * @param base the version before the write; undefined if there was no object
   * @returns what the watch has shown last, as `take` says it; only after `older` is something noted
   */
  note(key: string, value: T | undefined, version: string | undefined, base: string | undefined): Relation {
    const shown = this.#underWay.get(key) ?? [];
    this.#underWay.delete(key);
    this.#notes.delete(key);
    const own = shown.lastIndexOf(version);
    if (own >= 0) return own === shown.length - 1 ? "ours" : "news";
    // Nothing lies between a write and its base: anything shown after the base is newer than the write.
    const at = shown.lastIndexOf(base);
    if (at >= 0 && at < shown.length - 1) return "news";
    if (at < 0 && shown.length > 1) return "unsure";
    const now = this.#clock.monotonic();
    // An object created and deleted between two lists is never shown. Insertion order is the order of `until`.
    for (const [old, note] of this.#notes) {
      if (note.until > now) break;
      this.#notes.delete(old);
    }
    const until = now + noteCountsMs;
    this.#notes.set(key, { value, version, base, caughtUp: at >= 0, until });
    return "older";
  }

  /** The last write under a key, if the watch has not shown it yet. */
  get(key: string): { value: T | undefined; version: string | undefined } | undefined {
    const note = this.#notes.get(key);
    return note && note.until > this.#clock.monotonic() ? note : undefined;
  }

  /** Removes a note after a rejected write: the note is as outdated as the cache. */
  invalidate(key: string): void {
    this.#underWay.delete(key);
    this.#notes.delete(key);
  }

  /**
   * Classifies a change from the watch.
   *
   * @param version of the object after the change; undefined for a deletion
   * @returns `underWay` while a write is: its response tells what the change was; after `unsure` the note is removed
   */
  take(key: string, version: string | undefined): Relation | "underWay" {
    const relation = this.#relationToNote(key, version);
    const shown = this.#underWay.get(key);
    if (!shown) return relation;
    shown.push(version);
    return "underWay";
  }

  #relationToNote(key: string, version: string | undefined): Relation {
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
