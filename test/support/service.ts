import { AwsFailure } from "../../src/aws/failure.ts";
import type { Clock, Random } from "../../src/runtime/clock.ts";

/** The AWS error above the quota. */
export const throttled = () =>
  new AwsFailure({ reason: "Throttled", next: "retry", code: "ThrottlingException", message: "throttled" });

/** The numbers of calls and of throttled calls. */
export interface Tally {
  calls: number;
  throttles: number;
}

export interface ServiceOptions {
  clock: Clock;
  random: Random;
  /** Requests per second, and the burst: AWS's token bucket holds one second's worth. */
  rate: number;
  /** Mean round-trip time in milliseconds; a call takes 0.5 to 1.5 times as long. */
  latencyMs?: number;
}

/** An AWS service of one account and region: a token bucket shared by all callers, with latency. */
export class Service {
  rate: number;
  /** The time and the caller of each call, also of throttled ones. */
  readonly sent: { at: number; who: string }[] = [];
  readonly tallies = new Map<string, Tally>();
  readonly #options: ServiceOptions;
  #tokens: number;
  #at: number;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.rate = options.rate;
    this.#tokens = options.rate;
    this.#at = options.clock.monotonic();
  }

  /** Makes one call. Rejects with an AwsFailure if it is throttled. */
  async call(who = ""): Promise<"answer"> {
    const { clock, random, latencyMs = 30 } = this.#options;
    this.sent.push({ at: clock.monotonic(), who });
    const pause = () => new Promise<void>((r) => clock.setTimer(r, Math.round((latencyMs / 2) * (0.5 + random()))));
    await pause();
    const isGranted = this.#grant();
    const tally = this.tally(who);
    tally.calls += 1;
    if (!isGranted) tally.throttles += 1;
    await pause();
    if (!isGranted) throw throttled();
    return "answer";
  }

  tally(who = ""): Tally {
    const tally = this.tallies.get(who) ?? { calls: 0, throttles: 0 };
    this.tallies.set(who, tally);
    return tally;
  }

  /** The share of throttled calls since `tallies` was cleared; 0 without calls. */
  throttledShare(who = ""): number {
    const { calls, throttles } = this.tally(who);
    return calls === 0 ? 0 : throttles / calls;
  }

  #grant(): boolean {
    const now = this.#options.clock.monotonic();
    this.#tokens = Math.min(this.#tokens + ((now - this.#at) / 1_000) * this.rate, this.rate);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** Deterministic random numbers for a seed (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
