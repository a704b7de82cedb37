import { type Clock, sleep } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { KubeError } from "../errors.ts";
import { decideLease, type Lease, type Seen, seen } from "./lease.ts";
import type { LeaseAccess } from "./lease-access.ts";

export interface LeaseObserverOptions {
  access: Pick<LeaseAccess, "get">;
  /** Milliseconds after which a Lease that names no duration has lapsed. */
  leaseDurationMs: number;
  /** Milliseconds between two reads. */
  everyMs: number;
  clock: Clock;
  log: Log;
}

/**
 * `held`: a leader holds the Lease. `free`: its holder has released it, or has not renewed it in time. `unknown`: it has
 * not been read, does not exist, or may not be read.
 */
export type LeaseState = "held" | "free" | "unknown";

/** What others need of an observer. */
export type LeaderView = Pick<LeaseObserver, "state" | "onFree">;

/** Milliseconds that a read may take. */
const readWithinMs = 5_000;
/** An identity that no candidate has. */
const nobody = "";

/** Reads a Lease again and again without taking part in the election. */
export class LeaseObserver {
  readonly #options: LeaseObserverOptions;
  readonly #listeners: (() => void)[] = [];
  #state: LeaseState = "unknown";
  #seen: Seen | undefined;
  #failure: string | undefined;

  constructor(options: LeaseObserverOptions) {
    this.#options = options;
  }

  /** As of the last read that the API server answered. */
  get state(): LeaseState {
    return this.#state;
  }

  /** Calls `listener` whenever the Lease becomes free. */
  onFree(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Observes until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, everyMs } = this.#options;
    while (!signal.aborted) {
      await this.#look();
      await sleep(clock, everyMs, signal);
    }
  }

  async #look(): Promise<void> {
    const { access, log } = this.#options;
    try {
      this.#observe(await access.get(readWithinMs));
      this.#failure = undefined;
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      if (error.kind === "forbidden") this.#state = "unknown";
      if (this.#failure !== error.message) log.info({ error: error.message }, "could not read the Lease, retrying");
      this.#failure = error.message;
    }
  }

  #observe(lease: Lease | undefined): void {
    const { clock, leaseDurationMs } = this.#options;
    const now = clock.monotonic();
    this.#seen = seen(this.#seen, lease, now);
    const { kind } = decideLease({ ...this.#seen, now, identity: nobody, leaseDurationMs });
    const wasFree = this.#state === "free";
    this.#state = !lease ? "unknown" : kind === "wait" ? "held" : "free";
    if (this.#state === "free" && !wasFree) for (const listener of this.#listeners) listener();
  }
}
