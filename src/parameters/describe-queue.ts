import { backoff, type Clock, type Timer } from "../runtime/clock.ts";
import type { Entry } from "./cache-entry.ts";
import { type Describable, describablesOf, needsDescription } from "./describable.ts";
import type { Entries } from "./entries.ts";

export interface DescribeQueueOptions {
  entries: Entries;
  clock: Clock;
  /** Whether something is being synced: descriptions, which nobody waits for, come after it. */
  isBusy?: (() => boolean) | undefined;
  /** Asks for descriptions. @returns whether AWS has answered */
  look: (owed: readonly Describable[]) => Promise<boolean>;
}

/** What is to be described of one identity in a moment. */
interface Soon {
  entries: Set<Entry>;
  /** Looks in a row that failed. */
  failures: number;
  /** Monotonic milliseconds since when the first of them waits. */
  since: number;
  timer: Timer;
}

/** Milliseconds in which new entries gather, so that they are described fifty a call. */
const gatherMs = 1_000;
/** Milliseconds for which they wait, at most, while something is being synced: a first sync is not to pay for them. */
const busyAtMostMs = 60_000;
/** First and longest pause, in milliseconds, before a look that failed is made again. */
const again = { baseMs: 30_000, capMs: 3_600_000 };

/** Entries that are new, or have another version, until they have been described. */
export class DescribeQueue {
  readonly #options: DescribeQueueOptions;
  /** By identity. */
  readonly #soon = new Map<string, Soon>();

  constructor(options: DescribeQueueOptions) {
    this.#options = options;
  }

  /** Has an entry described soon. */
  add(entry: Entry): void {
    const { key } = entry.reference.identity;
    const soon = this.#soon.get(key);
    if (soon) {
      soon.entries.add(entry);
      return;
    }
    const since = this.#options.clock.monotonic();
    this.#soon.set(key, { entries: new Set([entry]), failures: 0, since, timer: this.#describeIn(key, gatherMs) });
  }

  /** Takes out an entry that nobody depends on any more. */
  delete(entry: Entry): void {
    this.#soon.get(entry.reference.identity.key)?.entries.delete(entry);
  }

  /** Takes out all of an identity. */
  clear(identityKey: string): void {
    this.#soon.get(identityKey)?.timer.cancel();
    this.#soon.delete(identityKey);
  }

  /** Sets no timer any more. */
  stop(): void {
    for (const key of [...this.#soon.keys()]) this.clear(key);
  }

  async #describe(identityKey: string): Promise<void> {
    const soon = this.#soon.get(identityKey);
    if (!soon) return;
    const { entries, clock, isBusy, look } = this.#options;
    if (isBusy?.() && clock.monotonic() - soon.since < busyAtMostMs) {
      soon.timer = this.#describeIn(identityKey, gatherMs);
      return;
    }
    soon.since = clock.monotonic();
    const batch = [...soon.entries].filter((entry) => entries.has(entry));
    soon.entries.clear();
    const owed = batch.flatMap(describablesOf).filter(needsDescription);
    const isHeard = owed.length === 0 || (await look(owed));
    if (this.#soon.get(identityKey) !== soon) return;
    if (!isHeard) for (const entry of batch) soon.entries.add(entry);
    soon.failures = isHeard ? 0 : soon.failures + 1;
    if (soon.entries.size === 0) this.#soon.delete(identityKey);
    else
      soon.timer = this.#describeIn(
        identityKey,
        isHeard ? gatherMs : backoff(soon.failures - 1, again.baseMs, again.capMs, 0, () => 0),
      );
  }

  #describeIn(identityKey: string, ms: number): Timer {
    return this.#options.clock.setTimer(() => void this.#describe(identityKey), ms);
  }
}
