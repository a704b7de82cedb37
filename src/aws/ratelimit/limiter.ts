import PQueue from "p-queue";
import { Canceled, type IsWanted } from "../../runtime/cancellation.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { Fifo } from "../../runtime/fifo.ts";
import { byLane, type Lane, lanes } from "../../runtime/lane.ts";
import { AwsFailure, notSent } from "../failure.ts";
import type { Quota } from "./quota.ts";

/** Sends a call when the quota grants it; undefined if nothing is left to send. Called again after a throttle. */
export type Call<T> = () => Promise<T> | undefined;

/** The share of calls that a lane gets while more urgent lanes wait, so that no lane starves. */
const shares: Readonly<Record<Lane, number>> = { event: 0, interactive: 0.1, drift: 0.1, bulk: 0.1, poll: 0.05 };
/** Tries of a call that AWS throttles, at most. */
const triesAtMost = 6;
/** Concurrent calls of one identity: `ofLimit` seconds of the limit, from `least` to what the sockets allow. */
const callsAtOnce = { least: 10, ofLimit: 0.25, most: 50 };

interface Waiting {
  whose: Whose;
  lane: Lane;
  call: Call<unknown>;
  isWanted: IsWanted;
  tries: number;
  since: number;
  resolve: (answer: unknown) => void;
  reject: (error: unknown) => void;
}

/** An identity that uses this rate limiter. */
interface Party {
  key: string;
  own: () => Quota | undefined;
  /** Timers while the identity's own limit is used up; polls have a smaller one. */
  pauses: { polls: Timer | undefined; others: Timer | undefined };
  /** Its calls in flight. */
  slots: PQueue;
  callers: Set<Caller>;
  /** Callers that were skipped: no free slot, or the identity's own limit was used up. */
  passedOver: Set<Caller>;
}

/** The calls of one namespace as one identity. */
interface Caller {
  key: string;
  party: Party;
  waiting: Record<Lane, Fifo<Waiting>>;
  /** Lanes in which it is queued. */
  turns: Set<Lane>;
}

/** The identity and namespace of a call. */
export interface Whose {
  /** The identity that makes it. */
  identityKey: string;
  /** The namespace that the call is for: within a lane, namespaces take turns. */
  namespace: string;
  /** The identity's own limit, looked up at each turn. */
  own: () => Quota | undefined;
  /** A call that nobody wants when its turn comes is canceled and uses no quota. Always wanted by default. */
  isWanted?: IsWanted | undefined;
}

/**
 * Queues the calls that share a quota: the most urgent lane first, and round robin within a lane. A call is formed when
 * the quota grants it. An identity whose calls hang blocks only its own slots.
 */
