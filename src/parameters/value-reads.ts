import { always, type IsWanted, Waiters } from "../runtime/cancellation.ts";
import type { ClockWatch } from "../runtime/clock-watch.ts";
import type { Failure } from "../runtime/failure.ts";
import { type Lane, moreUrgent } from "../runtime/lane.ts";
import type { Span } from "../runtime/tracing.ts";
import type { Answers, Taking } from "./answers.ts";
import { type Entry, isCurrent } from "./cache/cache-entry.ts";
import { DecryptedValueCache } from "./cache/decrypted-value-cache.ts";
import type { Entries } from "./cache/entries.ts";
import { changeEntry } from "./cache/reducer.ts";
import type { ObserverOptions } from "./observer-options.ts";
import type { Picks } from "./read/path-reader.ts";
import { tooLarge } from "./read/path-reader.ts";
import type { Read } from "./read/pending-reads.ts";
import type { ReadAudit } from "./read/read-audit.ts";
import { type ParameterReference, type PathReference, requestName } from "./read/reference.ts";
import { type StampedValue, stampedIn } from "./read/version-stamp.ts";
import type { ReadFor, Values } from "./subscription.ts";

export interface ValueReadsOptions extends Pick<ObserverOptions, "clock" | "reader" | "pathReader"> {
  entries: Entries;
  answers: Answers;
  audit: ReadAudit;
  clockWatch: ClockWatch;
}

/** A read in flight, and the SyncedSecrets that it answers. */
interface Reading {
  lane: Lane;
  reading: Promise<Values>;
  askers: Set<string>;
  waiters: Waiters;
}

/** How a value is read. */
interface Whom extends Required<Pick<Taking, "lane" | "mayGoBack">> {
  namespace: string;
  isWanted: IsWanted;
  span: Span | undefined;
  picks?: Picks;
}

/** Reads values with decryption. Concurrent reconciles share one read, and later ones use its cached values. */
export class ValueReads {
  readonly #options: ValueReadsOptions;
  readonly #decryptedValues: DecryptedValueCache;
  readonly #reading = new Map<string, Reading>();

  constructor(options: ValueReadsOptions) {
    this.#options = options;
    this.#decryptedValues = new DecryptedValueCache(options.clock);
  }

