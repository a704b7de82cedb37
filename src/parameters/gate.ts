import PQueue from "p-queue";
import { AwsFailure } from "../aws/failure.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import { Fifo } from "../runtime/fifo.ts";
import { type Lane, lanes } from "../runtime/lane.ts";
import type { Quota } from "./quota.ts";

/** A call that is made when its turn comes; undefined where by then there is nothing to ask. Made again when throttled. */
export type Call<T> = () => Promise<T> | undefined;

/** Of a hundred calls, how many a lane gets although more urgent ones wait, so that nothing starves. */
const shares: Readonly<Record<Lane, number>> = { event: 0, interactive: 0.1, drift: 0.1, bulk: 0.1, poll: 0.05 };
/** Times that a call is made while AWS throttles it. */
const triesAtMost = 6;
/** Calls of one identity under way at once: this many, or a quarter of a second's, up to what the sockets allow. */
const callsAtOnce = { least: 10, ofLimit: 0.25, most: 50 };

interface Waiting {
  lane: Lane;
  call: Call<unknown>;
  tries: number;
  since: number;
  resolve: (answer: unknown) => void;
  reject: (error: unknown) => void;
}

/** One identity's calls to this gate. */
interface Caller {
  key: string;
  own: () => Quota | undefined;
  /** While its own bound keeps it back: its polls, which have a smaller one, and all else. */
  pauses: { polls: Timer | undefined; others: Timer | undefined };
  /** Its calls under way. */
  places: PQueue;
  waiting: Record<Lane, Fifo<Waiting>>;
  /** Lanes in which it has a turn. */
  turns: Set<Lane>;
}

/**
 * Where the calls that share a quota wait: the most urgent lane first, its callers in turn. A call is formed at the
 * moment at which the quota grants it. A caller whose calls hang keeps its own places taken and nobody else's.
 */
export class Gate {
  readonly quota: Quota;
  readonly #clock: Clock;
  readonly #callers = new Map<string, Caller>();
  readonly #turns = byLane(() => new Fifo<Caller>());
  readonly #credit = byLane(() => 0);
  /** Calls that wait, by lane. */
  readonly depth = byLane(() => 0);
  #pumping = false;
  #timer: Timer | undefined;

  constructor(clock: Clock, quota: Quota) {
    this.#clock = clock;
    this.quota = quota;
  }

  /**
   * Makes `call` when its turn comes, and again while AWS throttles it.
   *
   * @param own a bound of the caller's own, looked up at each turn
   * @returns what `call` returns; rejects with what it throws
   */
  run<T>(key: string, own: () => Quota | undefined, lane: Lane, call: Call<T>): Promise<T | undefined> {
    return new Promise<T | undefined>((resolve, reject) => {
      const since = this.#clock.monotonic();
      const caller = this.#caller(key, own);
      caller.waiting[lane].push({ lane, call, tries: 0, since, resolve: resolve as Waiting["resolve"], reject });
      this.depth[lane] += 1;
      this.#queue(caller, lane);
    });
  }

  /** Milliseconds that the longest waiting call of a lane has waited. */
  oldestMs(lane: Lane): number {
    const now = this.#clock.monotonic();
    let oldest = 0;
    for (const { waiting } of this.#callers.values()) {
      const first = waiting[lane].peek();
      if (first) oldest = Math.max(oldest, now - first.since);
    }
    return oldest;
  }

  #caller(key: string, own: () => Quota | undefined): Caller {
    let caller = this.#callers.get(key);
    if (!caller) {
      const waiting = byLane(() => new Fifo<Waiting>());
      const places = new PQueue({ concurrency: this.#callsAtOnce() });
      const made = {
        key,
        own,
        pauses: { polls: undefined, others: undefined },
        places,
        waiting,
        turns: new Set<Lane>(),
      };
      places.addEventListener("idle", () => this.#dropIfIdle(made));
      this.#callers.set(key, made);
      caller = made;
    }
    return caller;
  }

  /** Gives a caller its turn in a lane, once, and has the next turns taken. */
  #queue(caller: Caller, lane: Lane): void {
    if (!caller.turns.has(lane)) {
      caller.turns.add(lane);
      this.#turns[lane].push(caller);
    }
    this.#soon();
  }

  /** One turn of the event loop later, so that all that this turn asks for travels in the same call. */
  #soon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (let lane = this.#nextLane(); lane; lane = this.#nextLane()) {
      const caller = this.#turns[lane].shift()!;
      caller.turns.delete(lane);
      if (caller.waiting[lane].size === 0 || this.#isFull(caller) || this.#isPaused(caller, lane)) continue;
      const waiting = caller.waiting[lane].shift()!;
      this.depth[lane] -= 1;
      if (caller.waiting[lane].size > 0) {
        caller.turns.add(lane);
        this.#turns[lane].push(caller);
      }
      this.#start(caller, waiting);
    }
  }

