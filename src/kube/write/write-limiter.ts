import { Canceled, type IsWanted } from "../../runtime/cancellation.ts";
import type { Clock, Random } from "../../runtime/clock.ts";
import type { Lane } from "../../runtime/lane.ts";
import { noSpan, type Span, traced } from "../../runtime/tracing.ts";
import { isRetryable, KubeError } from "../errors.ts";
import { type AdaptiveLimit, afterWrite, firstLimit, leastWrites, type WriteKind } from "./adaptive-limit.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";
import { Latest } from "./write-latest.ts";
import { bulkStatusPriority, isBulk, type Queued, WriteQueue, writePriorities, writePriority } from "./write-queue.ts";

/** Dependencies of the write limiter. */
export interface WriteLimiterOptions {
  clock: Clock;
  random: Random;
}

/** Slots above the limit for urgent writes only, so that an urgent write never waits for a bulk write to end. */
const urgentReserve = 2;
/**
 * Slots of bulk writes for as long after an urgent one. More of them are quicker together, because the API server and
 * etcd batch writes, but an urgent write queues behind all of them there. Row 8 of the benchmark measures it.
 */
const besideUrgent = { slots: leastWrites, forMs: 5_000 };
/** Milliseconds after which a write releases its slot: an admission webhook can delay the answer by up to 30 s. */
const slowAfterMs = 2_000;
/**
 * Slow writes that have released their slots. A namespace with `ofNamespace` of them begins no more writes of their class.
 * Above `ofAll` in total, counting each namespace and class up to its own limit, slow writes keep their slots.
 */
const maxSlow = { ofNamespace: 8, ofAll: 32 };
/** Milliseconds for which a write is retried after a 429 before its caller gets the error. */
const retryForMs = 10_000;
/** Milliseconds within which 429s, or other overloads, in two namespaces count as an overload of the whole server. */
const overlapWindow = { throttledMs: 1_000, overloadedMs: 10_000 };

/**
 * The lane of a write. If `isWanted` returns false when a slot is free, the write is not begun. A write that still waits
 * when `signal` aborts is dropped at once. Each request is a step of `span`, which shows how long the write waited.
 */
export type WriteTurn =
  | Lane
  | { readonly lane: Lane; readonly isWanted: IsWanted; readonly signal?: AbortSignal; readonly span?: Span };

interface WaitingWrite extends Queued {
  kind: WriteKind;
  begin: () => Promise<unknown>;
  isWanted: IsWanted;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
  /** Monotonic milliseconds of the first 429. */
  throttledAt: number | undefined;
}

type WriteClass = "bulkStatus" | "other";

/** The state of one namespace. */
interface Tenant {
  waiting: number;
  /** Writes under way that hold a slot. */
  held: number;
  /** Slow writes that have released theirs. Statuses of bulk work that hang must not hold back Secrets. */
  slow: Record<WriteClass, number>;
  breaker: CircuitBreaker;
}

/**
 * Limits concurrent writes to the API server to what it handles without queueing. The most urgent lane goes first;
 * within a lane, namespaces take turns. Statuses of bulk work come after all Secrets. Few writes are under way at once, so
 * an urgent write passes thousands of bulk writes. A failure in one namespace, for example of its own webhook or quota,
 * delays only that namespace.
 */
export class WriteLimiter {
  readonly #options: WriteLimiterOptions;
  readonly #queue = new WriteQueue<WaitingWrite>();
  readonly #tenants = new Map<string, Tenant>();
  /** Namespaces that hold slots. */
  readonly #holders = new Set<Tenant>();
  /** The breaker for the whole server; each namespace has its own. */
  readonly #breaker: CircuitBreaker;
  #limit: AdaptiveLimit = firstLimit;
  /** Writes that hold a slot, and the bulk writes among them. */
  #held = { all: 0, bulk: 0 };
  /** Slow writes that count against `maxSlow.ofAll`. */
  #slow = 0;
  /** Monotonic milliseconds of the last urgent write. */
  #urgentAt = Number.NEGATIVE_INFINITY;
  readonly #written = new Latest();
  readonly #throttled = new Latest();
  readonly #overloaded = new Latest();
  #isStopped = false;

  constructor(options: WriteLimiterOptions) {
    this.#options = options;
    this.#breaker = this.#makeBreaker();
  }

  /** The current limit of concurrent writes. Urgent writes may exceed it by two. */
  get limit(): number {
    return this.#limit.limit;
  }

  /** Whether a write holds a slot. */
  get isWriting(): boolean {
    return this.#held.all > 0;
  }

  /** For each lane with waiting writes: their number, and how long the oldest has waited. */
  waits(): Iterable<{ lane: Lane; depth: number; oldestMs: number }> {
    return this.#queue.waits(this.#options.clock.monotonic());
  }

