import { Canceled, type IsWanted } from "../../runtime/cancellation.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { byLane, type Lane, lanes } from "../../runtime/lane.ts";
import { AwsFailure, notSent } from "../failure.ts";
import { CallQueue, type Waiting } from "./call-queue.ts";
import type { Quota } from "./quota.ts";
import type { Service } from "./quota-registry.ts";
import { Slots } from "./slots.ts";

/** The share of calls that a lane gets while more urgent lanes wait, so that no lane starves. */
const shares: Readonly<Record<Lane, number>> = { event: 0, interactive: 0.1, drift: 0.1, bulk: 0.1, poll: 0.05 };
/** Tries of a call that AWS throttles, at most. */
const triesAtMost = 6;
/** Concurrent calls of one identity: `ofLimit` seconds of the limit, from `least` to what the sockets allow. */
const callsAtOnce = { least: 10, ofLimit: 0.25, most: 50 };

/** A call that needs a permit. */
export interface CallRequest<S extends Service> {
  service: S;
  /** The identity that makes it. */
  identityKey: string;
  lane: Lane;
  /** The namespace that the call is for: within a lane, namespaces take turns. */
  namespace: string;
  /** A call that nobody wants when its turn comes is canceled and uses no quota. */
  isWanted: IsWanted;
}

export interface RateLimiterOptions {
  clock: Clock;
  quota: Quota;
  /** An identity's own limit, below the quota; undefined without one. Called at each turn. */
  ownLimit: (identityKey: string) => Quota | undefined;
  /** Called with the outcome of each try of a call; `error` is undefined if it was answered. */
  note: (identityKey: string, error?: unknown) => void;
}

/** An identity that uses this rate limiter. */
interface Party {
  readonly key: string;
  readonly slots: Slots;
  /** Timers while the identity's own limit is used up; polls have a smaller one. */
  readonly pauses: { polls: Timer | undefined; others: Timer | undefined };
}

/** The quota and the slot that one try of a call has reserved. */
interface Grant {
  readonly party: Party;
  /** Undoes what the quotas and lanes were charged. */
  readonly refund: () => void;
}

interface WaitingCall extends Waiting {
  readonly isWanted: IsWanted;
  readonly resolve: (grant: Grant) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Permission to make one call to a service. Only a rate limiter makes permits, and the ports to AWS send nothing
 * without one. The holder uses the permit at once or gives it back: until then, it holds quota and a slot.
 */
class Permit<S extends Service> {
  readonly service: S;
  #uses: PermitUses | undefined;

  constructor(service: S, uses: PermitUses) {
    this.service = service;
    this.#uses = uses;
  }

  /**
   * Sends a call, and sends it again while AWS throttles it: after a new turn, before the waiting calls of its lane.
   *
   * @param send makes one try
   * @returns what `send` returns. Rejects with what it throws, with Canceled if nobody wants the next try, with an
   *   AwsFailure if the limiter stops before it, and with an Error if the permit was already used or given back
   */
  async use<T>(send: () => Promise<T>): Promise<T> {
    const uses = this.#uses;
    if (!uses) throw new Error(`a permit for ${this.service} was used twice`);
    this.#uses = undefined;
    return uses.send(send);
  }

  /** Returns the quota and the slot of a permit that is not needed. No effect on a permit that was used. */
  giveBack(): void {
    this.#uses?.giveBack();
    this.#uses = undefined;
  }
}

export type { Permit };

interface PermitUses {
  send: <T>(send: () => Promise<T>) => Promise<T>;
  giveBack: () => void;
}

/**
 * Grants the permits of the calls that share a quota: the most urgent lane first, and round robin within a lane. An
 * identity whose calls hang blocks only its own slots.
 */
export class RateLimiter {
  readonly #options: RateLimiterOptions;
  readonly #parties = new Map<string, Party>();
  readonly #queue = new CallQueue<WaitingCall>();
  readonly #credit = byLane(() => 0);
  #pumping = false;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: RateLimiterOptions) {
    this.#options = options;
  }

  /** Calls that wait, by lane. */
  get depth(): Readonly<Record<Lane, number>> {
    return this.#queue.depth;
  }

  /**
   * Waits for the turn of a call.
   *
   * @returns rejects with Canceled if nobody wants the call when its turn comes, and with an AwsFailure after `stop`
   */
  async acquire<S extends Service>(request: CallRequest<S>): Promise<Permit<S>> {
    const since = this.#options.clock.monotonic();
    const grant = await this.#turn({ ...request, since }, "last");
    return new Permit(request.service, {
      send: (send) => this.#send({ ...request, since }, grant, send),
      giveBack: () => this.#giveBack(grant),
    });
  }