  /** Whether the caller's own bound keeps it back; it then has its turns again when that is over. */
  #isPaused(caller: Caller, lane: Lane): boolean {
    const wait = caller.own()?.waitMs(lane === "poll") ?? 0;
    if (wait === 0) return false;
    const which = lane === "poll" ? "polls" : "others";
    caller.pauses[which] ??= this.#clock.setTimer(() => {
      caller.pauses[which] = undefined;
      this.#queueAll(caller);
    }, Math.ceil(wait));
    return true;
  }

  /** The lane whose turn it is, where the quota lets it; else a timer is set for when it does. */
  #nextLane(): Lane | undefined {
    const wanting = lanes.filter((lane) => this.#turns[lane].size > 0);
    const able = wanting.filter((lane) => this.quota.waitMs(lane === "poll") === 0);
    if (able.length > 0) return able.find((lane) => this.#credit[lane] >= 1) ?? able[0];
    if (wanting.length > 0) {
      const wait = Math.min(...wanting.map((lane) => this.quota.waitMs(lane === "poll")));
      this.#timer = this.#clock.setTimer(() => this.#pump(), Math.ceil(wait));
    }
    return undefined;
  }

  #isFull({ places }: Caller): boolean {
    places.concurrency = this.#callsAtOnce();
    return places.pending >= places.concurrency;
  }

  #callsAtOnce(): number {
    const { least, ofLimit, most } = callsAtOnce;
    return Math.min(Math.max(least, Math.round(this.quota.limit * ofLimit)), most);
  }

  #start(caller: Caller, waiting: Waiting): void {
    const sentAt = this.#clock.monotonic();
    const answer = begin(waiting.call);
    if (!answer) {
      this.#dropIfIdle(caller);
      waiting.resolve(undefined);
      return;
    }
    this.#spend(caller, waiting.lane);
    caller.places
      .add(() => answer)
      .then(
        (value) => {
          this.#queueAll(caller);
          waiting.resolve(value);
        },
        (error: unknown) => {
          waiting.tries += 1;
          const isThrottle = error instanceof AwsFailure && error.reason === "Throttled";
          if (isThrottle) this.quota.throttled(sentAt);
          if (isThrottle && waiting.tries < triesAtMost) {
            caller.waiting[waiting.lane].unshift(waiting);
            this.depth[waiting.lane] += 1;
            this.#queueAll(caller);
            return;
          }
          this.#queueAll(caller);
          waiting.reject(error);
        },
      );
  }

  #spend(caller: Caller, lane: Lane): void {
    this.quota.spend(lane === "poll");
    caller.own()?.spend(lane === "poll");
    for (const other of lanes) {
      if (other === lane) this.#credit[other] = Math.max(this.#credit[other] - 1, 0);
      else if (this.#turns[other].size > 0) this.#credit[other] += shares[other];
    }
  }

  /** A place is free again: what waited for it has its turn. */
  #queueAll(caller: Caller): void {
    for (const lane of lanes) if (caller.waiting[lane].size > 0) this.#queue(caller, lane);
  }

  #dropIfIdle(caller: Caller): void {
    if (caller.places.pending === 0 && lanes.every((lane) => caller.waiting[lane].size === 0))
      this.#callers.delete(caller.key);
  }
}

function byLane<T>(make: () => T): Record<Lane, T> {
  return { event: make(), interactive: make(), drift: make(), bulk: make(), poll: make() };
}

/** A call that throws at once is one that rejects. */
function begin(call: Call<unknown>): Promise<unknown> | undefined {
  try {
    return call();
  } catch (error) {
    return Promise.reject(error);
  }
}
