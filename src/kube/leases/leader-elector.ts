import { aborted } from "../../runtime/cancellation.ts";
import { type Clock, endsWithin, type Random, sleep } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { KubeError } from "../errors.ts";
import {
  type Annotations,
  claimed,
  decideLease,
  elapsedMs,
  type Instant,
  type Lease,
  type LeaseDecision,
  released,
  type Seen,
  seen,
} from "./lease.ts";
import type { LeaseAccess } from "./lease-access.ts";

/** The durations of leader election in milliseconds, as client-go's LeaderElectionConfig names them. */
export interface LeaseTiming {
  /** After this time without a renewal, another candidate takes the Lease. */
  leaseDurationMs: number;
  /** After this time without a renewal, the leader stops its work. Less than the lease duration. */
  renewDeadlineMs: number;
  /** Between two renewals, and between two tries after a failure. */
  retryPeriodMs: number;
}

export interface LeaderElectorOptions {
  access: LeaseAccess;
  namespace: string;
  name: string;
  /** Differs between processes: a restarted process is another candidate. */
  identity: string;
  timing: LeaseTiming;
  clock: Clock;
  random: Random;
  log: Log;
  /** Whether this candidate takes the Lease when it is free, and keeps it. Default: always. */
  isWanted?: () => boolean;
  /** The annotations that each write of the Lease sets. Default: none. */
  annotations?: () => Annotations;
  /** Whether the Lease is of replicas that work by other settings; see LeaseSnapshot. Default: never. */
  isForeign?: (lease: Lease) => boolean;
}

/** The work of a leader. */
export interface Term {
  /** After the term's end: resolves when no write is under way. */
  drained: Promise<void>;
  /** After the term's end: resolves to whether all work has ended. Rejects if the work fails. */
  ended: Promise<boolean>;
}

/** client-go's JitterFactor. */
const jitter = 1.2;
/** Milliseconds after a Lease has lapsed within which a candidate tries. */
const tryWithinMs = 250;
/** Milliseconds that a release may take. */
const releaseWithinMs = 1_500;
/** Milliseconds beyond the lease duration after which the election counts as stuck (controller-runtime: 20 s). */
const stuckAfterMs = 20_000;

/**
 * Holds one Lease, or waits for it. Follows client-go's tools/leaderelection; differs in that a candidate watches the
 * Lease, and that a replica that has lost the Lease becomes a candidate again.
 */
export class LeaderElector {
  readonly #options: LeaderElectorOptions;
  /** Undefined if the Lease was never read. */
  #seen: Seen | undefined;
  /** Whether the Lease must be read before it is written. */
  #mustRead = true;
  /** When the last successful write of the Lease was sent; undefined while another candidate leads. */
  #renewedAt: Instant | undefined;
  #wake = () => {};
  /** Whether the next pause is skipped. */
  #isPoked = false;
  /** Monotonic milliseconds of the last step of the election; undefined while it does not run. */
  #steppedAt: number | undefined;
  #failure: string | undefined;
  #refusal: string | undefined;

  constructor(options: LeaderElectorOptions) {
    this.#options = options;
  }

  /** Whether this process may write: it holds the Lease, and neither clock has passed the renew deadline. */
  get isLeader(): boolean {
    return this.#leftMs > 0;
  }

