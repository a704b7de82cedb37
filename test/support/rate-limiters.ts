import { Metrics } from "../../src/metrics/metrics.ts";
import { type Claim, QuotaRegistry } from "../../src/parameters/quota-registry.ts";
import type { Call } from "../../src/parameters/rate-limiter.ts";
import { RateLimiters } from "../../src/parameters/rate-limiters.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import type { Lane } from "../../src/runtime/lane.ts";
import { FakeClock } from "./clock.ts";

/** Rate limiters with a fake clock, and the calls that they send. */
export interface LanesRig {
  clock: FakeClock;
  quotas: QuotaRegistry;
  lanes: RateLimiters;
  metrics: Metrics;
  /** Calls in the order in which they were sent, with the clock's monotonic milliseconds. */
  sent: { at: number; who: string; lane: Lane }[];
  /** Makes `count` calls of `answer`, by default answered after a millisecond. Resolves when all have been answered. */
  ask: (who: string, lane: Lane, count: number, answer?: () => Promise<unknown>) => Promise<unknown[]>;
}

/** @param limit requests a second without a connection's limit */
export function lanesOver(
  clock: Clock,
  limit: number,
): { quotas: QuotaRegistry; lanes: RateLimiters; metrics: Metrics } {
  const quotas = new QuotaRegistry(clock, { ssm: limit, kms: limit });
  const metrics = new Metrics();
  return { quotas, metrics, lanes: new RateLimiters({ quotas, clock, metrics }) };
}

/** @param limit requests a second without a connection's limit */
export function lanesRig(limit: number): LanesRig {
  const clock = new FakeClock();
  const { quotas, lanes, metrics } = lanesOver(clock, limit);
  const sent: LanesRig["sent"] = [];
  const soon = () => new Promise<void>((resolve) => clock.setTimer(resolve, 1));
  const ask: LanesRig["ask"] = (who, lane, count, answer = soon) => {
    const call: Call<unknown> = () => {
      sent.push({ at: clock.monotonic(), who, lane });
      return answer();
    };
    return Promise.all(Array.from({ length: count }, () => lanes.run({ key: who }, lane, call)));
  };
  return { clock, quotas, lanes, metrics, sent, ask };
}

/** The claim of a cluster connection to account 1 in eu-west-1 without limits, with changes. */
export function claim(identityKey: string, changes: Partial<Claim> = {}): Claim {
  return { identityKey, account: "1", region: "eu-west-1", isCluster: true, limits: {}, ...changes };
}
