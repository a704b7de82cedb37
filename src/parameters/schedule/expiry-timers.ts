import type { Clock } from "../../runtime/clock.ts";
import { DelayQueue } from "../../runtime/delay-queue.ts";
import type { Entry } from "../cache/cache-entry.ts";
import type { Entries } from "../cache/entries.ts";

/** An Expiration or a warning that is due at an instant. */
export interface Due {
  /** Milliseconds since the epoch. */
  at: number;
  entry: Entry;
  /** The parameter's name. */
  name: string;
  /** The instant of the Expiration; undefined for a warning. */
  expiresAt: number | undefined;
}

export interface ExpiryTimersOptions {
  entries: Entries;
  clock: Clock;
  /** Called with everything that is due, except of entries that no longer exist. */
  reached: (due: Due[]) => void;
}

/** The longest timer, in milliseconds: a timer does not notice that the machine slept or that its clock was set. */
const longestMs = 60_000;

/** Timers for the instants that policies name. */
export class ExpiryTimers {
  readonly #entries: Entries;
  readonly #queue: DelayQueue<Due>;
  /** Entries dropped since the queue was last cleaned. */
  #dropped = 0;

  constructor({ entries, clock, reached }: ExpiryTimersOptions) {
    this.#entries = entries;
    const isLive = ({ entry }: Due) => entries.has(entry);
    this.#queue = new DelayQueue({ clock, now: () => clock.now(), longestMs, isLive, reached });
  }

  add(due: Due): void {
    this.#queue.push(due);
  }

  /** Counts a removed entry; cleans the queue when half of it may be obsolete. */
  drop(): void {
    this.#dropped += 1;
    if (this.#entries.size > 0 && this.#dropped <= this.#queue.size / 2) return;
    this.#dropped = 0;
    this.#queue.clean();
  }

  /** Fires what a change of the wall clock has made due. */
  check(): void {
    this.#queue.check();
  }

  /** Cancels the timer; no other is set. */
  stop(): void {
    this.#queue.stop();
  }
}