  /** Reads an entry's values. A failure of AWS is a state. @throws Canceled if nobody wants the read any more */
  values(entry: Entry, lane: Lane, readFor: ReadFor): Promise<Values> {
    const { picks, fresh = false } = readFor;
    // One listing of a path serves all dependents, unless the path is too large: then each dependent lists its part.
    const isLarge = entry.largeAt === entry.version;
    if (isLarge && !picks && !fresh) return Promise.resolve({ state: "failed", failure: tooLarge(entry.reference) });
    if (!picks) return this.#valuesOf(entry, lane, readFor);
    if (isLarge) return this.#valuesOf(entry, lane, readFor, picks);
    return this.#valuesOf(entry, lane, readFor).then((read) => {
      const isTooLarge = read.state === "failed" && read.failure.reason === "TooLarge";
      return isTooLarge ? this.#valuesOf(entry, lane, readFor, picks) : read;
    });
  }

  /** Reads one version by its number for one Secret. The version is neither observed nor cached. */
  async valueOf(
    reference: ParameterReference,
    lane: Lane,
    { namespace = "", resource = "", isWanted, span }: ReadFor,
  ): Promise<{ state: "found"; stamped: StampedValue } | Exclude<Read, { state: "found" }>> {
    const { reader, entries, audit } = this.#options;
    const options = { decrypt: true, lane, namespace, isWanted, span };
    const read = await reader.read(reference.identity, requestName(reference), options);
    if (!entries.get(reference)) reader.forget(reference.identity, requestName(reference));
    audit.read(reference, read, [resource]);
    if (read.state !== "found") return read;
    const stamped = stampedIn(read.record);
    return stamped ? { state: "found", stamped } : { state: "missing", reason: "VersionNotFound" };
  }

  /** Removes the cached values of an entry. */
  drop(entry: Entry): void {
    this.#decryptedValues.drop(entry);
  }

  /** Clears the decrypted value cache. */
  clear(): void {
    this.#decryptedValues.end();
  }

  /** How many references have cached values. */
  get size(): number {
    return this.#decryptedValues.size;
  }

  #valuesOf(
    entry: Entry,
    lane: Lane,
    { fresh = false, namespace = "", resource = "", isWanted = always, span }: ReadFor,
    picks?: Picks,
  ): Promise<Values> {
    const { reference } = entry;
    const key = picks ? `${entry.key}\n${picks.key}` : entry.key;
    const held = fresh || picks ? undefined : this.#decryptedValues.get(entry);
    if (held) {
      this.#options.audit.reused(reference, held, resource);
      return Promise.resolve({ state: "values", values: held });
    }
    const running = fresh ? undefined : this.#reading.get(key);
    if (running && (reference.kind === "parameter" || moreUrgent(running.lane, lane) === running.lane)) {
      running.askers.add(resource);
      running.waiters.join(isWanted);
      if (reference.kind === "path") return running.reading;
      const options = { decrypt: true, lane, namespace, span };
      this.#options.reader.hurry(reference.identity, requestName(reference), options);
      return running.reading;
    }
    const askers = new Set([resource]);
    const waiters = new Waiters(isWanted);
    const whom: Whom = {
      ...{ lane, namespace, mayGoBack: fresh, isWanted: waiters.isWanted, span },
      ...(picks ? { picks } : {}),
    };
    const reading = this.#read(entry, whom, askers).finally(() => {
      if (this.#reading.get(key)?.reading === reading) this.#reading.delete(key);
    });
    this.#reading.set(key, { lane, reading, askers, waiters });
    return reading;
  }

  async #read(entry: Entry, whom: Whom, askers: ReadonlySet<string>): Promise<Values> {
    const { reference } = entry;
    const values = new Map<string, StampedValue>();
    const failure =
      reference.kind === "path"
        ? await this.#readPath({ entry, reference, values }, whom, askers)
        : await this.#readParameter({ entry, reference, values }, whom, askers);
    if (failure) return { state: "failed", failure };
    changeEntry(entry, { type: "valueRead" });
    if (this.#options.entries.has(entry) && !whom.picks) this.#decryptedValues.hold(entry, values);
    return { state: "values", values };
  }

  /** Adds the values of a path's current members to `values`. */
  async #readPath(
    { entry, reference, values }: { entry: Entry; reference: PathReference; values: Map<string, StampedValue> },
    { mayGoBack, ...whom }: Whom,
    askers: ReadonlySet<string>,
  ): Promise<Failure | undefined> {
    const { pathReader, answers, audit } = this.#options;
    const listing = await pathReader.list(reference, { decrypt: true, ...whom });
    const isTooLarge = listing.state === "failed" && listing.failure.reason === "TooLarge";
    // TooLarge is the operator's own limit, not an answer of AWS, so it does not become the entry's failure.
    if (isTooLarge && !whom.picks) changeEntry(entry, { type: "tooLarge" });
    if (!isTooLarge) await answers.list(entry, reference, listing, { lane: whom.lane, mayGoBack });
    audit.listed(reference, listing, askers);
    if (listing.state === "failed") return isTooLarge ? listing.failure : this.#unread(entry, listing.failure);
    for (const [name, record] of listing.records) {
      const stamped = stampedIn(record);
      if (stamped && isCurrent(entry.members.get(name), stamped)) values.set(name, stamped);
    }
    return undefined;
  }

  /** Adds a parameter's value to `values`, if it is the current one. */
  async #readParameter(
    { entry, reference, values }: { entry: Entry; reference: ParameterReference; values: Map<string, StampedValue> },
    { mayGoBack, ...whom }: Whom,
    askers: ReadonlySet<string>,
  ): Promise<Failure | undefined> {
    const { reader, answers, audit } = this.#options;
    const read = await reader.read(reference.identity, requestName(reference), { decrypt: true, ...whom });
    await answers.take(entry, reference, read, { lane: whom.lane, mayGoBack });
    audit.read(reference, read, askers);
    if (read.state === "failed") return this.#unread(entry, read.failure);
    const stamped = read.state === "found" ? stampedIn(read.record) : undefined;
    if (stamped && isCurrent(entry.state, stamped)) values.set(reference.name, stamped);
    return undefined;
  }

  #unread(entry: Entry, failure: Failure): Failure {
    changeEntry(entry, { type: "unread", elapsed: this.#options.clockWatch.elapsed() });
    return failure;
  }
}
