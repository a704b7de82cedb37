import type { ParameterNotice } from "../../aws/notice.ts";
import type { Clock } from "../../runtime/clock.ts";

/** A parameter in its place, as a notice says. */
type Announced = Pick<ParameterNotice, "account" | "region" | "name">;

/** Names that are remembered, at most; the oldest give way. */
const namesAtMost = 10_000;

/** Which parameters events have lately been about: a look that finds a change then owes it to the event. */
export class RecentNotices {
  readonly #clock: Clock;
  readonly #keptMs: number;
  /** The oldest first; by the monotonic clock. */
  readonly #seen = new Map<string, { announced: Announced; at: number }>();

  /** @param keptMs milliseconds that a notice is remembered */
  constructor(clock: Clock, keptMs: number) {
    this.#clock = clock;
    this.#keptMs = keptMs;
  }

  add({ account, region, name }: Announced): void {
    const key = `${account}\n${region}\n${name}`;
    this.#seen.delete(key);
    this.#seen.set(key, { announced: { account, region, name }, at: this.#clock.monotonic() });
    this.#prune();
  }

  /** Whether one of those that are remembered is of this place, and its name is one that is meant. */
  some(account: string, region: string, isMeant: (name: string) => boolean): boolean {
    this.#prune();
    for (const { announced } of this.#seen.values()) {
      if (announced.account === account && announced.region === region && isMeant(announced.name)) return true;
    }
    return false;
  }

  #prune(): void {
    const oldest = this.#clock.monotonic() - this.#keptMs;
    for (const [key, { at }] of this.#seen) {
      if (at >= oldest && this.#seen.size <= namesAtMost) return;
      this.#seen.delete(key);
    }
  }
}
