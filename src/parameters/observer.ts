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
import { ReadAudit } from "./read-audit.ts";
import type { Read } from "./reader.ts";
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

/** Dependants that one change makes a wave, which must not keep a person waiting. */
const bulkFrom = 20;
/** Milliseconds until another look where a hint's own showed no change: it may have come before the change was there. */
const againAfterHintMs = 5_000;
/** Milliseconds for which a hint counts as the announcement of a change. */
const hintCountsMs = 60_000;

const nobody: ReadonlySet<string> = new Set();

/** How an answer is taken. */
interface Taking {
  lane: Lane;
  /** Whether a person asked for it anew, so that an older version is taken at once. */
  mayGoBack?: boolean;
}

/** Whose expiries have to be known before anything is done. */
export interface Settling {
  /** Whether everything that has never been described is. */
  all: boolean;
  /** Names of parameters whose Expiration has passed by the status of whoever asks, by the key of the reference. */
  past?: ReadonlyMap<string, ReadonlySet<string>>;
}

/**
 * Knows of each distinct reference what was last seen of it, decides when to look again, and tells the dependants
 * when it differs: versions are compared, never values.
 */
export class Observer {
  /** What is known of policies and keys, and when something expires. */
  readonly expiries: Expiries;
  readonly #options: ObserverOptions;
  readonly #entries = new Entries();
  readonly #byDependent = new Map<string, Entry[]>();
  /** SyncedSecrets for which nothing is asked any more until they say anew what they depend on. */
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
      ...{ entries: this.#entries, describer: new Describer(options.lanes), reader, clock, random },
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
      // It is for all who depend on the entry, and takes the turn of the first.
      const [first = ""] = entry.dependents.keys();
      return this.#lookAt(entry, "event", namespaceOf(first));
    });
  }

  /** Sets what a SyncedSecret depends on, in place of what it depended on before. */
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
      // Drawn once, and not with each who comes: the earliest of a thousand instants is at once.
      if (wasPaused || entry.intervalMs < before) this.#schedule.within(entry);
      this.expiries.watch(entry);
    }
    for (const entry of before) if (!after.has(entry)) this.#release(entry, dependent);
    if (after.size > 0) this.#byDependent.set(dependent, [...after]);
    else this.#byDependent.delete(dependent);
  }

  /** Takes over what a dependent's status says; what AWS has already called missing is confirmed for it in time. */
  #remember(entry: Entry, dependent: string, { stored }: Subscription): void {
    const { clock, missingGraceMs } = this.#options;
    if (remember(entry, dependent, stored).length > 0) this.#members.claim(entry);
    if (!entry.looked || !entry.stored) return;
    const { since } = entry.state.missing ?? { since: clock.monotonic() };
    this.#schedule.by(entry, Math.max(clock.monotonic(), since + missingGraceMs));
  }

  /**
   * Has nothing be asked of AWS for a SyncedSecret until `depend` is called again: what it may read is in doubt. What is
   * known is kept.
   */
  pause(dependent: string): void {
    if (this.#byDependent.has(dependent)) this.#paused.add(dependent);
  }

  /** What is known of a reference; undefined where nobody depends on it. */
  entry(reference: Reference): Readonly<Entry> | undefined {
    return this.#entries.get(reference);
  }

  /** Looks at references now, without decryption, and returns when all have been answered or have failed. */
  async look(
    references: readonly Reference[],
    lane: Lane,
    { namespace = "", isWanted = always }: Pick<ReadFor, "namespace" | "isWanted"> = {},
  ): Promise<void> {
    await Promise.all(references.map((reference) => this.#lookAt(this.#known(reference), lane, namespace, isWanted)));
  }

  /**
   * Looks at what AWS has announced a change of, without decryption. A look that failed, or saw no change, is repeated
   * by a poll soon after.
   *
   * @param name of the parameter, which lies in the identity's region
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

  /** Looks at those references whose expiry has to be known before anything is done; see `Expiries.settle`. */
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

  /** Brings the polls of an identity forward to the intervals that hold now. */
  replan(identityKey: string): void {
    for (const entry of this.#entries.of(identityKey)) this.#schedule.within(entry);
  }

  /**
   * How many times as long as it asks for it is, at most, between two polls of what a SyncedSecret depends on.
   *
   * @param askedMs milliseconds that it asks for
   */
  longestFactor(dependent: string, askedMs: number): number {
    let longest = 1;
    for (const entry of this.#byDependent.get(dependent) ?? []) {
      const floor = (entry.dependents.get(dependent) ?? askedMs) / askedMs;
      longest = Math.max(longest, this.#schedule.factor(entry) * (Number.isFinite(floor) ? floor : 1));
    }
    return longest;
  }

  /** By how much the polls of an identity are stretched, for want of quota; 1 where they are not. */
  stretch(identityKey: string): number {
    return this.#schedule.stretch(identityKey);
  }

  /** Reads a reference's values with decryption. Within a wave, the first read serves everyone. */
  values(reference: Reference, lane: Lane, readFor: ReadFor = {}): Promise<Values> {
    const { picks, fresh = false } = readFor;
    const entry = this.#known(reference);
    // Most paths are small enough to be listed once for all; a large one is listed for each who takes part of it.
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

  /** Reads one version by its number, once and for one Secret: nothing of it is observed or held. */
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

  /** What holds values takes a ticket of the bytes in flight. */
  get inFlight(): ByteBudget {
    return this.#options.pathReader.inFlight;
  }

  /** Lets go of every value: the reconciles that they were read for are done. */
  dropValues(): void {
    this.#decryptedValues.end();
  }

  /** How many values are held at the moment. */
  get valuesHeld(): number {
    return this.#decryptedValues.size;
  }

  /** Sets no timer any more, and lets go of every value. */
  stop(): void {
    this.#clockWatch.stop();
    this.#schedule.stop();
    this.expiries.stop();
    this.#decryptedValues.end();
  }

  /** The entry of a reference, or one that is not kept where nobody depends on it. */
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
        // Where nobody wants it, `depend` plans the next poll.
        return this.#isWanted(entry) ? ifWanted(this.#lookAt(entry, "poll")) : undefined;
      }),
    );
    return entries.some((entry) => entry.failure?.next === "retry") ? "unheard" : "heard";
  }

  /** Whether a look is of use to anybody that depends on the entry. */
  #isWanted(entry: Entry): boolean {
    if (!this.#entries.has(entry)) return false;
    if (this.#paused.size === 0) return true;
    for (const dependent of entry.dependents.keys()) if (!this.#paused.has(dependent)) return true;
    return false;
  }

  /** @throws Canceled where nobody wants it any more when its turn comes */
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
    // A look at a secret of Secrets Manager decrypts it: AWS passes none through otherwise.
    if (isPassedThrough(reference.name)) this.#audit.read(reference, read, entry.dependents.keys());
    return this.#heard(entry, lane, async () => {
      await this.#take(entry, reference, read, { lane });
      if (ripe && read.state === "missing") await this.#confirmer.settle(entry, entry.state);
    });
  }

  /** Applies an answer, plans the next look, and tells the dependants where it changes what they act upon. */
  async #heard(entry: Entry, lane: Lane, apply: () => Promise<void>): Promise<void> {
    const knew = isKnown(entry);
    const before = fingerprint(entry);
    const servedBefore = served(entry);
    const wasUnheard = entry.failure?.next === "retry";
    await apply();
    if (!this.#entries.has(entry)) {
      // Nobody depends on it any more: what its read has left behind goes as well.
      this.#forget(entry);
      return;
    }
    entry.askedAt = this.#options.clock.monotonic();
    // Of two looks at once the second may be answered first.
    const isFirst = entry.looked && !entry.isCompared;
    entry.isCompared ||= entry.looked;
    const others = isFirst ? differing(entry) : [];
    if (entry.looked) forgetAnswered(entry);
    this.#schedule.after(entry);
    this.expiries.heard(entry);
    const hasChanged = knew && before !== fingerprint(entry);
    if (knew && lane === "poll" && servedBefore !== served(entry)) this.#sayIfMissed(entry);
    const recovered = wasUnheard && entry.failure === undefined;
    if (hasChanged || recovered) this.#notify(entry, lane);
    // Who knew of it by a status alone acts on that until now.
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

  #sayIfMissed(entry: Entry): void {
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
      // That it is too large for one who asks is no word of AWS, and none of the others' concern.
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

/** A read that is under way, and who is answered by it. */
interface Reading {
  lane: Lane;
  reading: Promise<Values>;
  askers: Set<string>;
  waiters: Waiters;
}

function always(): boolean {
  return true;
}

/** Waits for a look, unless nobody wants it any more. */
async function ifWanted(look: Promise<void>): Promise<void> {
  try {
    await look;
  } catch (error) {
    if (!(error instanceof Canceled)) throw error;
  }
}
