import PQueue from "p-queue";
import { AwsFailure, notSent } from "../aws/failure.ts";
import { Canceled, type IsWanted } from "../runtime/cancellation.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import { Fifo } from "../runtime/fifo.ts";
import { byLane, type Lane, lanes } from "../runtime/lane.ts";
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
  whose: Whose;
  lane: Lane;
  call: Call<unknown>;
  isWanted: IsWanted;
  tries: number;
  since: number;
  resolve: (answer: unknown) => void;
  reject: (error: unknown) => void;
}

/** An identity at this gate. */
interface Party {
  key: string;
  own: () => Quota | undefined;
  /** While its own bound keeps it back: its polls, which have a smaller one, and all else. */
  pauses: { polls: Timer | undefined; others: Timer | undefined };
  /** Its calls under way. */
  slots: PQueue;
  callers: Set<Caller>;
  /** Callers whose turn was passed over for want of a place, or of the identity's own bound. */
  passedOver: Set<Caller>;
}

/** One namespace's calls as one identity. */
interface Caller {
  key: string;
  party: Party;
  waiting: Record<Lane, Fifo<Waiting>>;
  /** Lanes in which it has a turn. */
  turns: Set<Lane>;
}

/** Whose a call is. */
export interface Whose {
  /** The identity that makes it. */
  identityKey: string;
  /** The namespace that it is for: within a lane, namespaces take turns. */
  namespace: string;
  /** A bound of the identity's own, looked up at each turn. */
  own: () => Quota | undefined;
  /** A call that nobody wants when its turn comes is dropped, and costs no quota. Always wanted when left out. */
  isWanted?: IsWanted | undefined;
}

/**
 * Where the calls that share a quota wait: the most urgent lane first, its callers in turn. A call is formed at the
 * moment at which the quota grants it. An identity whose calls hang keeps its own places taken and nobody else's.
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
   * @returns what `call` returns; rejects with what it throws, after `stop` with an AwsFailure, and with Canceled where
   *   nobody wants it when its turn has come
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

  /** Rejects every call that waits and every later one. A call under way may end; it is not made again. */
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

  /** Whether the identity's own bound keeps it back; it then has its turns again when that is over. */
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
          // A role that could not be assumed for a throttle is STS's affair: this quota was not asked of.
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

  /** A place is free again: what waited for it has its turn. */
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

/** A call that throws at once is one that rejects. */
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