  /** Why this process can never lead; undefined if it can. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** Whether the election makes no step. An API server that cannot be reached is no cause: its requests time out. */
  get isStuck(): boolean {
    const { clock, timing } = this.#options;
    if (this.#steppedAt === undefined) return false;
    return clock.monotonic() - this.#steppedAt > timing.leaseDurationMs + stuckAfterMs;
  }

  /** Takes a change of the Lease from a watch; undefined if it was deleted. */
  changed(lease: Lease | undefined): void {
    if (this.#renewedAt) {
      // May also be older than our own write: the next step reads the Lease.
      if (lease?.spec?.holderIdentity === this.#options.identity) return;
      this.#mustRead = true;
    } else {
      this.#observe(lease);
    }
    this.#wake();
  }

  /** Takes the next step at once, because what `isWanted` or `annotations` returns has changed. */
  poke(): void {
    this.#isPoked = true;
    this.#wake();
  }

  /**
   * Waits for the Lease and works while it is held and wanted, until `signal` aborts. Releases the Lease when it is no
   * longer wanted and all work has ended. When `signal` aborts, releases it when no write is under way.
   *
   * @param begin begins the work; the signal aborts at the term's end
   * @throws Error if the work of a lost term does not end; what the work throws
   */
  async run(signal: AbortSignal, begin: (over: AbortSignal) => Term): Promise<void> {
    const { log, identity, clock } = this.#options;
    while (await this.#acquire(signal)) {
      log.info({ identity }, "leading");
      const lost = new AbortController();
      const term = begin(AbortSignal.any([signal, lost.signal]));
      const keeping = this.#keep(signal);
      try {
        await Promise.race([keeping, term.ended, aborted(signal)]);
      } finally {
        lost.abort();
      }
      if (signal.aborted) {
        await term.drained;
        // A renewal under way would conflict with the release.
        await endsWithin(clock, keeping, releaseWithinMs);
        await this.#release();
        await term.ended;
        return;
      }
      if (this.isLeader && !this.#isWanted) {
        await this.#giveBack(term);
        continue;
      }
      this.#renewedAt = undefined;
      this.#mustRead = true;
      log.warn({ identity }, "no longer leading, standing by");
      if (!(await term.ended)) throw new Error("work goes on although the Lease is lost");
    }
  }

  /** Renews the Lease until all work has ended, and releases it. @throws Error if the work does not end */
  async #giveBack(term: Term): Promise<void> {
    const { clock } = this.#options;
    const over = new AbortController();
    const keeping = this.#keep(over.signal, () => true);
    const hasEnded = await term.ended;
    over.abort();
    if (!hasEnded) throw new Error("work goes on although the Lease is given back");
    await endsWithin(clock, keeping, releaseWithinMs);
    await this.#release();
    this.#mustRead = true;
  }

  /** @returns true when the Lease is held; false when `signal` has aborted */
  async #acquire(signal: AbortSignal): Promise<boolean> {
    const { log, timing, random } = this.#options;
    let holder: string | undefined;
    while (!signal.aborted) {
      this.#step();
      if (!this.#isWanted) {
        holder = undefined;
        await this.#pause(timing.leaseDurationMs, signal);
        continue;
      }
      let decision = this.#decision();
      if (decision?.kind !== "wait") decision = await this.#try(timing.renewDeadlineMs);
      if (decision?.kind === "renew") return true;
      if (decision?.kind !== "wait") {
        await this.#pause(timing.retryPeriodMs * (1 + jitter * random()), signal);
        continue;
      }
      const current = this.#seen?.lease?.spec?.holderIdentity;
      if (current !== holder) log.info({ holder: current }, "standing by");
      holder = current;
      await this.#pause(Math.min(decision.ms + tryWithinMs * random(), timing.leaseDurationMs), signal);
    }
    return false;
  }

