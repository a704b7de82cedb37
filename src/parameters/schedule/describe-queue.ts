import { backoff, type Clock, type Timer } from "../../runtime/clock.ts";
import type { Entry, Parameter } from "../cache/cache-entry.ts";
import { describablesOf, needsDescription } from "../cache/describable.ts";
import type { Entries } from "../cache/entries.ts";

export interface DescribeQueueOptions {
  entries: Entries;
  clock: Clock;
  /** Whether a sync is in progress: descriptions wait for it, since nobody waits for them. */
  isBusy?: (() => boolean) | undefined;
  /** Describes parameters. @returns whether AWS has answered */
  look: (describables: readonly Parameter[]) => Promise<boolean>;
}

/** The queue of one identity. */
interface Soon {
  entries: Set<Entry>;
  /** Consecutive failed looks. */
  failures: number;
  /** Monotonic milliseconds since when the first entry waits. */
  since: number;
  timer: Timer;
}

/** Milliseconds in which entries are collected, so that a call describes fifty. */
const gatherMs = 1_000;
/** Milliseconds that entries wait, at most, for a sync to end: descriptions must not slow down a first sync. */
const busyAtMostMs = 60_000;
/** First and longest delay, in milliseconds, before a failed look is repeated. */
const again = { baseMs: 30_000, capMs: 3_600_000 };

/** Queues entries that are new, or have another version, for description. */
export class DescribeQueue {
  readonly #options: DescribeQueueOptions;
  /** By identity. */
  readonly #soon = new Map<string, Soon>();

  constructor(options: DescribeQueueOptions) {
    this.#options = options;
  }

  /** Queues an entry. */
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

  /** Removes an entry without dependents. */
  delete(entry: Entry): void {
    this.#soon.get(entry.reference.identity.key)?.entries.delete(entry);
  }

  /** Removes all entries of an identity. */
  clear(identityKey: string): void {
    this.#soon.get(identityKey)?.timer.cancel();
    this.#soon.delete(identityKey);
  }

  /** Cancels all timers and empties the queue. */
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
    const describables = batch.flatMap(describablesOf).filter(needsDescription);
    const isHeard = describables.length === 0 || (await look(describables));
    if (this.#soon.get(identityKey) !== soon) return;
    if (!isHeard) for (const entry of batch) soon.entries.add(entry);
    soon.failures = isHeard ? 0 : soon.failures + 1;
    if (soon.entries.size === 0) this.#soon.delete(identityKey);
    else soon.timer = this.#describeIn(identityKey, isHeard ? gatherMs : backoff(soon.failures - 1, again, () => 0));
  }

  #describeIn(identityKey: string, ms: number): Timer {
    return this.#options.clock.setTimer(() => void this.#describe(identityKey), ms);
  }
}
