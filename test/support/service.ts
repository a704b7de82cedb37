import { AwsFailure } from "../../src/aws/failure.ts";
import type { Clock, Random } from "../../src/runtime/clock.ts";

/** What AWS answers past its quota. */
export const throttled = () =>
  new AwsFailure({ reason: "Throttled", next: "retry", code: "ThrottlingException", message: "throttled" });

/** How often something was asked, and how often throttled. */
export interface Tally {
  calls: number;
  throttles: number;
}

export interface ServiceOptions {
  clock: Clock;
  random: Random;
  /** Requests a second, and the burst: AWS's bucket holds one second's worth. */
  rate: number;
  /** Milliseconds that a call takes, there and back: half of it at least, and half of it more at most. */
  latencyMs?: number;
}

/** A service of one account and region: a token bucket that all callers share, some milliseconds away. */
export class Service {
  rate: number;
  /** When each call was sent, and who sent it, whatever came of it. */
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

  /** One call. Rejects with an AwsFailure where it is throttled. */
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

  /** The share of calls that were throttled since `tallies` was cleared; 0 where there was none. */
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

/** Random numbers that are the same for the same seed (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
