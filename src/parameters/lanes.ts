import type { Identity } from "../aws/identity.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { IsWanted } from "../runtime/cancellation.ts";
import type { Clock } from "../runtime/clock.ts";
import { type Lane, lanes } from "../runtime/lane.ts";
import { type Call, Gate } from "./gate.ts";
import type { Outages } from "./outages.ts";
import type { Place, Quotas, Service } from "./quotas.ts";

export interface LanesOptions {
  quotas: Quotas;
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
export class Lanes {
  readonly #options: LanesOptions;
  /** Each is kept for as long as its place is. */
  readonly #gates = new WeakMap<Place, Gate>();
  #isStopped = false;

  constructor(options: LanesOptions) {
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
    const place = quotas.place(identity.key, service);
    let gate = this.#gates.get(place);
    if (!gate) {
      gate = new Gate(clock, place.quota);
      if (this.#isStopped) gate.stop();
      this.#gates.set(place, gate);
    }
    const own = () => quotas.own(identity.key, service);
    const whose = { identityKey: identity.key, namespace, own, isWanted };
    return gate.run(whose, lane, this.#noted(identity.key, service, call));
  }

  /** Rejects every call that waits and every later one; calls under way may end. */
  stop(): void {
    this.#isStopped = true;
    for (const place of this.#options.quotas.places()) this.#gates.get(place)?.stop();
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
    for (const place of this.#options.quotas.places()) {
      for (const lane of some) sum += this.#gates.get(place)?.depth[lane] ?? 0;
    }
    return sum;
  }

  #measure(): void {
    const { metrics, quotas } = this.#options;
    metrics.quotaUsed.reset();
    for (const place of quotas.places()) {
      const gate = this.#gates.get(place);
      for (const lane of lanes) if (gate) metrics.waits(lane, gate.depth[lane], gate.oldestMs(lane));
      const { account, region, service, isKnown, quota } = place;
      if (isKnown) metrics.quotaUsed.set({ account, region, service }, quota.usedRatio);
    }
  }
}
