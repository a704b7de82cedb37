import type { Identity } from "../aws/identity.ts";
import type { ByteBudget } from "../runtime/byte-budget.ts";
import { always, Canceled } from "../runtime/cancellation.ts";
import { ClockWatch } from "../runtime/clock-watch.ts";
import { namespaceOf } from "../runtime/fair-queue.ts";
import type { Lane } from "../runtime/lane.ts";
import { Answers } from "./answers.ts";
import { type Entry, isRipe, newEntry, wasJustAsked } from "./cache/cache-entry.ts";
import { ChangeTracker } from "./cache/change-tracker.ts";
import { DeletionConfirmer } from "./cache/deletion-confirmer.ts";
import { Entries } from "./cache/entries.ts";
import { Members, type MembersOptions } from "./cache/members.ts";
import { changeEntry } from "./cache/reducer.ts";
import { forgetStored, isClaimed, remember } from "./cache/stored.ts";
import { Expiries } from "./expiries.ts";
import type { ObserverOptions } from "./observer-options.ts";
import { Describer } from "./read/describer.ts";
import type { Read } from "./read/pending-reads.ts";
import { ReadAudit } from "./read/read-audit.ts";
import {
  isPassedThrough,
  type ParameterReference,
  type Reference,
  referenceKey,
  requestName,
} from "./read/reference.ts";
import type { StampedValue } from "./read/version-stamp.ts";
import { LookCoalescer } from "./schedule/look-coalescer.ts";
import { Schedule } from "./schedule/schedule.ts";
import { type Announced, intervalOf, type ReadFor, type Subscription, type Values } from "./subscription.ts";
import { ValueReads } from "./value-reads.ts";

/** Milliseconds until the look is repeated if a hint's look showed no change: the hint may precede the change. */
const againAfterHintMs = 5_000;
const nobody: ReadonlySet<string> = new Set();

/** Which parameters must be described before a reconcile goes on. */
export interface Settling {
  /** Whether to describe every parameter that has never been described. */
  all: boolean;
  /** Names of parameters whose Expiration has passed according to the caller's status, by reference key. */
  past?: ReadonlyMap<string, ReadonlySet<string>>;
}

/**
 * Keeps one cache entry for each distinct reference, schedules its looks, and notifies the dependents when it changes.
 * It compares versions, never values.
 */
export class Observer {
  /** Policies, KMS keys and expiry timers. */
  readonly expiries: Expiries;
  readonly #options: ObserverOptions;
  readonly #entries = new Entries();
  readonly #byDependent = new Map<string, Entry[]>();
  /** SyncedSecrets that cause no AWS calls until `depend` is called for them again. */
  readonly #paused = new Set<string>();
  readonly #audit: ReadAudit;
  readonly #answers: Answers;
  readonly #valueReads: ValueReads;
  readonly #schedule: Schedule;
  readonly #members: Members;
  readonly #lookCoalescer: LookCoalescer<Entry, void>;
  readonly #clockWatch: ClockWatch;
  /** The part of the metric of watched parameters that this observer has added. */
  #counted = 0;
  #isStopped = false;

