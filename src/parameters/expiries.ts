import { isDenial } from "../aws/failure.ts";
import type { ParameterDescription } from "../aws/ssm.ts";
import { Canceled } from "../runtime/cancellation.ts";
import type { Clock, Random, Timer } from "../runtime/clock.ts";
import { sleep } from "../runtime/clock.ts";
import { Failure } from "../runtime/failure.ts";
import type { Lane } from "../runtime/lane.ts";
import {
  type Entry,
  isExpired,
  isSameExpiry,
  type Parameter,
  type ParameterMetadata,
  type ParameterState,
} from "./cache/cache-entry.ts";
import { describablesOf, isArn, isDescribable, nameIn, needsDescription } from "./cache/describable.ts";
import type { Entries } from "./cache/entries.ts";
import { MetadataPool } from "./cache/metadata-pool.ts";
import { type Policies, readPolicies, saysSame } from "./cache/policies.ts";
import { changeParameter } from "./cache/reducer.ts";
import { bareName, type Describer, isOlder } from "./read/describer.ts";
import type { Read } from "./read/pending-reads.ts";
import { PolicyVisibility } from "./read/policy-visibility.ts";
import type { Reader } from "./read/reader.ts";
import { DescribeQueue } from "./schedule/describe-queue.ts";
import { ExpiryClock, skew } from "./schedule/expiry-clock.ts";
import { type Due, ExpiryTimers } from "./schedule/expiry-timers.ts";
import { Resync } from "./schedule/resync.ts";

export interface ExpiriesOptions {
  entries: Entries;
  describer: Describer;
  reader: Reader;
  clock: Clock;
  random: Random;
  /** Whether any dependent of an entry still wants it. */
  isWanted: (entry: Entry) => boolean;
  /** Whether a sync is in progress: descriptions wait for it, since nobody waits for them. */
  isBusy?: (() => boolean) | undefined;
  /** Called with an entry when a parameter has expired, its policies have changed, or a warning is due. */
  notify: (entry: Entry, lane: Lane) => void;
  /** Called with an identity's key when it loses or gains the permission to see policies. */
  seen?: ((identityKey: string) => void) | undefined;
}

/** The time and lane of a description. */
interface At {
  /** Milliseconds since the epoch, by our clock. */
  now: number;
  /** Milliseconds that AWS's clock is ahead of ours. */
  aheadMs: number;
  lane: Lane;
}

/** The result of applying a description; `stale` if it describes a version that has been replaced. */
type Outcome = "same" | "changed" | "expired" | "stale";

/** Milliseconds after which a parameter past its Expiration is described again, if AWS did not answer. */
const againMs = 30_000;
/** The longest such delay, in milliseconds, if AWS's clock is behind the local clock. */
const againAtMostMs = 3_600_000;
/** Milliseconds that a caller waits, at most, for an optional description. */
const waitAtMostMs = 2_000;

/**
 * Keeps the keys and policies of parameters, from DescribeParameters. A parameter is described when it is new, when it
 * has another version, at the instant of its Expiration, and once an hour: fifty names a call. While AWS denies the
 * call, no parameter expires. Only a look at or after the instant of an Expiration proves an expiry.
 */
export class Expiries {
  readonly #options: ExpiriesOptions;
  readonly #expiryTimers: ExpiryTimers;
  readonly #describeQueue: DescribeQueue;
  readonly #visibility: PolicyVisibility;
  readonly #metadataPool = new MetadataPool();
  readonly #resync: Resync<Entry>;
  readonly #expiryClock: ExpiryClock;
  readonly #again = new Set<Timer>();
  #stopped = false;

