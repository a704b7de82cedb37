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
  type ParameterMetadata,
  type ParameterState,
  type VersionStamp,
} from "./cache-entry.ts";
import { type Describable, describablesOf, isArn, isDescribable, nameIn, needsDescription } from "./describable.ts";
import { DescribeQueue } from "./describe-queue.ts";
import { bareName, type Describer } from "./describer.ts";
import type { Entries } from "./entries.ts";
import { type Due, ExpiryTimers } from "./expiry-timers.ts";
import { MetadataPool } from "./metadata-pool.ts";
import { type Policies, readPolicies, saysSame } from "./policies.ts";
import type { Read, Reader } from "./reader.ts";
import { Resync } from "./resync.ts";

export interface ExpiriesOptions {
  entries: Entries;
  describer: Describer;
  reader: Reader;
  clock: Clock;
  random: Random;
  /** Whether anybody may still ask for an entry. */
  isWanted: (entry: Entry) => boolean;
  /** Whether something is being synced: descriptions, which nobody waits for, come after it. */
  isBusy?: (() => boolean) | undefined;
  /** Called with an entry of which something has expired, or its policies say something else, or are due for a warning. */
  notify: (entry: Entry, lane: Lane) => void;
  /** Called with the key of an identity that may not, or may again, see policies. */
  seen?: ((identityKey: string) => void) | undefined;
}

/** When something was described, and whom for. */
interface At {
  /** Milliseconds since the epoch, by our clock. */
  now: number;
  /** Milliseconds that AWS's clock is ahead of ours. */
  aheadMs: number;
  lane: Lane;
}

/** What a description comes to; `stale` where it is of a version that is there no more, which says nothing. */
type Word = "same" | "changed" | "expired" | "stale";

/** Milliseconds after which what is past its Expiration, and was not heard of, is looked at again. */
const againMs = 30_000;
/** Milliseconds after which it is looked at again, at most, where AWS's clock is behind ours. */
const againAtMostMs = 3_600_000;
/** Milliseconds that our clock may be behind AWS's for two answers of AWS to be enough, and that they have to be apart. */
const skew = { atMostMs: 300_000, apartMs: 60_000 };
/** Milliseconds between two tries where AWS denies. */
const deniedMs = 3_600_000;
/** Milliseconds that something may wait for a description that it can do without. */
const waitAtMostMs = 2_000;

/**
 * Knows what DescribeParameters tells of parameters: keys and policies. It is asked when a parameter is new, when it
 * has another version, at the instant of an Expiration, and once an hour: fifty names a call. Where AWS denies it,
 * nothing expires here. Nothing is believed to have expired but by a look at or after its instant.
 */
export class Expiries {
  readonly #options: ExpiriesOptions;
  readonly #expiryTimers: ExpiryTimers;
  readonly #describeQueue: DescribeQueue;
  readonly #denied = new Map<string, { failure: Failure; until: number }>();
  /** Identities that have been answered in this process. */
  readonly #answered = new Set<string>();
  readonly #metadataPool = new MetadataPool();
  readonly #resync: Resync<Entry>;
  /** Milliseconds that AWS's clock was ahead of ours in the last answer, by identity. */
  readonly #aheadMs = new Map<string, number>();
  /** What has expired by AWS's clock and not by ours, since when in monotonic milliseconds. */
  readonly #early = new WeakMap<ParameterState, { expiresAt: number; since: number }>();
  readonly #again = new Set<Timer>();
  #stopped = false;

