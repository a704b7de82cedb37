import type { Metrics } from "../../metrics/metrics.ts";
import type { IsWanted } from "../../runtime/cancellation.ts";
import type { Clock } from "../../runtime/clock.ts";
import { type Lane, lanes } from "../../runtime/lane.ts";
import type { Identity } from "../identity.ts";
import { type Call, RateLimiter } from "./limiter.ts";
import type { Outages } from "./outages.ts";
import type { QuotaRegistry, QuotaScope, Service } from "./quota-registry.ts";

export interface RateLimitersOptions {
  quotas: QuotaRegistry;
  clock: Clock;
  metrics: Metrics;
  /** Records the outcome of each call; none by default. */
  outages?: Pick<Outages, "note">;
}

/** The quota that a call uses, and its place in the queue. */
export interface Turn {
  /** Default: Systems Manager. */
  service?: Service;
  /** The namespace that the call is for: within a lane, namespaces take turns. */
  namespace?: string;
  /** A call that nobody wants when its turn comes is canceled. Always wanted by default. */
  isWanted?: IsWanted | undefined;
}

/** One rate limiter for each account, region and service; every call to a service with a quota passes one. */
export class RateLimiters {
  readonly #options: RateLimitersOptions;
  /** Each lives as long as its quota scope. */
  readonly #limiters = new WeakMap<QuotaScope, RateLimiter>();
  #isStopped = false;

  constructor(options: RateLimitersOptions) {
    this.#options = options;
    options.metrics.atScrape(() => this.#measure());
  }

  /**
   * Makes `call` when its turn comes, and retries it a few times while AWS throttles it.
   *
   * @returns what `call` returns; rejects with what it throws, and with Canceled if nobody wants the call any more
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

  /** Rejects every waiting and later call; calls in flight may finish. */
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

  /** How many calls wait. */
  get waiting(): number {
    return this.#waitingIn(lanes);
  }

  /** How many calls wait that are not polls. */
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
