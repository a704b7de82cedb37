import type { Metrics } from "../../metrics/metrics.ts";
import { always, type IsWanted } from "../../runtime/cancellation.ts";
import type { Clock } from "../../runtime/clock.ts";
import { type Lane, lanes } from "../../runtime/lane.ts";
import { type Permit, RateLimiter } from "./limiter.ts";
import type { Outages } from "./outages.ts";
import type { QuotaRegistry, QuotaScope, Service } from "./quota-registry.ts";

export interface RateLimitersOptions {
  quotas: QuotaRegistry;
  clock: Clock;
  metrics: Metrics;
  /** Records the outcome of each call; none by default. */
  outages?: Pick<Outages, "note">;
}

/** A call that needs a permit, and its place in the queue. */
export interface PermitRequest<S extends Service> {
  service: S;
  /** The identity that makes the call. */
  identity: { readonly key: string };
  lane: Lane;
  /** The namespace that the call is for: within a lane, namespaces take turns. Default: empty. */
  namespace?: string | undefined;
  /** A call that nobody wants when its turn comes is canceled. Always wanted by default. */
  isWanted?: IsWanted | undefined;
}

/** One rate limiter for each account, region and service; every call to a service with a quota needs its permit. */
export class RateLimiters {
  readonly #options: RateLimitersOptions;
  /** Each lives as long as its quota scope. */
  readonly #limiters = new WeakMap<QuotaScope, RateLimiter>();
  readonly #endMeasuring: () => void;
  #isStopped = false;

  constructor(options: RateLimitersOptions) {
    this.#options = options;
    this.#endMeasuring = options.metrics.atScrape(() => this.#measure());
  }

  /**
   * Waits for the turn of a call.
   *
   * @returns a permit for one call, to use at once or to give back. Rejects with Canceled if nobody wants the call when
   *   its turn comes, and with an AwsFailure after `stop`
   */
  acquire<S extends Service>(request: PermitRequest<S>): Promise<Permit<S>> {
    const { service, identity, lane, namespace = "", isWanted = always } = request;
    const limiter = this.#limiterOf(this.#options.quotas.scopeOf(identity.key, service));
    return limiter.acquire({ service, identityKey: identity.key, lane, namespace, isWanted });
  }

  /** Rejects every waiting and later request; calls in flight may finish. */
  stop(): void {
    this.#isStopped = true;
    this.#endMeasuring();
    for (const scope of this.#options.quotas.scopes()) this.#limiters.get(scope)?.stop();
  }

  #limiterOf(scope: QuotaScope): RateLimiter {
    let limiter = this.#limiters.get(scope);
    if (!limiter) {
      const { clock, quotas, outages } = this.#options;
      const { service, quota } = scope;
      limiter = new RateLimiter({
        clock,
        quota,
        ownLimit: (identityKey) => quotas.own(identityKey, service),
        note: (identityKey, error) => outages?.note(identityKey, service, error),
      });
      if (this.#isStopped) limiter.stop();
      this.#limiters.set(scope, limiter);
    }
    return limiter;
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
    for (const scope of quotas.scopes()) {
      const limiter = this.#limiters.get(scope);
      for (const lane of lanes) if (limiter) metrics.waits(lane, limiter.depth[lane], limiter.oldestMs(lane));
      const { account, region, service, isKnown, quota } = scope;
      if (isKnown) metrics.quotaUsed.set({ account, region, service }, quota.usedRatio);
    }
  }
}
