import { Canceled, type IsWanted } from "../runtime/cancellation.ts";
import type { Clock, Random } from "../runtime/clock.ts";
import { type Lane, lanes } from "../runtime/lane.ts";
import { type AdaptiveLimit, afterWrite, firstLimit, type WriteKind } from "./adaptive-limit.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";
import { isRetryable, KubeError } from "./errors.ts";
import { Latest } from "./write-latest.ts";
import { type Queued, WriteQueue } from "./write-queue.ts";

/** Outside worlds of the places. */
export interface WriteLimiterOptions {
  clock: Clock;
  random: Random;
}

/** Places beyond the limit that only urgent writes take, so that none ever waits for one of the mass to end. */
const keptForUrgent = 2;
/** Milliseconds after which a write gives its place back: an admission webhook can make the server answer after 30 s. */
const slowAfterMs = 2_000;
/**
 * Writes without a place: with so many a namespace begins no more, and beyond so many of all, each namespace reckoned at
 * its own bound, they keep their places.
 */
const mostSlow = { ofNamespace: 8, ofAll: 32 };
/** Milliseconds for which a write that the server throttles is tried again, before its caller is told. */
const triesForMs = 10_000;
/** Milliseconds within which the 429s of two namespaces are the server's own, and other overloads. */
const sameMoment = { throttledMs: 1_000, overloadedMs: 10_000 };

/** Whom a write is for, and whether it is still wanted when a place is free: else it is not begun. */
export type WriteTurn = Lane | { readonly lane: Lane; readonly isWanted: IsWanted };

interface WaitingWrite extends Queued {
  kind: WriteKind;
  isBulk: boolean;
  begin: () => Promise<unknown>;
  isWanted: IsWanted;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
  /** Monotonic milliseconds of its first 429. */
  throttledAt: number | undefined;
}

/** What a namespace has here. */
interface Tenant {
  waiting: number;
  /** Its writes under way that hold a place, and those that have lasted too long to. */
  held: number;
  slow: number;
  breaker: CircuitBreaker;
}

/**
 * The places for writes to the API server: as many as it takes without a queue inside it, given to the most urgent lane
 * first, and within a lane to the namespaces in turn. Since few are under way, one that cannot wait gets through while
 * thousands of the mass do. What goes wrong in one namespace, where a webhook or a quota of its own may be the cause,
 * holds up that namespace alone.
 */
export class WriteLimiter {
  readonly #options: WriteLimiterOptions;
  readonly #queue = new WriteQueue<WaitingWrite>();
  readonly #tenants = new Map<string, Tenant>();
  /** Those that hold places. */
  readonly #holders = new Set<Tenant>();
  /** Whether the server takes any write at all. */
  readonly #breaker: CircuitBreaker;
  #limit: AdaptiveLimit = firstLimit;
  /** Writes that hold a place, and those of the mass among them. */
  #held = { all: 0, bulk: 0 };
  /** Writes that have given their places back, as far as they count against the bound of all. */
  #slow = 0;
  readonly #written = new Latest();
  readonly #throttled = new Latest();
  readonly #overloaded = new Latest();
  #isStopped = false;

  constructor(options: WriteLimiterOptions) {
    this.#options = options;
    this.#breaker = this.#makeBreaker();
  }

  /** Writes that may be under way at once, now; urgent ones, two more. */
  get limit(): number {
    return this.#limit.limit;
  }

  /** Of each lane in which writes wait: how many, and for how many milliseconds the oldest. */
  waits(): Iterable<{ lane: Lane; depth: number; oldestMs: number }> {
    return this.#queue.waits(this.#options.clock.monotonic());
  }

