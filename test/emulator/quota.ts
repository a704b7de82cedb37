import type { Clock } from "../../src/runtime/clock.ts";
import type { Scope } from "./call.ts";
import { ServiceError } from "./http.ts";

/** The operations that share one quota in AWS (General Reference, "AWS Systems Manager endpoints and quotas"). */
export const metered: ReadonlySet<string> = new Set(["GetParameter", "GetParameters", "GetParametersByPath"]);

/**
 * The throughput of Parameter Store: one token bucket an account and region, shared by every caller. It holds one
 * second's worth.
 */
export class Quota {
  #rate: number | "none";
  #buckets = new Map<string, { tokens: number; at: number }>();
  #clock: Clock;

  /** @param rate requests a second, and the burst; `none` lets everything through */
  constructor(clock: Clock, rate: number | "none") {
    this.#clock = clock;
    this.#rate = rate;
  }

  /** Changes the rate; every bucket is full again. */
  set(rate: number | "none"): void {
    this.#rate = rate;
    this.#buckets.clear();
  }

  /** @throws ServiceError ThrottlingException where this second's share is spent */
  spend({ account, region }: Scope): void {
    if (this.#rate === "none") return;
    const now = this.#clock.monotonic();
    const key = `${account}/${region}`;
    const bucket = this.#buckets.get(key) ?? { tokens: this.#rate, at: now };
    bucket.tokens = Math.min(this.#rate, bucket.tokens + ((now - bucket.at) / 1000) * this.#rate);
    bucket.at = now;
    this.#buckets.set(key, bucket);
    if (bucket.tokens < 1) throw new ServiceError("ThrottlingException", "Rate exceeded");
    bucket.tokens -= 1;
  }
}
