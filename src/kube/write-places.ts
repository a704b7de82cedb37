import { backoff, type Clock, type Random } from "../runtime/clock.ts";
import { FairQueue, type Waiting } from "../runtime/fair-queue.ts";
import { type Lane, priorityOf } from "../runtime/lane.ts";
import { isRetryable, KubeError } from "./errors.ts";
import { afterWrite, firstLimit, type WriteLimit } from "./write-limit.ts";

/** Outside worlds of the places. */
export interface WritePlacesOptions {
  clock: Clock;
  random: Random;
}

/** Lanes in which somebody waits, and those of the mass; the more urgent first. */
const urgent = (["event", "interactive", "drift"] as const).map(priorityOf);
const mass = (["bulk", "poll"] as const).map(priorityOf);
/** Places beyond the limit that only urgent writes take, so that none ever waits for one of the mass to end. */
const keptForUrgent = 2;
/** Urgent writes that pass the mass at most, before one of the mass has its turn. */
const passesTheMass = 7;
/** Milliseconds for which a write that the server throttles is tried again, before its caller is told. */
const triesForMs = 10_000;
/** Milliseconds without a write after a 429 that does not say how long: doubled each time, and stretched by up to half. */
const pause = { baseMs: 500, capMs: 8_000, jitter: 0.5 };

interface WaitingWrite extends Waiting {
  isOfMass: boolean;
  begin: () => Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
  /** Monotonic milliseconds of its first 429. */
  throttledAt: number | undefined;
}

/**
 * The places for writes to the API server: as many as it takes without a queue inside it, given to the most urgent lane
 * first, and within a lane to the namespaces in turn. Since few are under way, one that cannot wait gets through while
 * thousands of the mass do.
 */
export class WritePlaces {
  readonly #options: WritePlacesOptions;
  readonly #waiting = new FairQueue<WaitingWrite>();
  #limit: WriteLimit = firstLimit;
  #underWay = 0;
  /** Urgent writes begun since the mass had its last turn. */
  #passed = 0;
  /** The server wants no more for now. */
  #isClosed = false;
  /** Monotonic milliseconds when it last said so. */
  #closedAt = Number.NEGATIVE_INFINITY;
  /** Times in a row that it said so. */
  #throttles = 0;

  constructor(options: WritePlacesOptions) {
    this.#options = options;
  }

  /** Writes that may be under way at once, now; urgent ones, two more. */
  get limit(): number {
    return this.#limit.limit;
  }

  /**
   * Writes when a place is free. What the server throttles (429) keeps its turn for ten seconds; every other failure
   * is the caller's, since a write that was not answered may have been done.
   *
   * @param namespace whose turn it takes
   * @param write is called again after a 429
   * @returns what `write` does, and rejects as it does
   */
  run<T>(lane: Lane, namespace: string, write: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const priority = priorityOf(lane);
    this.#waiting.push({
      priority,
      flow: namespace,
      withdrawn: false,
      isOfMass: mass.includes(priority),
      begin: write,
      resolve: resolve as (value: unknown) => void,
      reject,
      throttledAt: undefined,
    });
    this.#fill();
    return promise;
  }

  #open(): void {
    this.#isClosed = false;
    this.#fill();
  }

  #fill(): void {
    if (this.#isClosed) return;
    for (let next = this.#next(); next; next = this.#next()) void this.#write(next);
  }

  /** The write that takes the next free place; undefined where there is none for what waits. */
  #next(): WaitingWrite | undefined {
    const { limit } = this.#limit;
    if (this.#underWay >= limit + keptForUrgent) return undefined;
    if (this.#passed >= passesTheMass) {
      this.#passed = 0;
      const turn = this.#take(mass);
      if (turn) return turn;
    }
    const first = this.#take(urgent);
    if (first) this.#passed++;
    return first ?? (this.#underWay < limit ? this.#take(mass) : undefined);
  }

  #take(priorities: readonly number[]): WaitingWrite | undefined {
    for (const priority of priorities) {
      const found = this.#waiting.takeOf(priority);
      if (found) return found;
    }
    return undefined;
  }

  async #write(waiting: WaitingWrite): Promise<void> {
    const { clock } = this.#options;
    this.#underWay++;
    const wasFull = this.#underWay >= this.#limit.limit;
    const beganAt = clock.monotonic();
    const ended = (outcome: "done" | "overloaded") => {
      this.#underWay--;
      this.#limit = afterWrite(this.#limit, { beganAt, endedAt: clock.monotonic(), outcome, wasFull });
    };
    try {
      const value = await waiting.begin();
      ended("done");
      this.#throttles = 0;
      waiting.resolve(value);
    } catch (error) {
      ended(isRetryable(error) ? "overloaded" : "done");
      if (!this.#keepsItsTurn(waiting, error, beganAt)) waiting.reject(error);
    }
    this.#fill();
  }

  /** Puts a write that was throttled back into its lane, and closes the places for as long as the server asks. */
  #keepsItsTurn(waiting: WaitingWrite, error: unknown, beganAt: number): boolean {
    if (!(error instanceof KubeError) || error.kind !== "tooManyRequests") return false;
    const { clock, random } = this.#options;
    const now = clock.monotonic();
    // What was under way at the first refusal is refused for the same cause.
    if (!this.#isClosed && beganAt >= this.#closedAt) {
      const { baseMs, capMs, jitter } = pause;
      const own = backoff(this.#throttles++, baseMs, capMs, jitter, random);
      this.#isClosed = true;
      this.#closedAt = now;
      clock.setTimer(() => this.#open(), Math.max(own, Math.min(error.retryAfterMs ?? 0, triesForMs)));
    }
    waiting.throttledAt ??= now;
    if (now - waiting.throttledAt >= triesForMs) return false;
    this.#waiting.push(waiting);
    return true;
  }
}
