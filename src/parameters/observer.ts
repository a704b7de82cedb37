import type { Identity } from "../aws/identity.ts";
import type { ByteBudget } from "../runtime/byte-budget.ts";
import { Canceled, type IsWanted, Waiters } from "../runtime/cancellation.ts";
import { ClockWatch } from "../runtime/clock-watch.ts";
import type { Failure } from "../runtime/failure.ts";
import { namespaceOf } from "../runtime/fair-queue.ts";
import { type Lane, moreUrgent } from "../runtime/lane.ts";
import {
  type At,
  addDependent,
  describedBefore,
  type Entry,
  fingerprint,
  isCurrent,
  isKnown,
  isRipe,
  miss,
  newEntry,
  removeDependent,
  type StampedValue,
  serve,
  served,
  setWishes,
  stampedIn,
  wasJustAsked,
} from "./cache-entry.ts";
import { DecryptedValueCache } from "./decrypted-value-cache.ts";
import { DeletionConfirmer } from "./deletion-confirmer.ts";
import { Describer } from "./describer.ts";
import { Entries } from "./entries.ts";
import { Expiries } from "./expiries.ts";
import { LookCoalescer } from "./look-coalescer.ts";
import { type Listed, Members } from "./members.ts";
import type { ObserverOptions } from "./observer-options.ts";
import { tooLarge } from "./path-reader.ts";
import type { Read } from "./pending-reads.ts";
import { ReadAudit } from "./read-audit.ts";
import {
  isPassedThrough,
  type ParameterReference,
  type PathReference,
  type Reference,
  referenceKey,
  requestName,
} from "./reference.ts";
import { Schedule } from "./schedule.ts";
import { differing, forgetAnswered, forgetStored, isClaimed, isStoredByAll, remember } from "./stored.ts";
import {
  type Announced,
  intervalOf,
  type Picks,
  type ReadFor,
  type Subscription,
  type Values,
} from "./subscription.ts";

/** A change that concerns at least this many dependents is bulk work, so that it does not delay interactive work. */
const bulkFrom = 20;
/** Milliseconds until the look is repeated if a hint's look showed no change: the hint may precede the change. */
const againAfterHintMs = 5_000;
/** Milliseconds after a hint in which a change counts as announced. */
const hintCountsMs = 60_000;

const nobody: ReadonlySet<string> = new Set();

