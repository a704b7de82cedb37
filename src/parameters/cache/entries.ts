import { each, type OneOrMany, withOne, withoutOne } from "../../runtime/one-or-many.ts";
import { isBelow, type Reference, referenceKey } from "../read/reference.ts";
import { type Entry, newEntry } from "./cache-entry.ts";

/** The entries of one identity, by the names that an announcement may use. */
interface IdentityIndex {
  all: Set<Entry>;
  /** Entries of single parameters, by their name without a leading slash: `/x` and `x` are one name. */
  byName: Map<string, OneOrMany<Entry>>;
  paths: Set<Entry>;
}

/** All cache entries, by reference and by identity. */
export class Entries {
  readonly #byKey = new Map<string, Entry>();
  readonly #indexes = new Map<string, IdentityIndex>();

  all(): Iterable<Entry> {
    return this.#byKey.values();
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(reference: Reference): Entry | undefined {
    return this.#byKey.get(referenceKey(reference));
  }

  has(entry: Entry): boolean {
    return this.#byKey.get(entry.key) === entry;
  }

  /** Gets or creates the entry of a reference. @param now milliseconds of `ClockWatch.elapsed` */
  open(reference: Reference, now: number): Entry {
    const key = referenceKey(reference);
    const known = this.#byKey.get(key);
    if (known) return known;
    const entry = newEntry(reference, key, now);
    this.#byKey.set(key, entry);
    const index = this.#index(reference.identity.key);
    index.all.add(entry);
    if (reference.kind === "path") {
      index.paths.add(entry);
    } else {
      const name = bare(reference.name);
      index.byName.set(name, withOne(index.byName.get(name), entry));
    }
    return entry;
  }

  remove(entry: Entry): void {
    const { reference } = entry;
    const index = this.#index(reference.identity.key);
    this.#byKey.delete(entry.key);
    index.all.delete(entry);
    index.paths.delete(entry);
    if (reference.kind === "parameter") {
      const name = bare(reference.name);
      const others = withoutOne(index.byName.get(name), entry);
      if (others) index.byName.set(name, others);
      else index.byName.delete(name);
    }
    if (index.all.size === 0) this.#indexes.delete(reference.identity.key);
  }

  /** The entries of one identity. */
  of(identityKey: string): Iterable<Entry> {
    return this.#indexes.get(identityKey)?.all ?? [];
  }

  /**
   * The entries of an identity that a change of a parameter concerns: by its name, its ARN, or a path above it.
   *
   * @param at the parameter's account and region, and its name as AWS announces it
   */
  concerned(identityKey: string, at: { account: string; region: string; name: string }): Entry[] {
    const index = this.#indexes.get(identityKey);
    if (!index) return [];
    const name = bare(at.name);
    const found = [...each(index.byName.get(name))];
    for (const entry of each(index.byName.get(`${at.account} ${at.region} ${name}`))) found.push(entry);
    for (const entry of index.paths) {
      const { reference } = entry;
      if (reference.kind === "path" && isBelow(at.name, reference)) found.push(entry);
    }
    return found;
  }

  #index(identityKey: string): IdentityIndex {
    let index = this.#indexes.get(identityKey);
    if (!index) {
      index = { all: new Set(), byName: new Map(), paths: new Set() };
      this.#indexes.set(identityKey, index);
    }
    return index;
  }
}

/** A name's key in the index: without a leading slash; an ARN as `account region name`. */
function bare(name: string): string {
  if (name.startsWith("arn:")) {
    const [, , , region, account, ...rest] = name.split(":");
    return `${account} ${region} ${rest.join(":").replace(/^parameter\/?/, "")}`;
  }
  return name.startsWith("/") ? name.slice(1) : name;
}