  constructor(options: ObserverOptions) {
    this.#options = options;
    this.#audit = new ReadAudit(options.audit);
    const { clock, random, missingGraceMs, reader, isAnnounced = () => false, stretched = () => {} } = options;
    const lookAgain = (entry: Entry) => ifWanted(this.#lookAt(entry, "poll"));
    const isWanted = (entry: Entry) => this.#isWanted(entry);
    const common = { clock, missingGraceMs, isWanted };
    this.expiries = new Expiries({
      ...{ entries: this.#entries, describer: new Describer(options.limiters), reader, clock, random },
      notify: (entry, lane) => this.#answers.notify(entry, lane),
      ...{ isBusy: options.isBusy, seen: options.seen, isWanted },
    });
    const confirmer = new DeletionConfirmer({ ...common, entries: this.#entries, look: lookAgain });
    const describe: MembersOptions["describe"] = (...how) => this.expiries.before(...how);
    this.#members = new Members({ ...common, reader, confirmer, describe });
    const look = (entries: Entry[]) => this.#poll(entries);
    this.#schedule = new Schedule({ ...options, isAnnounced, stretched, look });
    this.#clockWatch = options.clockWatch ?? new ClockWatch(clock);
    this.#clockWatch.onJump(({ wallMs, suspendedMs }) => {
      this.#schedule.hasten(this.#entries.all(), Math.max(Math.abs(wallMs), suspendedMs));
      this.expiries.clockJumped();
    });
    const parts = { entries: this.#entries, clockWatch: this.#clockWatch };
    this.#answers = new Answers({
      ...{ ...options, ...parts, confirmer },
      ...{ members: this.#members, expiries: this.expiries, schedule: this.#schedule },
    });
    this.#valueReads = new ValueReads({ ...options, ...parts, answers: this.#answers, audit: this.#audit });
    this.#lookCoalescer = new LookCoalescer(options.clock, (entry) => {
      // The look serves all dependents. It is queued under the first one's namespace.
      const [first = ""] = entry.dependents.keys();
      return this.#lookAt(entry, "event", { namespace: namespaceOf(first) });
    });
  }

  /** Replaces the subscriptions of a SyncedSecret. */
  depend(dependent: string, subscriptions: readonly Subscription[]): void {
    const before = this.#byDependent.get(dependent) ?? [];
    const wasPaused = this.#paused.delete(dependent);
    const after = new Set<Entry>();
    if (subscriptions.length > 0) this.#clockWatch.start();
    for (const subscription of subscriptions) {
      const { actsOnExpiry, leaves } = subscription;
      const entry = this.#entry(subscription.reference);
      this.#remember(entry, dependent, subscription);
      after.add(entry);
      const before = entry.intervalMs;
      changeEntry(entry, { type: "dependentAdded", dependent, intervalMs: intervalOf(subscription) });
      changeEntry(entry, { type: "wished", dependent, actsOnExpiry, leaves });
      // Draw the random instant once, not for each dependent: the earliest of a thousand draws is always now.
      if (wasPaused || entry.intervalMs < before) this.#schedule.within(entry);
      this.expiries.watch(entry);
    }
    for (const entry of before) if (!after.has(entry)) this.#release(entry, dependent);
    if (after.size > 0) this.#byDependent.set(dependent, [...after]);
    else this.#byDependent.delete(dependent);
  }