  /**
   * Renews until `signal` aborts, another candidate holds the Lease, the renew deadline has passed, or the Lease is no
   * longer wanted.
   */
  async #keep(signal: AbortSignal, isWanted = () => this.#isWanted): Promise<void> {
    const { timing } = this.#options;
    const goesOn = () => !signal.aborted && this.isLeader && isWanted();
    while (goesOn()) {
      await this.#pause(Math.min(timing.retryPeriodMs, this.#leftMs), signal);
      this.#step();
      if (!goesOn()) return;
      if ((await this.#try(this.#leftMs))?.kind === "wait") return;
    }
  }

  /**
   * Reads the Lease where needed, and writes it if it is free or ours.
   *
   * @param withinMs milliseconds for all requests
   * @returns `renew` if the Lease is held now, `wait` if another candidate holds it, undefined after a failure
   */
  async #try(withinMs: number): Promise<LeaseDecision | undefined> {
    const { access, namespace, name, identity, timing, clock } = this.#options;
    const end = clock.monotonic() + withinMs;
    // A lost request must leave time for another.
    const limitMs = () => Math.max(0, Math.min(timing.renewDeadlineMs / 2, end - clock.monotonic()));
    try {
      if (this.#mustRead || this.#decision()?.kind !== "renew") {
        this.#observe(await access.get(limitMs()));
        this.#mustRead = false;
      }
      const decision = this.#decision()!;
      if (decision.kind === "wait") return decision;
      const sentAt = this.#now();
      const annotations = this.#options.annotations?.() ?? {};
      const { leaseDurationMs } = timing;
      const claim = { namespace, name, identity, leaseDurationMs, now: sentAt.wall, annotations };
      this.#observe(await access.put(claimed(this.#seen?.lease, claim), limitMs()));
      this.#renewedAt = sentAt;
      this.#succeeded();
      return { kind: "renew" };
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  /** Frees the Lease for the next leader. Without it, the Lease lapses. */
  async #release(): Promise<void> {
    const { access, clock, log, identity } = this.#options;
    const isHeld = this.isLeader;
    this.#renewedAt = undefined;
    try {
      const lease = this.#mustRead ? await access.get(releaseWithinMs) : this.#seen?.lease;
      if (!isHeld || lease?.spec?.holderIdentity !== identity) return;
      await access.put(released(lease, clock.now()), releaseWithinMs);
      log.info({ identity }, "released the Lease");
    } catch (error) {
      log.warn({ error: messageOf(error) }, "could not release the Lease, which lapses instead");
    }
  }

  #decision(): LeaseDecision | undefined {
    const { identity, timing, clock } = this.#options;
    if (!this.#seen) return undefined;
    const { leaseDurationMs } = timing;
    const { lease } = this.#seen;
    const isForeign = lease !== undefined && (this.#options.isForeign?.(lease) ?? false);
    return decideLease({ ...this.#seen, now: clock.monotonic(), identity, leaseDurationMs, isForeign });
  }

  #observe(lease: Lease | undefined): void {
    this.#seen = seen(this.#seen, lease, this.#options.clock.monotonic());
  }

  #succeeded(): void {
    if (this.#failure !== undefined) this.#options.log.info({}, "the Lease can be renewed again");
    this.#failure = undefined;
    this.#refusal = undefined;
  }

  #failed(error: unknown): void {
    if (!(error instanceof KubeError)) throw error;
    this.#mustRead = true;
    this.#refusal = error.kind === "forbidden" ? error.message : undefined;
    // Another candidate was faster.
    if (["conflict", "alreadyExists", "notFound"].includes(error.kind)) return;
    const level = this.#failure === error.message ? "debug" : this.#refusal ? "error" : "warn";
    this.#failure = error.message;
    this.#options.log[level]({ error: error.message }, "could not take or renew the Lease, retrying");
  }

  /** Milliseconds until the renew deadline; at most 0 without the Lease. */
  get #leftMs(): number {
    if (!this.#renewedAt) return 0;
    return this.#options.timing.renewDeadlineMs - elapsedMs(this.#renewedAt, this.#now());
  }

  #now(): Instant {
    const { clock } = this.#options;
    return { monotonic: clock.monotonic(), wall: clock.now() };
  }

  #step(): void {
    this.#steppedAt = this.#options.clock.monotonic();
  }

  get #isWanted(): boolean {
    return this.#options.isWanted?.() ?? true;
  }

  /** Waits until the Lease changes or `poke` is called, for at most `ms` milliseconds. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    if (!this.#isPoked) await sleep(this.#options.clock, ms, AbortSignal.any([signal, woken.signal]));
    this.#isPoked = false;
    this.#wake = () => {};
  }
}

function messageOf(error: unknown): string {
  return error instanceof KubeError ? error.message : "unknown error";
}