  constructor(options: ExpiriesOptions) {
    this.#options = options;
    const { clock, random, entries, isBusy } = options;
    this.#describeQueue = new DescribeQueue({ entries, clock, isBusy, look: (owed) => this.look(owed, "poll") });
    this.#expiryTimers = new ExpiryTimers({ entries, clock, reached: (due) => void this.#reached(due) });
    this.#resync = new Resync({
      clock,
      random,
      all: (identityKey) => [...entries.of(identityKey)].filter(isDescribable),
      weight: (entry) => (entry.reference.kind === "path" ? entry.members.size : 1),
      look: (batch) => void this.look(batch.filter((entry) => entries.has(entry)).flatMap(describablesOf), "poll"),
    });
  }

  /** Why policies cannot be seen as an identity, `seen` where they can, and undefined where nobody has tried yet. */
  visibilityOf(identityKey: string): Failure | "seen" | undefined {
    return this.#denied.get(identityKey)?.failure ?? (this.#answered.has(identityKey) ? "seen" : undefined);
  }

  /** Takes note of an entry that somebody depends on. */
  watch(entry: Entry): void {
    if (this.#stopped || !isDescribable(entry)) return;
    this.#resync.begin(entry.reference.identity.key);
  }

  /** Takes note of an answer about an entry: what is new, or has another version, is described soon. */
  heard(entry: Entry): void {
    if (this.#stopped || !isDescribable(entry)) return;
    if (!describablesOf(entry).some(needsDescription)) return;
    if (!this.#isDenied(entry.reference.identity.key)) this.#describeQueue.add(entry);
  }

  /** Takes out an entry that nobody depends on any more. */
  drop(entry: Entry): void {
    const { key } = entry.reference.identity;
    this.#describeQueue.delete(entry);
    const [other] = this.#options.entries.of(key);
    if (other === undefined) {
      this.#resync.end(key);
      this.#describeQueue.clear(key);
      this.#denied.delete(key);
      this.#answered.delete(key);
      this.#aheadMs.delete(key);
    }
    this.#expiryTimers.drop();
  }

  /** Takes note that AWS has announced a change of a parameter. */
  announced(entry: Entry, name: string): void {
    for (const one of describablesOf(entry)) {
      if (one.state.metadata && bareName(nameIn(one)) === bareName(name)) {
        one.state.metadata = { ...one.state.metadata, unsure: "changed" };
      }
    }
    this.heard(entry);
  }

  /**
   * Looks at what has come, or come back, before anybody acts upon it: a parameter that is past its Expiration, and not
   * deleted yet, must not come back by a look alone. Waits two seconds at most.
   */
  async before(entry: Entry, isMeant: (state: ParameterState, name: string) => boolean, lane: Lane): Promise<void> {
    if (!entry.acting || !isDescribable(entry)) return;
    const meant = describablesOf(entry).filter(({ state, name }) => isMeant(state, name));
    if (meant.length > 0) await this.#lookInTime(meant, lane);
  }

  /**
   * Looks at those of some entries that have expired meanwhile, as far as is known or a status says, and where `all`, at
   * those that have never been described; waits two seconds at most.
   *
   * @param all.past names of which the status of whoever asks says so
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
   * Asks for descriptions, now.
   *
   * @param how.quiet tells nobody of what differs: whoever asked will see
   * @returns whether AWS has answered, with what is there now
   */
  async look(all: readonly Describable[], lane: Lane, how = { quiet: false }): Promise<boolean> {
    const byIdentity = new Map<string, Describable[]>();
    for (const one of all) {
      const { key } = one.entry.reference.identity;
      if (this.#isDenied(key)) continue;
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
      this.#aheadMs.set(key, answer.clockAheadMs);
      const taking = [...Map.groupBy(describables, ({ entry }) => entry)].map(async ([entry, all]) => {
        const words = await Promise.all(all.map((one) => this.#take(one, answer.found.get(bareName(nameIn(one))), at)));
        const isNews = words.includes("changed") || words.includes("expired");
        if (isNews && !how.quiet) this.#options.notify(entry, words.includes("expired") ? "event" : "bulk");
        return !words.includes("stale");
      });
      return (await Promise.all(taking)).every((isOfNow) => isOfNow);
    });
    return (await Promise.all(answers)).every((isHeard) => isHeard) && byIdentity.size > 0;
  }

  /** Looks at what has expired by a clock that was set. */
  clockJumped(): void {
    this.#expiryTimers.check();
  }

  /** Sets no timer any more. */
  stop(): void {
    this.#stopped = true;
    this.#expiryTimers.stop();
    for (const timer of this.#again) timer.cancel();
    this.#describeQueue.stop();
    this.#resync.stop();
  }

  /** Applies a description, or that there is none. */
  async #take(one: Describable, description: ParameterDescription | undefined, at: At): Promise<Word> {
    const { state, entry } = one;
    const isForeign = entry.reference.kind === "parameter" && isArn(entry.reference.name);
    if (!description || (isForeign && description.arn !== one.name)) return this.#takeAbsent(one, at);
    const { version, modified, keyId, policies: texts } = description;
    const policies = readPolicies(texts, modified);
    const hasPassed = policies?.expiresAt !== undefined && this.#hasPassed(one, policies.expiresAt, at);
    const isReplaced =
      isOlder(description, state.stamp) || (hasPassed && (await this.#isReplaced(one, description, at)));
    if (isReplaced) {
      // What a status told is looked at within the hour all the same.
      if (state.metadata?.unsure !== "stored") state.metadata = { ...state.metadata, unsure: "changed" };
      return "stale";
    }
    const isLatest = state.stamp === undefined || state.stamp.version === version;
    const before = state.metadata?.policies;
    state.metadata = this.#metadata(isLatest ? keyId : undefined, policies);
    this.#note(one, before, policies);
    const was = isExpired(state) ? state.expired : undefined;
    // Another version is there that has not been seen yet, or a label names an older one: it is true of all of them.
    if (hasPassed) state.expired = { at: policies.expiresAt!, stamp: isLatest ? state.stamp : undefined };
    else delete state.expired;
    if (hasPassed && !was) return "expired";
    return saysSame(before, policies) && isSameExpiry(was, state.expired) ? "same" : "changed";
  }

  /**
   * Whether an Expiration has passed, by AWS's clock and by ours. Where ours is behind by minutes, a second answer of AWS
   * a minute later is enough; where it is further behind, one of the two is wrong, and nothing is done until both agree.
   */
  #hasPassed({ state, entry, name }: Describable, expiresAt: number, { now, aheadMs }: At): boolean {
    if (expiresAt > now + aheadMs) return false;
    if (expiresAt <= now) return true;
    if (aheadMs > skew.atMostMs) return false;
    const { clock } = this.#options;
    const early = this.#early.get(state);
    if (early?.expiresAt === expiresAt) {
      if (clock.monotonic() - early.since >= skew.apartMs) return true;
    } else {
      this.#early.set(state, { expiresAt, since: clock.monotonic() });
    }
    this.#lookAgain({ at: expiresAt, entry, name, expiresAt }, skew.apartMs);
    return false;
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
   * Whether there is another version than a description tells of: DescribeParameters may lag behind, and a parameter that
   * was put anew a second before its Expiration has not expired. What does not exist any more is what AWS has deleted.
   */
  async #isReplaced(one: Describable, { version, modified }: ParameterDescription, { lane }: At): Promise<boolean> {
    if (isExpired(one.state)) return false;
    const read = await this.#confirm(one, lane);
    if (read.state === "found") return read.record.version !== version || isOlder({ version, modified }, read.record);
    // Who may list parameters only has no other word on it.
    return read.state === "failed" && !isDenial(read.failure);
  }

  /**
   * What is not described is not there, or is another account's. One whose Expiration has passed, which was there until
   * then, is what AWS has deleted for it: where it does not exist by a second opinion.
   */
  async #takeAbsent(one: Describable, at: At): Promise<Word> {
    const { state } = one;
    const { keyId, policies } = state.metadata ?? {};
    state.metadata = this.#metadata(keyId, policies);
    const expiresAt = policies?.expiresAt ?? Infinity;
    const wasThere = state.missing === undefined || state.missing.at >= expiresAt;
    if (!this.#hasPassed(one, expiresAt, at) || isExpired(state) || !wasThere) return "same";
    const read = await this.#confirm(one, at.lane);
    if (read.state !== "missing") return "same";
    state.expired = { at: expiresAt, stamp: state.stamp };
    return "expired";
  }

  /** The other opinion on a parameter, whatever version it is seen by: what expires at one instant is asked for in tens. */
  async #confirm(one: Describable, lane: Lane): Promise<Read> {
    const { reader, entries } = this.#options;
    const { identity } = one.entry.reference;
    const name = nameIn(one);
    const isWanted = () => this.#options.isWanted(one.entry);
    const reading = reader.read(identity, name, { decrypt: false, lane, confirms: true, isWanted });
    const read = await reading.catch((error: unknown): Read => {
      if (!(error instanceof Canceled)) throw error;
      return { state: "failed", failure: new Failure("Unreachable", "retry", `nobody asks for ${name} any more`) };
    });
    // What is remembered of a name goes with the entry of that name.
    if (!entries.get({ kind: "parameter", identity, name, selector: "" })) reader.forget(identity, name);
    return read;
  }

  #metadata(keyId: string | undefined, policies: Policies | undefined): ParameterMetadata {
    if (!policies) return this.#metadataPool.of(keyId);
    return { policies, ...(keyId === undefined ? {} : { keyId }) };
  }

  #takeAnswer(identityKey: string): void {
    const isFirst = !this.#answered.has(identityKey);
    this.#answered.add(identityKey);
    const wasDenied = this.#denied.delete(identityKey);
    if (wasDenied) this.#resync.hurry(identityKey);
    if (wasDenied || isFirst) this.#options.seen?.(identityKey);
  }

  #isDenied(identityKey: string): boolean {
    return (this.#denied.get(identityKey)?.until ?? -Infinity) > this.#options.clock.monotonic();
  }

  #deny(identityKey: string, failure: Failure): void {
    const isNews = this.#denied.get(identityKey)?.failure.message !== failure.message;
    this.#denied.set(identityKey, { failure, until: this.#options.clock.monotonic() + deniedMs });
    this.#describeQueue.clear(identityKey);
    if (isNews) this.#options.seen?.(identityKey);
  }

  /** Notes the instants that policies name and that had not been noted before. */
  #note({ entry, name }: Describable, before: Policies | undefined, after: Policies | undefined): void {
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

  /** Warns, and looks at what expires: all of one instant in one go. */
  async #reached(due: readonly Due[]): Promise<void> {
    const { clock, entries, notify } = this.#options;
    const expiring: (Describable & { expiresAt: number })[] = [];
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
      // A denial, a throttle or a silence is no word on it: it is asked again.
      const isOpen = state.metadata?.policies?.expiresAt === expiresAt && !isExpired(state);
      const isLate = state.missing !== undefined && state.missing.at < expiresAt;
      if (!isOpen || isLate || !entries.has(entry) || this.#early.get(state)?.expiresAt === expiresAt) continue;
      const restMs = expiresAt - clock.now() - (this.#aheadMs.get(entry.reference.identity.key) ?? 0);
      this.#lookAgain({ at: expiresAt, entry, name, expiresAt }, Math.min(Math.max(restMs, againMs), againAtMostMs));
    }
  }

  /** Looks on behalf of somebody who waits; an answer that comes too late for that is told as any other. */
  async #lookInTime(meant: readonly Describable[], lane: Lane): Promise<void> {
    const over = new AbortController();
    const how = { quiet: true };
    await Promise.race([this.look(meant, lane, how), sleep(this.#options.clock, waitAtMostMs, over.signal)]);
    how.quiet = false;
    over.abort();
  }
}

/**
 * Whether a description is of an earlier version than was seen. Of one version the times may differ by what is less than
 * a second.
 */
function isOlder(
  { version, modified }: Pick<ParameterDescription, "version" | "modified">,
  stamp: VersionStamp | undefined,
) {
  return stamp !== undefined && modified < stamp.modified - (stamp.version === version ? 1_000 : 0);
}