export class RateLimiter {
  readonly quota: Quota;
  readonly #clock: Clock;
  readonly #parties = new Map<string, Party>();
  readonly #callers = new Map<string, Caller>();
  readonly #turns = byLane(() => new Fifo<Caller>());
  readonly #credit = byLane(() => 0);
  /** Calls that wait, by lane. */
  readonly depth = byLane(() => 0);
  #pumping = false;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(clock: Clock, quota: Quota) {
    this.#clock = clock;
    this.quota = quota;
  }

  /**
   * Makes `call` when its turn comes, and again while AWS throttles it.
   *
   * @returns what `call` returns; rejects with what it throws, with an AwsFailure after `stop`, and with Canceled if
   *   nobody wants the call when its turn comes
   */
  run<T>(whose: Whose, lane: Lane, call: Call<T>): Promise<T | undefined> {
    if (this.#isStopped) return Promise.reject(stopping());
    const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
    const since = this.#clock.monotonic();
    const { isWanted = () => true } = whose;
    this.#wait(
      { whose, lane, call, isWanted, tries: 0, since, resolve: resolve as Waiting["resolve"], reject },
      "last",
    );
    return promise;
  }

  /** Rejects every waiting and later call. A call in flight may finish; it is not retried. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    for (const caller of [...this.#callers.values()]) {
      for (const lane of lanes) {
        this.depth[lane] -= caller.waiting[lane].size;
        while (caller.waiting[lane].size > 0) caller.waiting[lane].shift()!.reject(stopping());
      }
      this.#dropIfIdle(caller);
    }
  }

  /** Milliseconds that the oldest waiting call of a lane has waited. */
  oldestMs(lane: Lane): number {
    const now = this.#clock.monotonic();
    let oldest = 0;
    for (const { waiting } of this.#callers.values()) {
      const first = waiting[lane].peek();
      if (first) oldest = Math.max(oldest, now - first.since);
    }
    return oldest;
  }

  #wait(waiting: Waiting, as: "first" | "last"): void {
    const { whose, lane } = waiting;
    const caller = this.#caller(whose);
    if (as === "first") caller.waiting[lane].unshift(waiting);
    else caller.waiting[lane].push(waiting);
    this.depth[lane] += 1;
    this.#queue(caller, lane);
  }

  #caller({ identityKey, namespace, own }: Whose): Caller {
    const key = `${identityKey}\n${namespace}`;
    let caller = this.#callers.get(key);
    if (!caller) {
      const party = this.#party(identityKey, own);
      caller = { key, party, waiting: byLane(() => new Fifo<Waiting>()), turns: new Set() };
      party.callers.add(caller);
      this.#callers.set(key, caller);
    }
    return caller;
  }

  #party(key: string, own: () => Quota | undefined): Party {
    let party = this.#parties.get(key);
    if (!party) {
      const slots = new PQueue({ concurrency: this.#callsAtOnce() });
      const pauses = { polls: undefined, others: undefined };
      party = { key, own, pauses, slots, callers: new Set(), passedOver: new Set() };
      this.#parties.set(key, party);
    }
    return party;
  }

  /** Queues a caller in a lane, once, and schedules the pump. */
  #queue(caller: Caller, lane: Lane): void {
    if (!caller.turns.has(lane)) {
      caller.turns.add(lane);
      this.#turns[lane].push(caller);
    }
    this.#soon();
  }

  /** Pumps in the next turn of the event loop, so that all requests of this turn share calls. */
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
      if (caller.waiting[lane].size === 0) continue;
      if (this.#isFull(caller.party) || this.#isPaused(caller.party, lane)) {
        caller.party.passedOver.add(caller);
        continue;
      }
      const waiting = caller.waiting[lane].shift()!;
      this.depth[lane] -= 1;
      if (caller.waiting[lane].size > 0) {
        caller.turns.add(lane);
        this.#turns[lane].push(caller);
      }
      this.#start(caller, waiting);
      this.#dropIfIdle(caller);
    }
  }

  /** Whether the identity's own limit is used up. If so, sets a timer that resumes its callers. */
  #isPaused(party: Party, lane: Lane): boolean {
    const wait = party.own()?.waitMs(lane === "poll") ?? 0;
    if (wait === 0) return false;
    const which = lane === "poll" ? "polls" : "others";
    party.pauses[which] ??= this.#clock.setTimer(() => {
      party.pauses[which] = undefined;
      this.#resume(party);
    }, Math.ceil(wait));
    return true;
  }

  /** The next lane that the quota grants a call. If there is none, sets a timer for the earliest grant. */
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

  #isFull({ slots }: Party): boolean {
    slots.concurrency = this.#callsAtOnce();
    return slots.pending >= slots.concurrency;
  }

  #callsAtOnce(): number {
    const { least, ofLimit, most } = callsAtOnce;
    return Math.min(Math.max(least, Math.round(this.quota.limit * ofLimit)), most);
  }

  #start(caller: Caller, waiting: Waiting): void {
    const sentAt = this.#clock.monotonic();
    if (!waiting.isWanted()) {
      waiting.reject(new Canceled());
      return;
    }
    const answer = begin(waiting.call);
    if (!answer) {
      waiting.resolve(undefined);
      return;
    }
    this.#spend(caller, waiting.lane);
    const { party } = caller;
    party.slots
      .add(() => answer)
      .then(
        (value) => {
          this.#end(party);
          waiting.resolve(value);
        },
        (error: unknown) => {
          waiting.tries += 1;
          // If AssumeRole was throttled, the call never reached the service of this quota.
          const isOurs = error instanceof AwsFailure && error.scope !== "credentials";
          const isThrottle = isOurs && error.reason === "Throttled";
          if (isThrottle) this.quota.throttled(sentAt);
          const isMadeAgain = isThrottle && waiting.tries < triesAtMost && !this.#isStopped;
          if (isMadeAgain) this.#wait(waiting, "first");
          this.#end(party);
          if (!isMadeAgain) waiting.reject(error);
        },
      );
  }

  #spend(caller: Caller, lane: Lane): void {
    this.quota.spend(lane === "poll");
    caller.party.own()?.spend(lane === "poll");
    for (const other of lanes) {
      if (other === lane) this.#credit[other] = Math.max(this.#credit[other] - 1, 0);
      else if (this.#turns[other].size > 0) this.#credit[other] += shares[other];
    }
  }

  /** Resumes the callers that waited for a free slot. */
  #end(party: Party): void {
    this.#resume(party);
    this.#dropIfEmpty(party);
  }

  #resume({ passedOver }: Party): void {
    const callers = [...passedOver];
    passedOver.clear();
    for (const caller of callers) {
      for (const lane of lanes) if (caller.waiting[lane].size > 0) this.#queue(caller, lane);
    }
  }

  #dropIfIdle(caller: Caller): void {
    const { party, key } = caller;
    if (lanes.some((lane) => caller.waiting[lane].size > 0)) return;
    this.#callers.delete(key);
    party.callers.delete(caller);
    party.passedOver.delete(caller);
    this.#dropIfEmpty(party);
  }

  #dropIfEmpty({ key, callers, slots }: Party): void {
    if (callers.size + slots.pending === 0) this.#parties.delete(key);
  }
}

/** Turns a synchronous throw into a rejection. */
function begin(call: Call<unknown>): Promise<unknown> | undefined {
  try {
    return call();
  } catch (error) {
    return Promise.reject(error);
  }
}

function stopping(): AwsFailure {
  const message = "the operator is stopping: the call to AWS was not made";
  return new AwsFailure({ reason: "Unreachable", next: "retry", code: notSent, message });
}
