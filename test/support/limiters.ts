import { type PermitRequest, RateLimiters } from "../../src/aws/ratelimit/limiters.ts";
import { type Claim, QuotaRegistry, type Service } from "../../src/aws/ratelimit/quota-registry.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import type { Lane } from "../../src/runtime/lane.ts";
import { FakeClock } from "./clock.ts";

/** Rate limiters with a fake clock, and the calls that they send. */
export interface LimitersRig {
  clock: FakeClock;
  quotas: QuotaRegistry;
  limiters: RateLimiters;
  metrics: Metrics;
  /** Calls in the order in which they were sent, with the clock's monotonic milliseconds. */
  sent: { at: number; who: string; lane: Lane }[];
  /** Makes `count` calls of `answer`, by default answered after a millisecond. Resolves when all have been answered. */
  ask: (who: string, lane: Lane, count: number, answer?: () => Promise<unknown>) => Promise<unknown[]>;
}

/** @param limit requests a second without a connection's limit */
export function limitersOver(
  clock: Clock,
  limit: number,
): { quotas: QuotaRegistry; limiters: RateLimiters; metrics: Metrics } {
  const quotas = new QuotaRegistry(clock, { ssm: limit, kms: limit });
  const metrics = new Metrics();
  return { quotas, metrics, limiters: new RateLimiters({ quotas, clock, metrics }) };
}

/** @param limit requests a second without a connection's limit */
export function limitersRig(limit: number): LimitersRig {
  const clock = new FakeClock();
  const { quotas, limiters, metrics } = limitersOver(clock, limit);
  const sent: LimitersRig["sent"] = [];
  const soon = () => new Promise<void>((resolve) => clock.setTimer(resolve, 1));
  const ask: LimitersRig["ask"] = (who, lane, count, answer = soon) => {
    const call = () => {
      sent.push({ at: clock.monotonic(), who, lane });
      return answer();
    };
    return Promise.all(Array.from({ length: count }, () => send(limiters, { identity: { key: who }, lane }, call)));
  };
  return { clock, quotas, limiters, metrics, sent, ask };
}

/** Acquires a permit, by default for Systems Manager, and makes a call with it. */
export async function send<T>(
  limiters: RateLimiters,
  request: Omit<PermitRequest<Service>, "service"> & { service?: Service },
  call: () => Promise<T>,
): Promise<T> {
  const permit = await limiters.acquire<Service>({ service: "ssm", ...request });
  return permit.use(call);
}

/** The claim of a cluster connection to account 1 in eu-west-1 without limits, with changes. */
export function claim(identityKey: string, changes: Partial<Claim> = {}): Claim {
  return { identityKey, account: "1", region: "eu-west-1", isCluster: true, limits: {}, ...changes };
}