  constructor(options: ExpiriesOptions) {
    this.#options = options;
    const { clock, random, entries, isBusy } = options;
    this.#visibility = new PolicyVisibility(clock);
    this.#expiryClock = new ExpiryClock(clock);
    this.#describeQueue = new DescribeQueue({
      entries,
      clock,
      isBusy,
      look: (describables) => this.look(describables, "poll"),
    });
    this.#expiryTimers = new ExpiryTimers({ entries, clock, reached: (due) => void this.#reached(due) });
    this.#resync = new Resync({
      clock,
      random,
      all: (identityKey) => [...entries.of(identityKey)].filter(isDescribable),
      weight: (entry) => (entry.reference.kind === "path" ? entry.members.size : 1),
      look: (batch) => void this.look(batch.filter((entry) => entries.has(entry)).flatMap(describablesOf), "poll"),
    });
  }

  /** Why an identity cannot see policies; `seen` if it can; undefined if it has not tried yet. */
  visibilityOf(identityKey: string): Failure | "seen" | undefined {
    return this.#visibility.of(identityKey);
  }

  /** Begins the hourly resync of the entry's identity. */
  watch(entry: Entry): void {
    if (this.#stopped || !isDescribable(entry)) return;
    this.#resync.begin(entry.reference.identity.key);
  }

  /** Queues an entry for description if an answer showed a new parameter or another version. */
  heard(entry: Entry): void {
    if (this.#stopped || !isDescribable(entry)) return;
    if (!describablesOf(entry).some(needsDescription)) return;
    if (!this.#visibility.isDenied(entry.reference.identity.key)) this.#describeQueue.add(entry);
  }

  /** Forgets an entry that has no dependents left. */
  drop(entry: Entry): void {
    const { key } = entry.reference.identity;
    this.#describeQueue.delete(entry);
    const [other] = this.#options.entries.of(key);
    if (other === undefined) {
      this.#resync.end(key);
      this.#describeQueue.clear(key);
      this.#visibility.forget(key);
      this.#expiryClock.forget(key);
    }
    this.#expiryTimers.drop();
  }

  /** Queues a parameter for description after AWS announced a change of it. */
  announced(entry: Entry, name: string): void {
    for (const one of describablesOf(entry)) {
      if (one.state.metadata && bareName(nameIn(one)) === bareName(name)) {
        changeParameter(one, { type: "markedUnsure" });
      }
    }
    this.heard(entry);
  }

  /**
   * Describes parameters that have appeared or reappeared before a dependent acts on them: a parameter past its
   * Expiration that AWS has not deleted yet must not reappear by a look alone. Waits two seconds at most.
   */
  async before(entry: Entry, isMeant: (state: ParameterState, name: string) => boolean, lane: Lane): Promise<void> {
    if (!entry.acting || !isDescribable(entry)) return;
    const meant = describablesOf(entry).filter(({ state, name }) => isMeant(state, name));
    if (meant.length > 0) await this.#lookInTime(meant, lane);
  }

  /**
   * Describes the parameters whose Expiration has passed according to their metadata or the caller's status. With
   * `options.all`, also describes those that have never been described. Waits two seconds at most.
   *
   * @param all.past names whose Expiration has passed according to the caller's status
   */
  async settle(
    all: readonly { entry: Entry; past: ReadonlySet<string> }[],
    lane: Lane,
    options: { all: boolean },
  ): Promise<void> {
    const now = this.#options.clock.now();
    const meant = all.flatMap(({ entry, past }) => {
      if (!isDescribable(entry)) return [];
      return describablesOf(entry).filter(({ state, name }) => {
        const { metadata } = state;
        const isNew = metadata === undefined || metadata.unsure === "stored";
        const isPast = (metadata?.policies?.expiresAt ?? Infinity) <= now || (isNew && past.has(name));
        return (isPast && !isExpired(state)) || (options.all && isNew);
      });
    });
    if (meant.length > 0) await this.#lookInTime(meant, lane);
  }

  /**
   * Describes parameters now.
   *
   * @param how.quiet notifies nobody of changes: the caller checks the entries itself
   * @returns whether AWS answered every call, and every answer is of the current version
   */
  async look(all: readonly Parameter[], lane: Lane, how = { quiet: false }): Promise<boolean> {
    const byIdentity = new Map<string, Parameter[]>();
    for (const one of all) {
      const { key } = one.entry.reference.identity;
      if (this.#visibility.isDenied(key)) continue;
      const describables = byIdentity.get(key);
      if (describables) describables.push(one);
      else byIdentity.set(key, [one]);
    }
    const answers = [...byIdentity].map(async ([key, describables]) => {
      const { identity } = describables[0]!.entry.reference;
      const answer = await this.#options.describer.describe(identity, describables.map(nameIn), lane, () =>
        describables.some((one) => this.#options.isWanted(one.entry)),
      );
      if (answer.state === "failed") {
        if (isDenial(answer.failure)) this.#deny(key, answer.failure);
        return false;
      }
      this.#takeAnswer(key);
      const at = { now: this.#options.clock.now(), aheadMs: answer.clockAheadMs, lane };
      this.#expiryClock.heard(key, answer.clockAheadMs);
      const taking = [...Map.groupBy(describables, ({ entry }) => entry)].map(async ([entry, all]) => {
        const outcomes = await Promise.all(
          all.map((one) => this.#take(one, answer.found.get(bareName(nameIn(one))), at)),
        );
        const isNews = outcomes.includes("changed") || outcomes.includes("expired");
        if (isNews && !how.quiet) this.#options.notify(entry, outcomes.includes("expired") ? "event" : "bulk");
        return !outcomes.includes("stale");
      });
      return (await Promise.all(taking)).every((isOfNow) => isOfNow);
    });
    return (await Promise.all(answers)).every((isHeard) => isHeard) && byIdentity.size > 0;
  }

  /** Fires the expiry timers that a change of the wall clock has made due. */
  clockJumped(): void {
    this.#expiryTimers.check();
  }

  /** Cancels all timers. */
  stop(): void {
    this.#stopped = true;
    this.#expiryTimers.stop();
    for (const timer of this.#again) timer.cancel();
    this.#describeQueue.stop();
    this.#resync.stop();
  }

  /** Applies a description, or its absence. */
  async #take(one: Parameter, description: ParameterDescription | undefined, at: At): Promise<Outcome> {
    const { state, entry } = one;
    const isForeign = entry.reference.kind === "parameter" && isArn(entry.reference.name);
    if (!description || (isForeign && description.arn !== one.name)) return this.#takeAbsent(one, at);
    const { version, modified, keyId, policies: texts } = description;
    const policies = readPolicies(texts, modified);
    const hasPassed = policies?.expiresAt !== undefined && this.#hasPassed(one, policies.expiresAt, at);
    const isReplaced =
      isOlder(description, state.stamp) || (hasPassed && (await this.#isReplaced(one, description, at)));
    if (isReplaced) {
      // The hourly resync describes `stored` metadata anyway.
      if (state.metadata?.unsure !== "stored") changeParameter(one, { type: "markedUnsure" });
      return "stale";
    }
    const isLatest = state.stamp === undefined || state.stamp.version === version;
    const before = state.metadata?.policies;
    const was = isExpired(state) ? state.expired : undefined;
    // If the latest version is not yet seen, or a label names an older one, the expiry applies to every version.
    const expired = hasPassed ? { at: policies.expiresAt!, stamp: isLatest ? state.stamp : undefined } : undefined;
    changeParameter(one, {
      type: "described",
      metadata: this.#metadata(isLatest ? keyId : undefined, policies),
      expired,
    });
    this.#setTimers(one, before, policies);
    if (hasPassed && !was) return "expired";
    return saysSame(before, policies) && isSameExpiry(was, expired) ? "same" : "changed";
  }

  /** Whether an Expiration has passed; if AWS must confirm it, describes the parameter again a minute later. */
  #hasPassed({ state, entry, name }: Parameter, expiresAt: number, at: At): boolean {
    const passed = this.#expiryClock.hasPassed(state, expiresAt, at);
    if (passed === "early") this.#lookAgain({ at: expiresAt, entry, name, expiresAt }, skew.apartMs);
    return passed === true;
  }

  #lookAgain(due: Due, ms: number): void {
    if (this.#stopped) return;
    const { clock, entries } = this.#options;
    const timer = clock.setTimer(() => {
      this.#again.delete(timer);
      if (entries.has(due.entry)) void this.#reached([due]);
    }, ms);
    this.#again.add(timer);
  }

  /**
   * Whether a newer version has replaced the described one. DescribeParameters may lag: a parameter that was written
   * again a second before its Expiration has not expired. A missing parameter is not replaced: AWS has deleted it.
   */
  async #isReplaced(one: Parameter, { version, modified }: ParameterDescription, { lane }: At): Promise<boolean> {
    if (isExpired(one.state)) return false;
    const read = await this.#confirm(one, lane);
    if (read.state === "found") return read.record.version !== version || isOlder({ version, modified }, read.record);
    // An identity that may only describe parameters has no second source.
    return read.state === "failed" && !isDenial(read.failure);
  }

  /**
   * Applies the absence of a description: the parameter does not exist, or is another account's. If it existed until
   * its Expiration, and a read confirms that it is missing, it has expired.
   */
  async #takeAbsent(one: Parameter, at: At): Promise<Outcome> {
    const { state } = one;
    const { keyId, policies } = state.metadata ?? {};
    const described = this.#metadata(keyId, policies);
    changeParameter(one, { type: "described", metadata: described, expired: state.expired });
    const expiresAt = policies?.expiresAt ?? Infinity;
    const wasThere = state.missing === undefined || state.missing.at >= expiresAt;
    if (!this.#hasPassed(one, expiresAt, at) || isExpired(state) || !wasThere) return "same";
    const read = await this.#confirm(one, at.lane);
    if (read.state !== "missing") return "same";
    changeParameter(one, { type: "expired", expired: { at: expiresAt, stamp: state.stamp } });
    return "expired";
  }

  /** Confirms a parameter's state by a look without selector. Parameters that expire together share calls of ten. */
  async #confirm(one: Parameter, lane: Lane): Promise<Read> {
    const { reader, entries } = this.#options;
    const { identity } = one.entry.reference;
    const name = nameIn(one);
    const isWanted = () => this.#options.isWanted(one.entry);
    const reading = reader.read(identity, name, { decrypt: false, lane, confirms: true, isWanted });
    const read = await reading.catch((error: unknown): Read => {
      if (!(error instanceof Canceled)) throw error;
      return {
        state: "failed",
        failure: new Failure("Unreachable", "retry", `read of ${name} canceled: no SyncedSecret uses it any more`),
      };
    });
    // The reader keeps what it remembers of a name only while the name has an entry.
    if (!entries.get({ kind: "parameter", identity, name, selector: "" })) reader.forget(identity, name);
    return read;
  }

  #metadata(keyId: string | undefined, policies: Policies | undefined): ParameterMetadata {
    if (!policies) return this.#metadataPool.of(keyId);
    return { policies, ...(keyId === undefined ? {} : { keyId }) };
  }

  #takeAnswer(identityKey: string): void {
    const news = this.#visibility.answered(identityKey);
    if (news === "regained") this.#resync.hurry(identityKey);
    if (news) this.#options.seen?.(identityKey);
  }

  #deny(identityKey: string, failure: Failure): void {
    const isNews = this.#visibility.denied(identityKey, failure);
    this.#describeQueue.clear(identityKey);
    if (isNews) this.#options.seen?.(identityKey);
  }

  /** Sets expiry timers for the instants that are new in the policies. */
  #setTimers({ entry, name }: Parameter, before: Policies | undefined, after: Policies | undefined): void {
    const now = this.#options.clock.now();
    const { expiresAt, warnAt, unchangedAt } = after ?? {};
    const warnings = [
      ...(before?.warnAt === warnAt ? [] : [warnAt]),
      ...(before?.unchangedAt === unchangedAt ? [] : [unchangedAt]),
    ];
    for (const at of warnings) {
      if (at !== undefined && at > now) this.#expiryTimers.add({ at, entry, name, expiresAt: undefined });
    }
    if (expiresAt !== undefined && before?.expiresAt !== expiresAt) {
      this.#expiryTimers.add({ at: expiresAt, entry, name, expiresAt });
    }
  }

  /** Notifies of warnings, and describes the expiring parameters, all that are due at one instant together. */
  async #reached(due: readonly Due[]): Promise<void> {
    const { entries, notify } = this.#options;
    const expiring: (Parameter & { expiresAt: number })[] = [];
    const warned = new Set<Entry>();
    for (const { entry, name, expiresAt } of due) {
      const state = entry.reference.kind === "path" ? entry.members.get(name) : entry.state;
      if (state && expiresAt === undefined) warned.add(entry);
      else if (state && state.metadata?.policies?.expiresAt === expiresAt && !isExpired(state)) {
        expiring.push({ entry, name, state, expiresAt: expiresAt! });
      }
    }
    for (const entry of warned) notify(entry, "bulk");
    if (expiring.length === 0) return;
    await this.look(expiring, "event");
    for (const { entry, name, state, expiresAt } of expiring) {
      // A denial, a throttle or no answer decides nothing: describe the parameter again.
      const isOpen = state.metadata?.policies?.expiresAt === expiresAt && !isExpired(state);
      const isLate = state.missing !== undefined && state.missing.at < expiresAt;
      if (!isOpen || isLate || !entries.has(entry) || this.#expiryClock.isEarly(state, expiresAt)) continue;
      const restMs = this.#expiryClock.restMs(entry.reference.identity.key, expiresAt);
      this.#lookAgain({ at: expiresAt, entry, name, expiresAt }, Math.min(Math.max(restMs, againMs), againAtMostMs));
    }
  }

  /** Describes parameters for a caller that waits; an answer after the wait notifies the dependents as usual. */
  async #lookInTime(meant: readonly Parameter[], lane: Lane): Promise<void> {
    const over = new AbortController();
    const how = { quiet: true };
    await Promise.race([this.look(meant, lane, how), sleep(this.#options.clock, waitAtMostMs, over.signal)]);
    how.quiet = false;
    over.abort();
  }
}
