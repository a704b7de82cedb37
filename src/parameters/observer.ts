import type { Metrics } from "../metrics/metrics.ts";
import type { Clock, Random } from "../runtime/clock.ts";
import type { Failure } from "../runtime/failure.ts";
import type { Lane } from "../runtime/lane.ts";
import {
  type Entry,
  fingerprint,
  isCurrent,
  isKnown,
  isMassLoss,
  isRipe,
  miss,
  newEntry,
  plant,
  type Seed,
  type Sight,
  type Sighted,
  type Spot,
  serve,
} from "./entry.ts";
import type { PathReader } from "./path-reader.ts";
import { Poller } from "./poller.ts";
import type { Read, Reader } from "./reader.ts";
import {
  memberSelector,
  type ParameterReference,
  type PathReference,
  type Reference,
  referenceKey,
  requestName,
} from "./reference.ts";
import { Wave } from "./wave.ts";

/** What a SyncedSecret depends on. */
export interface Want {
  reference: Reference;
  /** Milliseconds between polls; Infinity for a reference that is never polled. */
  pollIntervalMs: number;
  /** What an earlier process knew, where the Secret itself vouches for it; by parameter name. */
  seed?: ReadonlyMap<string, Seed>;
}

/** A reference's values, by parameter name. What is missing is not among them. */
export type Values = { state: "values"; values: ReadonlyMap<string, Sighted> } | { state: "failed"; failure: Failure };

export interface ObserverOptions {
  reader: Reader;
  pathReader: PathReader;
  clock: Clock;
  random: Random;
  metrics: Metrics;
  /** Milliseconds between the two looks that make a parameter gone. */
  missingGraceMs: number;
  /** Called with the namespace/name of each SyncedSecret for which something has changed. */
  notify: (dependent: string) => void;
}

/** Members of one path that are asked for one by one when they have gone; with more, none is believed to be gone. */
const confirmationsAtMost = 50;

/**
 * Knows of each distinct reference what was last seen of it, decides when to look again, and tells the dependants
 * when it differs: versions are compared, never values.
 */
export class Observer {
  readonly #options: ObserverOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #byDependent = new Map<string, Set<Entry>>();
  readonly #reading = new Map<string, Promise<Values>>();
  readonly #wave: Wave;
  readonly #poller: Poller;

  constructor(options: ObserverOptions) {
    this.#options = options;
    this.#wave = new Wave(options.clock);
    this.#poller = new Poller(options.clock, options.random, (entries) => this.#poll(entries));
  }

  /** Sets what a SyncedSecret depends on, in place of what it depended on before. */
  depend(dependent: string, wants: readonly Want[]): void {
    const before = this.#byDependent.get(dependent) ?? new Set();
    const after = new Set<Entry>();
    for (const want of wants) {
      const entry = this.#entry(want.reference);
      if (want.seed) plant(entry, want.seed, this.#options.clock.now());
      after.add(entry);
      const isNew = entry.dependents.get(dependent) !== want.pollIntervalMs;
      entry.dependents.set(dependent, want.pollIntervalMs);
      if (isNew) this.#planFirst(entry);
    }
    for (const entry of before) if (!after.has(entry)) this.#release(entry, dependent);
    if (after.size > 0) this.#byDependent.set(dependent, after);
    else this.#byDependent.delete(dependent);
  }

  /** What is known of a reference; undefined where nobody depends on it. */
  entry(reference: Reference): Readonly<Entry> | undefined {
    return this.#entries.get(referenceKey(reference));
  }

  /** Looks at references now, without decryption, and returns when all have been answered or have failed. */
  async look(references: readonly Reference[], lane: Lane): Promise<void> {
    await Promise.all(references.map((reference) => this.#lookAt(this.#entry(reference), lane)));
  }

  /**
   * Reads a reference's values with decryption. Within a wave, the first read serves everyone.
   *
   * @param fresh true asks AWS again whatever the wave holds
   */
  values(reference: Reference, lane: Lane, fresh = false): Promise<Values> {
    const entry = this.#entry(reference);
    const held = fresh ? undefined : this.#wave.get(entry);
    if (held) return Promise.resolve({ state: "values", values: held });
    const running = fresh ? undefined : this.#reading.get(entry.key);
    if (running) return running;
    const reading = this.#readValues(entry, lane).finally(() => {
      if (this.#reading.get(entry.key) === reading) this.#reading.delete(entry.key);
    });
    this.#reading.set(entry.key, reading);
    return reading;
  }

  /** Reads one version by its number, once and for one Secret: nothing of it is observed or held. */
  async valueOf(
    reference: ParameterReference,
    lane: Lane,
  ): Promise<{ state: "found"; sighted: Sighted } | Exclude<Read, { state: "found" }>> {
    const read = await this.#options.reader.read(reference.identity, requestName(reference), { decrypt: true, lane });
    if (read.state !== "found") return read;
    const { value, version, modified } = read.record;
    return value
      ? { state: "found", sighted: { value, version, modified } }
      : { state: "missing", reason: "VersionNotFound" };
  }

  /** Lets go of every value: the reconciles that they were read for are done. */
  endWave(): void {
    this.#wave.end();
  }

  /** How many values are held at the moment. */
  get valuesHeld(): number {
    return this.#wave.size;
  }

  /** Sets no timer any more, and lets go of every value. */
  stop(): void {
    this.#poller.stop();
    this.#wave.end();
  }

  #entry(reference: Reference): Entry {
    const key = referenceKey(reference);
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = newEntry(reference, key);
      this.#entries.set(key, entry);
      this.#options.metrics.watchedParameters.set(this.#entries.size);
    }
    return entry;
  }

