import type { Identity } from "../aws/identity.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { IsWanted } from "../runtime/cancellation.ts";
import type { Clock } from "../runtime/clock.ts";
import { type Lane, lanes } from "../runtime/lane.ts";
import type { Outages } from "./outages.ts";
import type { QuotaRegistry, QuotaScope, Service } from "./quota-registry.ts";
import { type Call, RateLimiter } from "./rate-limiter.ts";

export interface RateLimitersOptions {
  quotas: QuotaRegistry;
  clock: Clock;
  metrics: Metrics;
  /** Is told what came of each call; nobody by default. */
  outages?: Pick<Outages, "note">;
}

/** What a call is counted against, and whose turn it takes. */
export interface Turn {
  /** Systems Manager when left out. */
  service?: Service;
  /** Namespace that the call is for; within a lane, namespaces take turns. */
  namespace?: string;
  /** A call that nobody wants when its turn comes is not made. Always wanted when left out. */
  isWanted?: IsWanted | undefined;
}

/** The way to AWS: every call of a service that has a quota passes the gate of its account and region, by its lane. */
export class RateLimiters {
  readonly #options: RateLimitersOptions;
  /** Each is kept for as long as its place is. */
  readonly #limiters = new WeakMap<QuotaScope, RateLimiter>();
  #isStopped = false;

  constructor(options: RateLimitersOptions) {
    this.#options = options;
    options.metrics.atScrape(() => this.#measure());
  }

  /**
   * Makes `call` when its turn comes, and again, some times, while AWS throttles it.
   *
   * @returns what `call` returns; rejects with what it throws, and with Canceled where nobody wants it any more
   */
  run<T>(identity: Pick<Identity, "key">, lane: Lane, call: Call<T>, turn: Turn = {}): Promise<T | undefined> {
    const { quotas, clock } = this.#options;
    const { service = "ssm", namespace = "", isWanted } = turn;
    const scope = quotas.scopeOf(identity.key, service);
    let limiter = this.#limiters.get(scope);
    if (!limiter) {
      limiter = new RateLimiter(clock, scope.quota);
      if (this.#isStopped) limiter.stop();
      this.#limiters.set(scope, limiter);
    }
    const own = () => quotas.own(identity.key, service);
    const whose = { identityKey: identity.key, namespace, own, isWanted };
    return limiter.run(whose, lane, this.#noted(identity.key, service, call));
  }

  /** Rejects every call that waits and every later one; calls under way may end. */
  stop(): void {
    this.#isStopped = true;
    for (const scope of this.#options.quotas.scopes()) this.#limiters.get(scope)?.stop();
  }

  #noted<T>(identityKey: string, service: Service, call: Call<T>): Call<T> {
    const { outages } = this.#options;
    if (!outages) return call;
    return () =>
      call()?.then(
        (answer) => {
          outages.note(identityKey, service);
          return answer;
        },
        (error: unknown) => {
          outages.note(identityKey, service, error);
          throw error;
        },
      );
  }

  /** Calls that wait for their turn. */
  get waiting(): number {
    return this.#waitingIn(lanes);
  }

  /** Calls that wait for their turn and that somebody waits for: all but polls. */
  get awaited(): number {
    return this.#waitingIn(lanes.filter((lane) => lane !== "poll"));
  }

  #waitingIn(some: readonly Lane[]): number {
    let sum = 0;
    for (const scope of this.#options.quotas.scopes()) {
      for (const lane of some) sum += this.#limiters.get(scope)?.depth[lane] ?? 0;
    }
    return sum;
  }

  #measure(): void {
    const { metrics, quotas } = this.#options;
    metrics.quotaUsed.reset();
    for (const scope of quotas.scopes()) {
      const limiter = this.#limiters.get(scope);
      for (const lane of lanes) if (limiter) metrics.waits(lane, limiter.depth[lane], limiter.oldestMs(lane));
      const { account, region, service, isKnown, quota } = scope;
      if (isKnown) metrics.quotaUsed.set({ account, region, service }, quota.usedRatio);
    }
  }
}
