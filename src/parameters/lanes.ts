import type { Identity } from "../aws/identity.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import { type Lane, lanes } from "../runtime/lane.ts";
import { type Call, Gate } from "./gate.ts";
import type { Quotas, Service } from "./quotas.ts";

export interface LanesOptions {
  quotas: Quotas;
  clock: Clock;
  metrics: Metrics;
}

/** The way to AWS: every call of a service that has a quota passes the gate of its account and region, by its lane. */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #gates = new Map<string, Gate>();

  constructor(options: LanesOptions) {
    this.#options = options;
    options.metrics.atScrape(() => this.#measure());
  }

  /**
   * Makes `call` when its turn comes, and again, some times, while AWS throttles it.
   *
   * @returns what `call` returns; rejects with what it throws
   */
  run<T>(identity: Pick<Identity, "key">, lane: Lane, call: Call<T>, service: Service = "ssm"): Promise<T | undefined> {
    const { quotas, clock } = this.#options;
    const { account, region, quota } = quotas.place(identity.key, service);
    const key = `${account}/${region}/${service}`;
    let gate = this.#gates.get(key);
    if (!gate) {
      gate = new Gate(clock, quota);
      this.#gates.set(key, gate);
    }
    return gate.run(identity.key, () => quotas.own(identity.key, service), lane, call);
  }

  /** Calls that wait for their turn. */
  get waiting(): number {
    let sum = 0;
    for (const gate of this.#gates.values()) for (const lane of lanes) sum += gate.depth[lane];
    return sum;
  }

  #measure(): void {
    const { metrics, quotas } = this.#options;
    for (const gate of this.#gates.values()) {
      for (const lane of lanes) metrics.waits(lane, gate.depth[lane], gate.oldestMs(lane));
    }
    for (const { account, region, service, quota } of quotas.places()) {
      metrics.quotaUsed.set({ account, region, service }, quota.usedRatio);
    }
  }
}