  /**
   * Runs `write` when a slot is free. After a 429 the write is retried for ten seconds. Every other failure goes to the
   * caller, because a write without an answer may have taken effect.
   *
   * @param namespace namespaces take turns within a lane
   * @param write called again after a 429
   * @param kind latencies are compared only within one kind
   * @returns the result of `write`. Rejects with its error, after `stop` with a KubeError `other`, and with Canceled if
   *   the write is no longer wanted when a slot is free, or its signal aborts before.
   */
  run<T>(turn: WriteTurn, namespace: string, write: () => Promise<T>, kind: WriteKind = "secret"): Promise<T> {
    const {
      lane,
      isWanted,
      signal,
      span = noSpan,
    } = typeof turn === "string" ? { lane: turn, isWanted: () => true } : turn;
    if (this.#isStopped) return Promise.reject(stopping());
    if (signal?.aborted) return Promise.reject(new Canceled());
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiting: WaitingWrite = {
      lane,
      priority: writePriority(lane, kind),
      flow: namespace,
      withdrawn: false,
      since: this.#options.clock.monotonic(),
      kind,
      begin: () => traced(span, "kubernetes write", {}, write),
      isWanted,
      resolve: resolve as (value: unknown) => void,
      reject,
      throttledAt: undefined,
    };
    this.#push(waiting);
    const abort = () => {
      if (this.#queue.withdraw(waiting)) this.#drop(waiting);
    };
    if (signal) {
      signal.addEventListener("abort", abort, { once: true });
      // The signal may outlive the write.
      const release = () => signal.removeEventListener("abort", abort);
      promise.then(release, release);
    }
    this.#fill();
    return promise;
  }

  /** Rejects all waiting writes and all later ones. Writes under way may end, but are not retried. */
  stop(): void {
    this.#isStopped = true;
    for (const priority of writePriorities) {
      for (let write = this.#queue.take(priority, () => true); write; write = this.#queue.take(priority, () => true)) {
        this.#drop(write, stopping());
      }
    }
  }

  #push(write: WaitingWrite): void {
    const { flow: namespace } = write;
    let tenant = this.#tenants.get(namespace);
    if (!tenant) {
      const breaker = this.#makeBreaker(() => this.#dropIfIdle(namespace));
      tenant = { waiting: 0, held: 0, slow: { bulkStatus: 0, other: 0 }, breaker };
      this.#tenants.set(namespace, tenant);
    }
    tenant.waiting++;
    if (!isBulk(write.priority)) this.#urgentAt = write.since;
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
    if (held + slow.bulkStatus + slow.other + waiting === 0 && !breaker.isOpen) this.#tenants.delete(namespace);
  }

  #fill(): void {
    for (let next = this.#next(); next; next = this.#next()) {
      // Stay synchronous from isWanted() until the write begins.
      if (next.isWanted()) void this.#write(next);
      else this.#drop(next);
    }
  }