  #release(entry: Entry, dependent: string): void {
    entry.dependents.delete(dependent);
    if (entry.dependents.size > 0) return;
    this.#entries.delete(entry.key);
    this.#wave.drop(entry);
    this.#options.metrics.watchedParameters.set(this.#entries.size);
    const { reference } = entry;
    if (reference.kind === "parameter") this.#options.reader.forget(reference.identity, requestName(reference));
  }

  /** Spreads the first polls over the interval, so that what was read at once is not polled at once. */
  #planFirst(entry: Entry): void {
    const interval = Math.min(...entry.dependents.values());
    if (!Number.isFinite(interval)) return;
    const at = this.#options.clock.now() + interval * (1 - 0.9 * this.#options.random());
    if (at < entry.dueAt || !Number.isFinite(entry.dueAt)) {
      entry.dueAt = at;
      this.#poller.plan(entry);
    }
  }

  #planNext(entry: Entry): void {
    const { clock, missingGraceMs } = this.#options;
    const now = clock.now();
    let at = now + Math.min(...entry.dependents.values());
    for (const spot of [entry.spot, ...entry.members.values()]) {
      if (spot.missing?.stage === "suspect") at = Math.min(at, Math.max(now + 1, spot.missing.since + missingGraceMs));
    }
    entry.dueAt = at;
    this.#poller.plan(entry);
  }

  async #poll(entries: Entry[]): Promise<"heard" | "unheard"> {
    await Promise.all(entries.map((entry) => this.#lookAt(entry, "poll")));
    return entries.some((entry) => entry.failure?.next === "retry") ? "unheard" : "heard";
  }

  async #lookAt(entry: Entry, lane: Lane): Promise<void> {
    const { reference } = entry;
    if (reference.kind === "path") {
      const listing = await this.#options.pathReader.list(reference, { decrypt: false, lane });
      await this.#heard(entry, async () => {
        if (listing.state === "failed") this.#fail(entry, listing.failure);
        else await this.#listed(entry, reference, listing.records, lane);
      });
      return;
    }
    const name = requestName(reference);
    const { reader, clock, missingGraceMs } = this.#options;
    const ripe = isRipe(entry.spot, missingGraceMs, clock.now());
    const read = ripe
      ? await reader.confirm(reference.identity, name, lane)
      : await reader.read(reference.identity, name, { decrypt: false, lane });
    await this.#heard(entry, async () => {
      this.#take(entry, reference, read);
      if (ripe && read.state === "missing") await this.#believe(entry, entry.spot);
    });
  }

  /** Applies an answer, plans the next look, and tells the dependants where it changes what they act upon. */
  async #heard(entry: Entry, apply: () => Promise<void>): Promise<void> {
    const knew = isKnown(entry);
    const before = fingerprint(entry);
    const wasUnheard = entry.failure?.next === "retry";
    await apply();
    entry.askedAt = this.#options.clock.now();
    this.#planNext(entry);
    const recovered = wasUnheard && entry.failure === undefined;
    if ((knew && before !== fingerprint(entry)) || recovered) {
      for (const dependent of entry.dependents.keys()) this.#options.notify(dependent);
    }
  }

  #fail(entry: Entry, failure: Failure): void {
    entry.failure = failure;
    if (failure.next !== "retry") entry.heardAt = this.#options.clock.now();
  }

  #answered(entry: Entry): void {
    delete entry.failure;
    entry.looked = true;
    entry.heardAt = this.#options.clock.now();
  }

  #take(entry: Entry, reference: ParameterReference, read: Read): void {
    if (read.state === "failed") {
      this.#fail(entry, read.failure);
      return;
    }
    this.#answered(entry);
    if (read.state === "missing") miss(entry.spot, read.reason, this.#options.clock.now());
    else serve(entry.spot, read.record, reference.selector !== "");
  }

  async #listed(
    entry: Entry,
    reference: PathReference,
    records: ReadonlyMap<string, Sight & { name: string }>,
    lane: Lane,
  ): Promise<void> {
    const { clock, missingGraceMs } = this.#options;
    for (const [name, record] of records) {
      let spot = entry.members.get(name);
      if (!spot) {
        spot = {};
        entry.members.set(name, spot);
      }
      serve(spot, record, reference.label !== "");
    }
    const ripe: [string, Spot][] = [];
    for (const [name, spot] of entry.members) {
      if (records.has(name)) continue;
      miss(spot, "ParameterNotFound", clock.now());
      if (isRipe(spot, missingGraceMs, clock.now())) ripe.push([name, spot]);
    }
    this.#answered(entry);
    if (ripe.length > confirmationsAtMost) {
      for (const [, spot] of ripe) spot.missing!.stage = "held";
    } else {
      for (const [name, spot] of ripe) {
        const suffix = memberSelector(reference);
        const read = await this.#options.reader.confirm(reference.identity, name + suffix, lane);
        const isGone =
          read.state === "missing" || (read.state === "found" && !couldBeListed(reference, read.record.type));
        if (isGone) await this.#believe(entry, spot);
        else if (spot.missing) spot.missing.since = clock.now();
      }
    }
  }

  /**
   * Believes that what is missing for the second time is gone, unless far too much went missing at once. What has not
   * been looked at since is looked at first: polls are spread, so that a loss of everything begins with one name.
   */
  async #believe(entry: Entry, spot: Spot): Promise<void> {
    const { clock, missingGraceMs } = this.#options;
    const since = spot.missing?.since ?? clock.now();
    const isOthers = (other: Entry) => other !== entry && other.reference.identity.key === entry.reference.identity.key;
    const isWaiting = (other: Entry) =>
      [other.spot, ...other.members.values()].some((one) => isRipe(one, missingGraceMs, clock.now()));
    const unseen = [...this.#entries.values()].filter(
      (other) => isOthers(other) && (other.askedAt ?? 0) <= since && !isWaiting(other),
    );
    await Promise.all(unseen.map((other) => this.#lookAt(other, "poll")));
    if (unseen.some(({ failure }) => failure)) {
      // What was not answered is not there either; the second opinion has to wait for it.
      if (spot.missing) spot.missing.since = clock.now();
      return;
    }
    const recent = clock.now() - 2 * missingGraceMs;
    let total = 0;
    let missing = 0;
    for (const other of this.#entries.values()) {
      if (other.reference.identity.key !== entry.reference.identity.key) continue;
      for (const one of [other.spot, ...other.members.values()]) {
        if (!one.sight) continue;
        total += 1;
        if (one.missing && (one.missing.stage === "held" || one.missing.since > recent)) missing += 1;
      }
    }
    if (spot.missing) spot.missing.stage = isMassLoss(missing, total) ? "held" : "gone";
  }

  #unread(entry: Entry, failure: Failure): Values {
    entry.unreadSince ??= this.#options.clock.now();
    return { state: "failed", failure };
  }

  async #readValues(entry: Entry, lane: Lane): Promise<Values> {
    const { reference } = entry;
    const values = new Map<string, Sighted>();
    if (reference.kind === "path") {
      const listing = await this.#options.pathReader.list(reference, { decrypt: true, lane });
      await this.#heard(entry, async () => {
        if (listing.state === "failed") this.#fail(entry, listing.failure);
        else await this.#listed(entry, reference, listing.records, lane);
      });
      if (listing.state === "failed") return this.#unread(entry, listing.failure);
      for (const [name, { value, version, modified }] of listing.records) {
        if (value && isCurrent(entry.members.get(name), { version, modified })) {
          values.set(name, { value, version, modified });
        }
      }
    } else {
      const name = requestName(reference);
      const read = await this.#options.reader.read(reference.identity, name, { decrypt: true, lane });
      await this.#heard(entry, async () => this.#take(entry, reference, read));
      if (read.state === "failed") return this.#unread(entry, read.failure);
      if (read.state === "found" && isCurrent(entry.spot, read.record)) {
        const { value, version, modified } = read.record;
        if (value) values.set(reference.name, { value, version, modified });
      }
    }
    delete entry.unreadSince;
    if (this.#entries.get(entry.key) === entry) this.#wave.hold(entry, values);
    return { state: "values", values };
  }
}

/** Whether a path's filter on types lets a parameter of this type through. */
function couldBeListed(reference: PathReference, type: string): boolean {
  return reference.types.length === 0 || reference.types.includes(type);
}