  /** Rejects every waiting and later request. A permit that was granted may be used; its call is not retried. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    for (const waiting of this.#queue.clear()) waiting.reject(stopping());
    for (const party of [...this.#parties.values()]) this.#dropIfIdle(party);
  }

  /** Milliseconds that the oldest waiting call of a lane has waited. */
  oldestMs(lane: Lane): number {
    const now = this.#options.clock.monotonic();
    return now - (this.#queue.oldestSince(lane) ?? now);
  }

  #turn(call: Waiting & { isWanted: IsWanted }, as: "first" | "last"): Promise<Grant> {
    if (this.#isStopped) return Promise.reject(stopping());
    const { promise, resolve, reject } = Promise.withResolvers<Grant>();
    if (!this.#parties.has(call.identityKey)) this.#parties.set(call.identityKey, this.#party(call.identityKey));
    this.#queue.add({ ...call, resolve, reject }, as);
    this.#soon();
    return promise;
  }

  #party(key: string): Party {
    const slots = new Slots(() => {
      this.#resume(key);
      this.#dropIfIdle(party);
    });
    const party: Party = { key, slots, pauses: { polls: undefined, others: undefined } };
    return party;
  }

  /** Makes the tries of a call. The first has a grant. */
  async #send<T>(call: Waiting & { isWanted: IsWanted }, first: Grant, send: () => Promise<T>): Promise<T> {
    const { clock, quota, note } = this.#options;
    let grant = first;
    for (let tries = 1; ; tries++) {
      let sentAt = 0;
      try {
        const answer = await grant.party.slots.run(() => {
          sentAt = clock.monotonic();
          return send();
        });
        note(call.identityKey);
        return answer;
      } catch (error) {
        note(call.identityKey, error);
        const isThrottle = isThrottleOf(error);
        if (isThrottle) quota.throttled(sentAt);
        if (!isThrottle || tries === triesAtMost || this.#isStopped) throw error;
        grant = await this.#turn(call, "first");
      }
    }
  }

  #giveBack({ party, refund }: Grant): void {
    refund();
    party.slots.release();
    this.#queue.resume(party.key);
    this.#dropIfIdle(party);
    if (!this.#isStopped) this.#pump();
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
      const turn = lane;
      const waiting = this.#queue.take(turn, (identityKey) => this.#isBlocked(identityKey, turn));
      if (!waiting) continue;
      const party = this.#parties.get(waiting.identityKey)!;
      if (waiting.isWanted()) {
        party.slots.reserve();
        waiting.resolve({ party, refund: this.#spend(party, turn) });
      } else waiting.reject(new Canceled());
      this.#dropIfIdle(party);
    }
  }

  #isBlocked(identityKey: string, lane: Lane): boolean {
    const party = this.#parties.get(identityKey)!;
    return party.slots.isFull(this.#callsAtOnce()) || this.#isPaused(party, lane);
  }

  /** Whether the identity's own limit is used up. If so, sets a timer that resumes its callers. */
  #isPaused(party: Party, lane: Lane): boolean {
    const { clock, ownLimit } = this.#options;
    const wait = ownLimit(party.key)?.waitMs(lane === "poll") ?? 0;
    if (wait === 0) return false;
    const which = lane === "poll" ? "polls" : "others";
    party.pauses[which] ??= clock.setTimer(() => {
      party.pauses[which] = undefined;
      this.#resume(party.key);
    }, Math.ceil(wait));
    return true;
  }

  /** The next lane that the quota grants a call. If there is none, sets a timer for the earliest grant. */
  #nextLane(): Lane | undefined {
    const { clock, quota } = this.#options;
    const wanting = lanes.filter((lane) => this.#queue.hasTurn(lane));
    const able = wanting.filter((lane) => quota.waitMs(lane === "poll") === 0);
    if (able.length > 0) return able.find((lane) => this.#credit[lane] >= 1) ?? able[0];
    if (wanting.length > 0) {
      const wait = Math.min(...wanting.map((lane) => quota.waitMs(lane === "poll")));
      this.#timer = clock.setTimer(() => this.#pump(), Math.ceil(wait));
    }
    return undefined;
  }

  #callsAtOnce(): number {
    const { least, ofLimit, most } = callsAtOnce;
    return Math.min(Math.max(least, Math.round(this.#options.quota.limit * ofLimit)), most);
  }

  /** Charges the quotas and the lanes for a call. @returns undoes it */
  #spend(party: Party, lane: Lane): () => void {
    const { quota, ownLimit } = this.#options;
    const quotas = [quota, ownLimit(party.key)];
    for (const one of quotas) one?.spend(lane === "poll");
    const gained = byLane((other) => {
      if (other === lane) return -Math.min(this.#credit[other], 1);
      return this.#queue.hasTurn(other) ? shares[other] : 0;
    });
    for (const other of lanes) this.#credit[other] += gained[other];
    return () => {
      for (const one of quotas) one?.refund(lane === "poll");
      for (const other of lanes) this.#credit[other] = Math.max(this.#credit[other] - gained[other], 0);
    };
  }

  /** Resumes the callers that waited for a free slot, or for their own limit. */
  #resume(identityKey: string): void {
    if (this.#queue.resume(identityKey)) this.#soon();
  }

  #dropIfIdle({ key, slots }: Party): void {
    if (slots.isIdle && !this.#queue.has(key)) this.#parties.delete(key);
  }
}

/** Whether the quota of the service was exceeded. If AssumeRole was throttled, the call never reached the service. */
function isThrottleOf(error: unknown): boolean {
  return error instanceof AwsFailure && error.reason === "Throttled" && error.scope !== "credentials";
}

function stopping(): AwsFailure {
  const message = "the operator is stopping: the call to AWS was not made";
  return new AwsFailure({ reason: "Unreachable", next: "retry", code: notSent, message });
}