  #drop({ flow, reject }: WaitingWrite, reason: Error = new Canceled()): void {
    this.#tenants.get(flow)!.waiting--;
    this.#dropIfIdle(flow);
    reject(reason);
  }

  /** The write for the next free slot; undefined if no waiting write may begin. */
  #next(): WaitingWrite | undefined {
    for (const priority of writePriorities) {
      const due = this.#queue.isDue(priority) ? this.#take(priority, true) : undefined;
      if (due) return due;
    }
    for (const priority of writePriorities) {
      const next = this.#take(priority, false);
      if (next) return next;
    }
    return undefined;
  }

  /**
   * The next write of a priority that may begin. Namespaces that hold less than half of the slots come first. Slots that
   * another namespace holds above its half, acquired while no other namespace wrote, do not count against them.
   *
   * @param isDue whether a bulk write may use a slot reserved for urgent writes
   */
  #take(priority: number, isDue: boolean): WaitingWrite | undefined {
    const isOfBulk = isBulk(priority);
    if (!this.#queue.has(priority) || !this.#breaker.lets(isOfBulk)) return undefined;
    const { limit } = this.#limit;
    const half = Math.ceil(limit / 2);
    const most = isOfBulk && !isDue ? limit : limit + urgentReserve;
    // Statuses of bulk work have no share: otherwise those of one namespace would delay Secrets of another.
    const beyond = priority === bulkStatusPriority ? 0 : this.#beyond(half);
    const isFree = (uncounted: number) =>
      this.#held.all - uncounted < most && (!isOfBulk || this.#held.bulk - uncounted < this.#bulkLimit());
    const ofClass = classOf(priority);
    const mayWrite = (namespace: string, share: number) => {
      const { held, slow, breaker } = this.#tenants.get(namespace)!;
      const isHeldBack = slow[ofClass] > 0 && held + slow[ofClass] >= maxSlow.ofNamespace;
      return held < share && !isHeldBack && breaker.lets(isOfBulk);
    };
    const first = isFree(beyond) ? this.#queue.take(priority, (namespace) => mayWrite(namespace, half)) : undefined;
    if (first || !isFree(0)) return first;
    return this.#queue.take(priority, (namespace) => mayWrite(namespace, Number.POSITIVE_INFINITY));
  }

  #bulkLimit(): number {
    const isBesideUrgent = this.#options.clock.monotonic() - this.#urgentAt < besideUrgent.forMs;
    return isBesideUrgent ? Math.min(this.#limit.limit, besideUrgent.slots) : this.#limit.limit;
  }

  /** Slots that namespaces hold above `most` each. */
  #beyond(most: number): number {
    let sum = 0;
    for (const { held } of this.#holders) sum += Math.max(held - most, 0);
    return sum;
  }

  async #write(write: WaitingWrite): Promise<void> {
    const { clock } = this.#options;
    const { flow: namespace, kind, priority } = write;
    const isOfBulk = isBulk(priority);
    const tenant = this.#tenants.get(namespace)!;
    tenant.waiting--;
    this.#breaker.began(isOfBulk);
    tenant.breaker.began(isOfBulk);
    const release = this.#hold(tenant, priority);
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
      // A slow write was delayed by something other than the server's load, such as a webhook.
      if (endedAt - beganAt < slowAfterMs)
        this.#limit = afterWrite(this.#limit, { kind, beganAt, endedAt, outcome: "done", wasFull });
      write.resolve(value);
    } catch (error) {
      if (isRetryable(error)) this.#noteOverload(write, error as KubeError, beganAt);
      if (!this.#requeueIfThrottled(write, tenant, error, beganAt)) write.reject(error);
    }
    timer.cancel();
    release.fully();
    this.#dropIfIdle(namespace);
    this.#fill();
  }

  /** Takes a slot. Returns the functions that release it. */
  #hold(tenant: Tenant, priority: number): { asSlow: () => void; fully: () => void } {
    const [isOfBulk, ofClass] = [isBulk(priority), classOf(priority)];
    const { slow } = tenant;
    let isSlow = false;
    const add = (count: number) => {
      tenant.held += count;
      if (tenant.held > 0) this.#holders.add(tenant);
      else this.#holders.delete(tenant);
      this.#held.all += count;
      if (isOfBulk) this.#held.bulk += count;
    };
    const addSlow = (count: number) => {
      this.#slow -= Math.min(slow[ofClass], maxSlow.ofNamespace);
      slow[ofClass] += count;
      this.#slow += Math.min(slow[ofClass], maxSlow.ofNamespace);
    };
    add(1);
    return {
      asSlow: () => {
        if (slow[ofClass] < maxSlow.ofNamespace && this.#slow >= maxSlow.ofAll) return;
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

  /**
   * Lowers the limit if the whole server is overloaded: the connection failed, two namespaces see overloads, or only
   * one namespace writes.
   */
  #noteOverload({ flow: namespace, kind }: WaitingWrite, error: KubeError, beganAt: number): void {
    if (beganAt < this.#limit.cutAt) return;
    const endedAt = this.#options.clock.monotonic();
    const since = endedAt - overlapWindow.overloadedMs;
    this.#overloaded.note(namespace, endedAt);
    const isAlone = this.#tenants.size === 1 && !this.#written.isOfAnother(namespace, since);
    if (error.kind !== "network" && !isAlone && !this.#overloaded.isOfAnother(namespace, since)) return;
    this.#overloaded.forget();
    this.#limit = afterWrite(this.#limit, { kind, beganAt, endedAt, outcome: "overloaded", wasFull: true });
  }

  /**
   * Puts a throttled write back into its lane and opens its namespace's breaker for as long as the server asks. If
   * another namespace was throttled at the same time, opens the server's breaker as well.
   */
  #requeueIfThrottled(write: WaitingWrite, tenant: Tenant, error: unknown, beganAt: number): boolean {
    if (!(error instanceof KubeError) || error.kind !== "tooManyRequests") {
      this.#passed(tenant, beganAt, false);
      return false;
    }
    const now = this.#options.clock.monotonic();
    this.#throttled.note(write.flow, now);
    tenant.breaker.refused(beganAt, error.retryAfterMs);
    if (this.#throttled.isOfAnother(write.flow, now - overlapWindow.throttledMs))
      this.#breaker.refused(beganAt, error.retryAfterMs);
    else this.#breaker.undecided(beganAt, isBulk(write.priority));
    write.throttledAt ??= now;
    if (this.#isStopped || now - write.throttledAt >= retryForMs) return false;
    this.#push(write);
    return true;
  }
}

function classOf(priority: number): WriteClass {
  return priority === bulkStatusPriority ? "bulkStatus" : "other";
}

function stopping(): KubeError {
  return new KubeError("other", "the operator is stopping: the write was not begun");
}
