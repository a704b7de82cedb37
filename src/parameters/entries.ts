import { each, type OneOrMany, withOne, withoutOne } from "../runtime/one-or-many.ts";
import { type Entry, newEntry } from "./cache-entry.ts";
import { isBelow, type Reference, referenceKey } from "./reference.ts";

/** The entries of one identity. */
interface Shelf {
  all: Set<Entry>;
  /** Entries of single parameters, by their name without a leading slash: `/x` and `x` are one name. */
  byName: Map<string, OneOrMany<Entry>>;
  paths: Set<Entry>;
}

/** Every entry, by its reference and by what an announcement of AWS may name. */
export class Entries {
  readonly #byKey = new Map<string, Entry>();
  readonly #shelves = new Map<string, Shelf>();

  /** Every entry. */
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

  /** The entry of a reference, made where there is none. @param now milliseconds as `ClockWatch.elapsed` counts them */
  open(reference: Reference, now: number): Entry {
    const key = referenceKey(reference);
    const known = this.#byKey.get(key);
    if (known) return known;
    const entry = newEntry(reference, key, now);
    this.#byKey.set(key, entry);
    const shelf = this.#shelf(reference.identity.key);
    shelf.all.add(entry);
    if (reference.kind === "path") {
      shelf.paths.add(entry);
    } else {
      const name = bare(reference.name);
      shelf.byName.set(name, withOne(shelf.byName.get(name), entry));
    }
    return entry;
  }

  remove(entry: Entry): void {
    const { reference } = entry;
    const shelf = this.#shelf(reference.identity.key);
    this.#byKey.delete(entry.key);
    shelf.all.delete(entry);
    shelf.paths.delete(entry);
    if (reference.kind === "parameter") {
      const name = bare(reference.name);
      const others = withoutOne(shelf.byName.get(name), entry);
      if (others) shelf.byName.set(name, others);
      else shelf.byName.delete(name);
    }
    if (shelf.all.size === 0) this.#shelves.delete(reference.identity.key);
  }

  /** The entries of one identity. */
  of(identityKey: string): Iterable<Entry> {
    return this.#shelves.get(identityKey)?.all ?? [];
  }

  /**
   * The entries of an identity that a change of a parameter concerns: by its name, by its ARN, by a path above it.
   *
   * @param at the parameter's account and region, and its name as AWS announces it
   */
  concerned(identityKey: string, at: { account: string; region: string; name: string }): Entry[] {
    const shelf = this.#shelves.get(identityKey);
    if (!shelf) return [];
    const name = bare(at.name);
    const found = [...each(shelf.byName.get(name))];
    for (const entry of each(shelf.byName.get(`${at.account} ${at.region} ${name}`))) found.push(entry);
    for (const entry of shelf.paths) {
      const { reference } = entry;
      if (reference.kind === "path" && isBelow(at.name, reference)) found.push(entry);
    }
    return found;
  }

  #shelf(identityKey: string): Shelf {
    let shelf = this.#shelves.get(identityKey);
    if (!shelf) {
      shelf = { all: new Set(), byName: new Map(), paths: new Set() };
      this.#shelves.set(identityKey, shelf);
    }
    return shelf;
  }
}

/** A name as the index has it: without a leading slash, and an ARN as `account region name`. */
function bare(name: string): string {
  if (name.startsWith("arn:")) {
    const [, , , region, account, ...rest] = name.split(":");
    return `${account} ${region} ${rest.join(":").replace(/^parameter\/?/, "")}`;
  }
  return name.startsWith("/") ? name.slice(1) : name;
}