  /** Takes over a dependent's previous status. If AWS already reports the parameter missing, plans the confirmation. */
  #remember(entry: Entry, dependent: string, { stored }: Subscription): void {
    const { clock, missingGraceMs } = this.#options;
    if (remember(entry, dependent, stored).length > 0) this.#members.claim(entry);
    if (!entry.looked || !entry.stored) return;
    const { since } = entry.state.missing ?? { since: clock.monotonic() };
    this.#schedule.by(entry, Math.max(clock.monotonic(), since + missingGraceMs));
  }

  /**
   * Stops AWS calls for a SyncedSecret until `depend` is called again, for example while its permission to read is
   * unknown. Cache entries are kept.
   */
  pause(dependent: string): void {
    if (this.#byDependent.has(dependent)) this.#paused.add(dependent);
  }

  /** The cache entry of a reference; undefined if it has no dependents. */
  entry(reference: Reference): Readonly<Entry> | undefined {
    return this.#entries.get(reference);
  }

  /** Looks at references now, without decryption. Resolves when every look has been answered or has failed. */
  async look(
    references: readonly Reference[],
    lane: Lane,
    { namespace = "", isWanted = always, span }: Pick<ReadFor, "namespace" | "isWanted" | "span"> = {},
  ): Promise<void> {
    const whom = { namespace, isWanted, span };
    await Promise.all(references.map((reference) => this.#lookAt(this.#known(reference), lane, whom)));
  }

  /**
   * Looks, without decryption, at the entries that an announced change concerns. If a look fails or sees no change, a
   * poll repeats it soon after.
   *
   * @param name the parameter's name; the parameter is in the identity's region
   */
  async announced(identity: Identity, account: string, name: string): Promise<Announced> {
    const { clock } = this.#options;
    const at = { account, region: identity.region, name };
    const dependants = new Set<string>();
    let [changed, isHeard] = [false, true];
    const look = async (entry: Entry) => {
      changeEntry(entry, { type: "hinted", now: clock.monotonic() });
      const tracker = new ChangeTracker(entry);
      try {
        await ifWanted(this.#lookCoalescer.look(entry));
        this.expiries.announced(entry, name);
        if (tracker.hasServedChanged) changed = true;
        else this.#schedule.by(entry, clock.monotonic() + againAfterHintMs);
      } finally {
        tracker.end();
      }
      if (entry.failure?.next === "retry") isHeard = false;
      for (const dependent of entry.dependents.keys()) dependants.add(dependent);
    };
    await Promise.all(this.#entries.concerned(identity.key, at).map(look));
    return { dependants: [...dependants], changed, isHeard };
  }

  /** Looks at the references whose expiry must be known before a reconcile goes on; see `Expiries.settle`. */
  async settle(references: readonly Reference[], lane: Lane, { all, past }: Settling): Promise<void> {
    const isDue = (reference: Reference) => past?.has(referenceKey(reference)) === true;
    const unseen = references.filter((reference) => isDue(reference) && !this.#known(reference).looked);
    if (unseen.length > 0) await this.look(unseen, lane);
    const entries = references.map((reference) => ({
      entry: this.#known(reference),
      past: past?.get(referenceKey(reference)) ?? nobody,
    }));
    await this.expiries.settle(entries, lane, { all });
  }

  /** Brings the polls of an identity forward to its current intervals. */
  replan(identityKey: string): void {
    for (const entry of this.#entries.of(identityKey)) this.#schedule.within(entry);
  }

  /**
   * The largest factor by which any poll interval of a SyncedSecret exceeds the interval that it asks for.
   *
   * @param askedMs the requested poll interval, in milliseconds
   */
  longestFactor(dependent: string, askedMs: number): number {
    let longest = 1;
    for (const entry of this.#byDependent.get(dependent) ?? []) {
      const floor = (entry.dependents.get(dependent) ?? askedMs) / askedMs;
      longest = Math.max(longest, this.#schedule.factor(entry) * (Number.isFinite(floor) ? floor : 1));
    }
    return longest;
  }

  /** The factor by which the quota stretches the poll intervals of an identity; 1 if it does not. */
  stretch(identityKey: string): number {
    return this.#schedule.stretch(identityKey);
  }

  /** Reads a reference's values with decryption. Concurrent reconciles share one read. */
  values(reference: Reference, lane: Lane, readFor: ReadFor = {}): Promise<Values> {
    return this.#valueReads.values(this.#known(reference), lane, readFor);
  }

  /** Reads one version by its number for one Secret. The version is neither observed nor cached. */
  valueOf(
    reference: ParameterReference,
    lane: Lane,
    readFor: ReadFor = {},
  ): Promise<{ state: "found"; stamped: StampedValue } | Exclude<Read, { state: "found" }>> {
    return this.#valueReads.valueOf(reference, lane, readFor);
  }

  /** The budget of decrypted bytes in flight: each holder of values takes a ticket from it. */
  get inFlight(): ByteBudget {
    return this.#options.pathReader.inFlight;
  }

  /** Clears the decrypted value cache: the reconciles that needed it are done. */
  dropValues(): void {
    this.#valueReads.clear();
  }

  /** How many references have cached values. */
  get valuesHeld(): number {
    return this.#valueReads.size;
  }

  /** Cancels all timers and clears the decrypted value cache. */
  stop(): void {
    this.#count(0);
    this.#isStopped = true;
    this.#clockWatch.stop();
    this.#schedule.stop();
    this.expiries.stop();
    this.#valueReads.clear();
  }

  /** Adds the change of the number of entries to the metric, which is the sum of all observers of the process. */
  #count(size = this.#entries.size): void {
    if (this.#isStopped) return;
    this.#options.metrics.watchedParameters.inc(size - this.#counted);
    this.#counted = size;
  }

  /** The entry of a reference, or a temporary entry if it has no dependents. */
  #known(reference: Reference): Entry {
    const now = this.#clockWatch.elapsed();
    return this.#entries.get(reference) ?? newEntry(reference, referenceKey(reference), now);
  }

  #entry(reference: Reference): Entry {
    const entry = this.#entries.open(reference, this.#clockWatch.elapsed());
    this.#count();
    return entry;
  }

  #release(entry: Entry, dependent: string): void {
    changeEntry(entry, { type: "dependentRemoved", dependent });
    changeEntry(entry, { type: "wished", dependent });
    forgetStored(entry, dependent);
    if (entry.dependents.size > 0) return;
    this.#entries.remove(entry);
    if (this.#entries.size === 0) this.#clockWatch.stop();
    this.#schedule.drop(entry);
    this.expiries.drop(entry);
    this.#valueReads.drop(entry);
    this.#count();
    this.#answers.forget(entry);
  }

  async #poll(entries: Entry[]): Promise<"heard" | "unheard"> {
    const now = this.#options.clock.monotonic();
    await Promise.all(
      entries.map((entry) => {
        if (wasJustAsked(entry, now)) return this.#schedule.after(entry);
        // If nobody wants the entry, the next `depend` plans its poll.
        return this.#isWanted(entry) ? ifWanted(this.#lookAt(entry, "poll")) : undefined;
      }),
    );
    return entries.some((entry) => entry.failure?.next === "retry") ? "unheard" : "heard";
  }

  /** Whether any dependent of the entry is not paused. */
  #isWanted(entry: Entry): boolean {
    if (!this.#entries.has(entry)) return false;
    if (this.#paused.size === 0) return true;
    for (const dependent of entry.dependents.keys()) if (!this.#paused.has(dependent)) return true;
    return false;
  }

  /** @throws Canceled if nobody wants the look when it is about to be sent */
  async #lookAt(entry: Entry, lane: Lane, whom: Pick<ReadFor, "namespace" | "isWanted" | "span"> = {}) {
    const { namespace = "", isWanted = () => this.#isWanted(entry), span } = whom;
    const how = { lane, namespace, isWanted, span };
    const { reference } = entry;
    if (reference.kind === "path") {
      const listing = await this.#options.pathReader.list(reference, { decrypt: false, ...how });
      return this.#answers.list(entry, reference, listing, { lane });
    }
    const name = requestName(reference);
    const { reader, clock, missingGraceMs } = this.#options;
    const ripe = isRipe(entry.state, missingGraceMs, clock.monotonic(), isClaimed(entry, reference.name));
    const read = ripe
      ? await reader.confirm(reference.identity, name, lane, { namespace, isWanted })
      : await reader.read(reference.identity, name, { decrypt: false, ...how });
    // A look at a Secrets Manager secret decrypts it: AWS does not return one without decryption.
    if (isPassedThrough(reference.name)) this.#audit.read(reference, read, entry.dependents.keys());
    return this.#answers.take(entry, reference, read, { lane, isConfirmed: ripe });
  }
}

/** Waits for a look; ignores its cancellation. */
async function ifWanted(look: Promise<void>): Promise<void> {
  try {
    await look;
  } catch (error) {
    if (!(error instanceof Canceled)) throw error;
  }
}
