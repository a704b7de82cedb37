import type { Clock } from "../runtime/clock.ts";
import type { Lane } from "../runtime/lane.ts";
import type { Belief } from "./belief.ts";
import { type Entry, isRipe, miss, type Spot, serve } from "./entry.ts";
import type { Expiries } from "./expiries.ts";
import type { Listing } from "./path-reader.ts";
import type { Reader } from "./reader.ts";
import { couldBeListed, memberSelector, type PathReference } from "./reference.ts";

export interface MembersOptions {
  reader: Reader;
  clock: Clock;
  /** Milliseconds between the two looks that make a parameter gone. */
  missingGraceMs: number;
  belief: Belief;
  expiries: Expiries;
}

export type Listed = Extract<Listing, { state: "found" }>;

/** Members of one path that are asked for one by one when they have gone; with more, none is believed to be gone. */
const confirmationsAtMost = 50;

/** Members of one path that have gone and are remembered though nobody needs them: a status says what was left out. */
const goneAtMost = 100;
/** Milliseconds for which all are: until whoever has to drop keys for them has done so, and long after. */
const rememberedMs = 86_400_000;

/** Applies listings of paths to what is known of their members. */
export class Members {
  readonly #options: MembersOptions;

  constructor(options: MembersOptions) {
    this.#options = options;
  }

  /** Takes a whole listing: what is there, what is new, and what is not there any more. */
  async take(entry: Entry, reference: PathReference, { records, untagged }: Listed, lane: Lane): Promise<void> {
    const { clock, missingGraceMs, expiries } = this.#options;
    const fresh = new Set<string>();
    for (const [name, record] of records) {
      let spot = entry.members.get(name);
      if (!spot || spot.missing?.stage === "gone") fresh.add(name);
      if (!spot) {
        spot = {};
        const stored = entry.stored?.get(name);
        if (stored) spot.about = stored;
        entry.members.set(name, spot);
      }
      serve(spot, record, reference.label !== "");
    }
    delete entry.stored;
    forgetGone(entry, clock.now());
    const ripe: [string, Spot][] = [];
    for (const [name, spot] of entry.members) {
      if (records.has(name)) continue;
      miss(spot, "ParameterNotFound", clock.now());
      if (isRipe(spot, missingGraceMs, clock.now())) ripe.push([name, spot]);
    }
    if (fresh.size > 0) await expiries.before(entry, (_, name) => fresh.has(name), lane);
    if (ripe.length > confirmationsAtMost) {
      for (const [, spot] of ripe) spot.missing!.stage = "held";
      return;
    }
    for (const [name, spot] of ripe) await this.#confirm(entry, reference, name, spot, untagged?.has(name), lane);
  }

  /** Believes that a member is gone where it is not there by itself either, or could not be listed any more. */
  async #confirm(
    entry: Entry,
    reference: PathReference,
    name: string,
    spot: Spot,
    isUntagged: boolean | undefined,
    lane: Lane,
  ): Promise<void> {
    const { reader, clock, belief } = this.#options;
    const read = await reader.confirm(reference.identity, name + memberSelector(reference), lane);
    const isUnlisted = read.state === "found" && (isUntagged || !couldBeListed(reference, read.record.type));
    if (read.state === "missing" || isUnlisted) await belief.settle(entry, spot);
    else if (spot.missing) spot.missing.since = clock.now();
  }
}

/** Forgets what went long ago, where no dependent keeps anything for it, so that a path whose members change stays small. */
function forgetGone({ members, dependents, leaving }: Entry, now: number): void {
  if (!leaving || leaving.size < dependents.size) return;
  const gone = [...members].filter(([, { missing }]) => missing?.stage === "gone");
  gone.sort(([, a], [, b]) => b.missing!.since - a.missing!.since);
  for (const [name, spot] of gone.slice(goneAtMost)) {
    if (now - spot.missing!.since < rememberedMs) continue;
    if ([...dependents.keys()].every((dependent) => leaving.get(dependent)?.(spot))) members.delete(name);
  }
}