/** How an answer is applied. */
interface Taking {
  lane: Lane;
  /** Whether a person requested a refresh: an older version is then accepted at once. */
  mayGoBack?: boolean;
}

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
  readonly #reading = new Map<string, Reading>();
  readonly #audit: ReadAudit;
  readonly #decryptedValues: DecryptedValueCache;
  readonly #schedule: Schedule;
  readonly #confirmer: DeletionConfirmer;
  readonly #members: Members;
  readonly #lookCoalescer: LookCoalescer<Entry, void>;
  readonly #clockWatch: ClockWatch;

  constructor(options: ObserverOptions) {
    this.#options = options;
    this.#decryptedValues = new DecryptedValueCache(options.clock);
    this.#audit = new ReadAudit(options.audit);
    const { clock, random, missingGraceMs, reader, isAnnounced = () => false, stretched = () => {} } = options;
    const lookAgain = (entry: Entry) => ifWanted(this.#lookAt(entry, "poll"));
    const isWanted = (entry: Entry) => this.#isWanted(entry);
    const common = { clock, missingGraceMs, isWanted };
    this.#confirmer = new DeletionConfirmer({ ...common, entries: this.#entries, look: lookAgain });
    this.expiries = new Expiries({
      ...{ entries: this.#entries, describer: new Describer(options.limiters), reader, clock, random },
      notify: (entry, lane) => this.#notify(entry, lane),
      ...{ isBusy: options.isBusy, seen: options.seen, isWanted },
    });
    this.#members = new Members({ ...common, reader, confirmer: this.#confirmer, expiries: this.expiries });
    const look = (entries: Entry[]) => this.#poll(entries);
    this.#schedule = new Schedule({ ...options, isAnnounced, stretched, look });
    this.#clockWatch = options.clockWatch ?? new ClockWatch(clock);
    this.#clockWatch.onJump(({ wallMs, suspendedMs }) => {
      this.#schedule.hasten(this.#entries.all(), Math.max(Math.abs(wallMs), suspendedMs));
      this.expiries.clockJumped();
    });
    this.#lookCoalescer = new LookCoalescer(options.clock, (entry) => {
      // The look serves all dependents. It is queued under the first one's namespace.
      const [first = ""] = entry.dependents.keys();
      return this.#lookAt(entry, "event", namespaceOf(first));
    });
  }

  /** Replaces the subscriptions of a SyncedSecret. */
  depend(dependent: string, subscriptions: readonly Subscription[]): void {
    const before = this.#byDependent.get(dependent) ?? [];
    const wasPaused = this.#paused.delete(dependent);
    const after = new Set<Entry>();
    if (subscriptions.length > 0) this.#clockWatch.start();
    for (const subscription of subscriptions) {
      const entry = this.#entry(subscription.reference);
      this.#remember(entry, dependent, subscription);
      after.add(entry);
      const before = entry.intervalMs;
      addDependent(entry, dependent, intervalOf(subscription));
      setWishes(entry, dependent, subscription);
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
    { namespace = "", isWanted = always }: Pick<ReadFor, "namespace" | "isWanted"> = {},
  ): Promise<void> {
    await Promise.all(references.map((reference) => this.#lookAt(this.#known(reference), lane, namespace, isWanted)));
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
      entry.hintedAt = clock.monotonic();
      const before = served(entry);
      await ifWanted(this.#lookCoalescer.look(entry));
      this.expiries.announced(entry, name);
      if (before !== served(entry)) changed = true;
      else this.#schedule.by(entry, clock.monotonic() + againAfterHintMs);
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
    const { picks, fresh = false } = readFor;
    const entry = this.#known(reference);
    // One listing of a path serves all dependents, unless the path is too large: then each dependent lists its part.
    const isLarge = entry.largeAt !== undefined && entry.largeAt === fingerprint(entry);
    const large: Values = { state: "failed", failure: tooLarge(reference) };
    if (!picks) return isLarge && !fresh ? Promise.resolve(large) : this.#valuesOf(entry, lane, readFor);
    if (isLarge) return this.#valuesOf(entry, lane, readFor, picks);
    return this.#valuesOf(entry, lane, readFor).then((read) => {
      const isTooLarge = read.state === "failed" && read.failure.reason === "TooLarge";
      return isTooLarge ? this.#valuesOf(entry, lane, readFor, picks) : read;
    });
  }

  #valuesOf(
    entry: Entry,
    lane: Lane,
    { fresh = false, namespace = "", resource = "", isWanted = always }: ReadFor,
    picks?: Picks,
  ): Promise<Values> {
    const { reference } = entry;
    const key = picks ? `${entry.key}\n${picks.key}` : entry.key;
    const held = fresh || picks ? undefined : this.#decryptedValues.get(entry);
    if (held) {
      this.#audit.reused(reference, held, resource);
      return Promise.resolve({ state: "values", values: held });
    }
    const running = fresh ? undefined : this.#reading.get(key);
    if (running && (reference.kind === "parameter" || moreUrgent(running.lane, lane) === running.lane)) {
      running.askers.add(resource);
      running.waiters.join(isWanted);
      if (reference.kind === "path") return running.reading;
      const options = { decrypt: true, lane, namespace };
      this.#options.reader.hurry(reference.identity, requestName(reference), options);
      return running.reading;
    }
    const askers = new Set([resource]);
    const waiters = new Waiters(isWanted);
    const whom = {
      ...{ lane, namespace, mayGoBack: fresh, isWanted: waiters.isWanted },
      ...(picks ? { picks } : {}),
    };
    const reading = this.#readValues(entry, whom, askers).finally(() => {
      if (this.#reading.get(key)?.reading === reading) this.#reading.delete(key);
    });
    this.#reading.set(key, { lane, reading, askers, waiters });
    return reading;
  }

  /** Reads one version by its number for one Secret. The version is neither observed nor cached. */
  async valueOf(
    reference: ParameterReference,
    lane: Lane,
    { namespace = "", resource = "", isWanted }: ReadFor = {},
  ): Promise<{ state: "found"; stamped: StampedValue } | Exclude<Read, { state: "found" }>> {
    const { reader } = this.#options;
    const options = { decrypt: true, lane, namespace, isWanted };
    const read = await reader.read(reference.identity, requestName(reference), options);
    if (!this.#entries.get(reference)) reader.forget(reference.identity, requestName(reference));
    this.#audit.read(reference, read, [resource]);
    if (read.state !== "found") return read;
    const stamped = stampedIn(read.record);
    return stamped ? { state: "found", stamped } : { state: "missing", reason: "VersionNotFound" };
  }

  /** The budget of decrypted bytes in flight: each holder of values takes a ticket from it. */
  get inFlight(): ByteBudget {
    return this.#options.pathReader.inFlight;
  }

  /** Clears the decrypted value cache: the reconciles that needed it are done. */
  dropValues(): void {
    this.#decryptedValues.end();
  }

  /** How many references have cached values. */
  get valuesHeld(): number {
    return this.#decryptedValues.size;
  }

  /** Cancels all timers and clears the decrypted value cache. */
  stop(): void {
    this.#clockWatch.stop();
    this.#schedule.stop();
    this.expiries.stop();
    this.#decryptedValues.end();
  }

  /** The entry of a reference, or a temporary entry if it has no dependents. */
  #known(reference: Reference): Entry {
    const now = this.#clockWatch.elapsed();
    return this.#entries.get(reference) ?? newEntry(reference, referenceKey(reference), now);
  }

  #entry(reference: Reference): Entry {
    const entry = this.#entries.open(reference, this.#clockWatch.elapsed());
    this.#options.metrics.watchedParameters.set(this.#entries.size);
    return entry;
  }

  #release(entry: Entry, dependent: string): void {
    removeDependent(entry, dependent);
    setWishes(entry, dependent, {});
    forgetStored(entry, dependent);
    if (entry.dependents.size > 0) return;
    this.#entries.remove(entry);
    if (this.#entries.size === 0) this.#clockWatch.stop();
    this.#schedule.drop(entry);
    this.expiries.drop(entry);
    this.#decryptedValues.drop(entry);
    this.#options.metrics.watchedParameters.set(this.#entries.size);
    this.#forget(entry);
  }

  #forget({ reference }: Entry): void {
    if (reference.kind === "parameter") this.#options.reader.forget(reference.identity, requestName(reference));
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
  async #lookAt(entry: Entry, lane: Lane, namespace = "", isWanted: IsWanted = () => this.#isWanted(entry)) {
    const { reference } = entry;
    if (reference.kind === "path") {
      const listing = await this.#options.pathReader.list(reference, { decrypt: false, lane, namespace, isWanted });
      return this.#heard(entry, lane, async () => {
        if (listing.state === "failed") this.#fail(entry, listing.failure);
        else await this.#listed(entry, reference, listing, { lane });
      });
    }
    const name = requestName(reference);
    const { reader, clock, missingGraceMs } = this.#options;
    const ripe = isRipe(entry.state, missingGraceMs, clock.monotonic(), isClaimed(entry, reference.name));
    const read = ripe
      ? await reader.confirm(reference.identity, name, lane, { namespace, isWanted })
      : await reader.read(reference.identity, name, { decrypt: false, lane, namespace, isWanted });
    // A look at a Secrets Manager secret decrypts it: AWS does not return one without decryption.
    if (isPassedThrough(reference.name)) this.#audit.read(reference, read, entry.dependents.keys());
    return this.#heard(entry, lane, async () => {
      await this.#take(entry, reference, read, { lane });
      if (ripe && read.state === "missing") await this.#confirmer.settle(entry, entry.state);
    });
  }

  /** Applies an answer, plans the next look, and notifies the dependents if the entry's fingerprint changes. */
  async #heard(entry: Entry, lane: Lane, apply: () => Promise<void>): Promise<void> {
    const knew = isKnown(entry);
    const before = fingerprint(entry);
    const servedBefore = served(entry);
    const wasUnheard = entry.failure?.next === "retry";
    await apply();
    if (!this.#entries.has(entry)) {
      // The last dependent has gone meanwhile: drop what the reader remembers of the name.
      this.#forget(entry);
      return;
    }
    entry.askedAt = this.#options.clock.monotonic();
    // With two looks in flight, the second may be answered first.
    const isFirst = entry.looked && !entry.isCompared;
    entry.isCompared ||= entry.looked;
    const others = isFirst ? differing(entry) : [];
    if (entry.looked) forgetAnswered(entry);
    this.#schedule.after(entry);
    this.expiries.heard(entry);
    const hasChanged = knew && before !== fingerprint(entry);
    if (knew && lane === "poll" && servedBefore !== served(entry)) this.#reportIfMissed(entry);
    const recovered = wasUnheard && entry.failure === undefined;
    if (hasChanged || recovered) this.#notify(entry, lane);
    // Until this first answer, these dependents acted on their previous status.
    else if (isFirst) this.#notify(entry, lane, others);
    else if (!entry.looked && !knew && entry.failure?.next !== "retry") {
      this.#notify(entry, lane, [...(entry.stored?.keys() ?? [])]);
    }
  }

  #notify(entry: Entry, lane: Lane, whom: readonly string[] = [...entry.dependents.keys()]): void {
    const isBulk = lane !== "event" || whom.length >= bulkFrom;
    for (const dependent of whom) this.#options.notify(dependent, isBulk ? "bulk" : "event");
  }

  #at(): At {
    const { clock } = this.#options;
    return { now: clock.monotonic(), wall: clock.now() };
  }

  #reportIfMissed(entry: Entry): void {
    const { isAnnounced, missed, clock } = this.#options;
    const isHinted = entry.hintedAt !== undefined && clock.monotonic() - entry.hintedAt <= hintCountsMs;
    if (!isHinted && isAnnounced?.(entry.reference)) missed?.(entry.reference);
  }

  #fail(entry: Entry, failure: Failure): void {
    entry.failure = failure;
    if (failure.next !== "retry") entry.heardAt = this.#clockWatch.elapsed();
  }

  #answered(entry: Entry): void {
    delete entry.failure;
    entry.looked = true;
    entry.heardAt = this.#clockWatch.elapsed();
  }

  async #take(
    entry: Entry,
    reference: ParameterReference,
    read: Read,
    { lane, mayGoBack = false }: Taking,
  ): Promise<void> {
    if (read.state === "failed") {
      this.#fail(entry, read.failure);
      return;
    }
    const wasLooked = entry.looked;
    this.#answered(entry);
    const { state } = entry;
    if (read.state === "missing") {
      miss(state, read.reason, this.#at());
      return;
    }
    const wasGone = state.missing?.stage === "gone";
    const isBack =
      !wasLooked && entry.stored !== undefined && !isStoredByAll(entry, reference.name, entry.acting ?? []);
    if (!wasLooked && isStoredByAll(entry, reference.name, entry.dependents.keys())) state.metadata ??= describedBefore;
    serve(state, read.record, mayGoBack || reference.selector !== "" || isPassedThrough(reference.name), this.#at());
    if (wasGone || isBack) await this.expiries.before(entry, () => true, lane);
  }

  #listed(entry: Entry, reference: PathReference, listing: Listed, taking: Taking): Promise<void> {
    this.#answered(entry);
    return this.#members.take(entry, reference, listing, taking);
  }

  #unread(entry: Entry, failure: Failure): Values {
    entry.unreadSince ??= this.#clockWatch.elapsed();
    return { state: "failed", failure };
  }

  async #readValues(
    entry: Entry,
    { mayGoBack, ...whom }: Required<Taking> & { namespace: string; isWanted: IsWanted; picks?: Picks },
    askers: ReadonlySet<string>,
  ): Promise<Values> {
    const { reference } = entry;
    const { lane } = whom;
    const values = new Map<string, StampedValue>();
    if (reference.kind === "path") {
      const listing = await this.#options.pathReader.list(reference, { decrypt: true, ...whom });
      const isTooLarge = listing.state === "failed" && listing.failure.reason === "TooLarge";
      // TooLarge is the operator's own limit, not an answer of AWS, so it does not become the entry's failure.
      if (isTooLarge && !whom.picks) entry.largeAt = fingerprint(entry);
      if (!isTooLarge) {
        await this.#heard(entry, lane, async () => {
          if (listing.state === "failed") this.#fail(entry, listing.failure);
          else await this.#listed(entry, reference, listing, { lane, mayGoBack });
        });
      }
      this.#audit.listed(reference, listing, askers);
      if (listing.state === "failed") {
        return isTooLarge ? { state: "failed", failure: listing.failure } : this.#unread(entry, listing.failure);
      }
      for (const [name, record] of listing.records) {
        const stamped = stampedIn(record);
        if (stamped && isCurrent(entry.members.get(name), stamped)) values.set(name, stamped);
      }
    } else {
      const name = requestName(reference);
      const read = await this.#options.reader.read(reference.identity, name, { decrypt: true, ...whom });
      await this.#heard(entry, lane, () => this.#take(entry, reference, read, { lane, mayGoBack }));
      this.#audit.read(reference, read, askers);
      if (read.state === "failed") return this.#unread(entry, read.failure);
      if (read.state === "found" && isCurrent(entry.state, read.record)) {
        const stamped = stampedIn(read.record);
        if (stamped) values.set(reference.name, stamped);
      }
    }
    delete entry.unreadSince;
    if (this.#entries.has(entry) && !whom.picks) this.#decryptedValues.hold(entry, values);
    return { state: "values", values };
  }
}

/** A read in flight, and the SyncedSecrets that it answers. */
interface Reading {
  lane: Lane;
  reading: Promise<Values>;
  askers: Set<string>;
  waiters: Waiters;
}

function always(): boolean {
  return true;
}

/** Waits for a look; ignores its cancellation. */
async function ifWanted(look: Promise<void>): Promise<void> {
  try {
    await look;
  } catch (error) {
    if (!(error instanceof Canceled)) throw error;
  }
}