  /**
   * Writes when a place is free. What the server throttles (429) keeps its turn for ten seconds; every other failure
   * is the caller's, since a write that was not answered may have been done.
   *
   * @param namespace whose turn it takes
   * @param write is called again after a 429
   * @param kind with what its time is compared
   * @returns what `write` does, and rejects as it does; after `stop` with a KubeError `other`, and with Canceled
   *   where it is not wanted any more when a place is free
   */
  run<T>(turn: WriteTurn, namespace: string, write: () => Promise<T>, kind: WriteKind = "secret"): Promise<T> {
    const { lane, isWanted } = typeof turn === "string" ? { lane: turn, isWanted: () => true } : turn;
    if (this.#isStopped) return Promise.reject(stopping());
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#push({
      lane,
      namespace,
      since: this.#options.clock.monotonic(),
      kind,
      isBulk: lane === "bulk" || lane === "poll",
      begin: write,
      isWanted,
      resolve: resolve as (value: unknown) => void,
      reject,
      throttledAt: undefined,
    });
    this.#fill();
    return promise;
  }

  /** Rejects every write that waits and every later one. A write under way may end; it is not tried again. */
  stop(): void {
    this.#isStopped = true;
    for (const lane of lanes) {
      for (let write = this.#queue.take(lane, () => true); write; write = this.#queue.take(lane, () => true)) {
        this.#tenants.get(write.namespace)!.waiting--;
        this.#dropIfIdle(write.namespace);
        write.reject(stopping());
      }
    }
  }

  #push(write: WaitingWrite): void {
    let tenant = this.#tenants.get(write.namespace);
    if (!tenant) {
      const { namespace } = write;
      tenant = { waiting: 0, held: 0, slow: 0, breaker: this.#makeBreaker(() => this.#dropIfIdle(namespace)) };
      this.#tenants.set(namespace, tenant);
    }
    tenant.waiting++;
    this.#queue.push(write);
  }

  #makeBreaker(halfOpened = () => {}): CircuitBreaker {
    return new CircuitBreaker({
      ...this.#options,
      halfOpened: () => {
        halfOpened();
        this.#fill();
      },
    });
  }

  #dropIfIdle(namespace: string): void {
    const { held, slow, waiting, breaker } = this.#tenants.get(namespace)!;
    if (held + slow + waiting === 0 && !breaker.isOpen) this.#tenants.delete(namespace);
  }

  #fill(): void {
    for (let next = this.#next(); next; next = this.#next()) {
      // Nothing is waited for between this and the write's beginning.
      if (next.isWanted()) void this.#write(next);
      else this.#drop(next);
    }
  }

  #drop({ namespace, reject }: WaitingWrite): void {
    this.#tenants.get(namespace)!.waiting--;
    this.#dropIfIdle(namespace);
    reject(new Canceled());
  }

  /** The write that takes the next free place; undefined where there is none for what waits. */
  #next(): WaitingWrite | undefined {
    for (const lane of lanes) {
      const due = this.#queue.isDue(lane) ? this.#take(lane, true) : undefined;
      if (due) return due;
    }
    for (const lane of lanes) {
      const next = this.#take(lane, false);
      if (next) return next;
    }
    return undefined;
  }

  /**
   * The next write of a lane for which there is a place. Namespaces that have less than half of the places come first;
   * what another has beyond its half, from a time when nobody else wrote, does not count against them.
   *
   * @param isDue whether one of the mass may have a place that is kept for urgent ones
   */
  #take(lane: Lane, isDue: boolean): WaitingWrite | undefined {
    const isBulk = lane === "bulk" || lane === "poll";
    if (!this.#breaker.lets(isBulk)) return undefined;
    const { limit } = this.#limit;
    const half = Math.ceil(limit / 2);
    const most = isBulk && !isDue ? limit : limit + keptForUrgent;
    const beyond = this.#beyond(half);
    const isFree = (uncounted: number) =>
      this.#held.all - uncounted < most && (!isBulk || this.#held.bulk - uncounted < limit);
    const mayWrite = (namespace: string, share: number) => {
      const { held, slow, breaker } = this.#tenants.get(namespace)!;
      return held < share && (slow === 0 || held + slow < mostSlow.ofNamespace) && breaker.lets(isBulk);
    };
    const first = isFree(beyond) ? this.#queue.take(lane, (namespace) => mayWrite(namespace, half)) : undefined;
    if (first || !isFree(0)) return first;
    return this.#queue.take(lane, (namespace) => mayWrite(namespace, Number.POSITIVE_INFINITY));
  }

  /** How many places are held by namespaces beyond `most` each. */
  #beyond(most: number): number {
    let sum = 0;
    for (const { held } of this.#holders) sum += Math.max(held - most, 0);
    return sum;
  }

  async #write(write: WaitingWrite): Promise<void> {
    const { clock } = this.#options;
    const { namespace, kind, isBulk } = write;
    const tenant = this.#tenants.get(namespace)!;
    tenant.waiting--;
    this.#breaker.began(isBulk);
    tenant.breaker.began(isBulk);
    const release = this.#hold(tenant, isBulk);
    const wasFull = this.#held.all >= this.#limit.limit;
    const beganAt = clock.monotonic();
    const timer = clock.setTimer(() => {
      this.#passed(tenant, beganAt, false);
      release.asSlow();
      this.#fill();
    }, slowAfterMs);
    try {
      const value = await write.begin();
      const endedAt = clock.monotonic();
      this.#passed(tenant, beganAt, true);
      this.#written.note(namespace, endedAt);
      // One that lasted so long was held up for a reason of its own.
      if (endedAt - beganAt < slowAfterMs)
        this.#limit = afterWrite(this.#limit, { kind, beganAt, endedAt, outcome: "done", wasFull });
      write.resolve(value);
    } catch (error) {
      if (isRetryable(error)) this.#noteOverload(write, error as KubeError, beganAt);
      if (!this.#keepsItsTurn(write, tenant, error, beganAt)) write.reject(error);
    }
    timer.cancel();
    release.fully();
    this.#dropIfIdle(namespace);
    this.#fill();
  }

  /** Takes a place, and gives what gives it back. */
  #hold(tenant: Tenant, isBulk: boolean): { asSlow: () => void; fully: () => void } {
    let isSlow = false;
    const add = (count: number) => {
      tenant.held += count;
      if (tenant.held > 0) this.#holders.add(tenant);
      else this.#holders.delete(tenant);
      this.#held.all += count;
      if (isBulk) this.#held.bulk += count;
    };
    const addSlow = (count: number) => {
      this.#slow -= Math.min(tenant.slow, mostSlow.ofNamespace);
      tenant.slow += count;
      this.#slow += Math.min(tenant.slow, mostSlow.ofNamespace);
    };
    add(1);
    return {
      asSlow: () => {
        if (tenant.slow < mostSlow.ofNamespace && this.#slow >= mostSlow.ofAll) return;
        isSlow = true;
        add(-1);
        addSlow(1);
      },
      fully: () => (isSlow ? addSlow(-1) : add(-1)),
    };
  }

  #passed(tenant: Tenant, beganAt: number, isWritten: boolean): void {
    this.#breaker.passed(beganAt, isWritten);
    tenant.breaker.passed(beganAt, isWritten);
  }

  /** Lowers the limit where the server itself is overloaded: no connection, two namespaces, or the only one there is. */
  #noteOverload({ namespace, kind }: WaitingWrite, error: KubeError, beganAt: number): void {
    if (beganAt < this.#limit.cutAt) return;
    const endedAt = this.#options.clock.monotonic();
    const since = endedAt - sameMoment.overloadedMs;
    this.#overloaded.note(namespace, endedAt);
    const isAlone = this.#tenants.size === 1 && !this.#written.isOfAnother(namespace, since);
    if (error.kind !== "network" && !isAlone && !this.#overloaded.isOfAnother(namespace, since)) return;
    this.#overloaded.forget();
    this.#limit = afterWrite(this.#limit, { kind, beganAt, endedAt, outcome: "overloaded", wasFull: true });
  }

  /**
   * Puts a write that was throttled back into its lane, and closes its namespace for as long as the server asks; all
   * where another namespace is throttled in the same moment.
   */
  #keepsItsTurn(write: WaitingWrite, tenant: Tenant, error: unknown, beganAt: number): boolean {
    if (!(error instanceof KubeError) || error.kind !== "tooManyRequests") {
      this.#passed(tenant, beganAt, false);
      return false;
    }
    const now = this.#options.clock.monotonic();
    this.#throttled.note(write.namespace, now);
    tenant.breaker.refused(beganAt, error.retryAfterMs);
    if (this.#throttled.isOfAnother(write.namespace, now - sameMoment.throttledMs))
      this.#breaker.refused(beganAt, error.retryAfterMs);
    else this.#breaker.undecided(beganAt, write.isBulk);
    write.throttledAt ??= now;
    if (this.#isStopped || now - write.throttledAt >= triesForMs) return false;
    this.#push(write);
    return true;
  }
}

function stopping(): KubeError {
  return new KubeError("other", "the operator is stopping: the write was not begun");
}
