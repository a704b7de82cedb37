import type { Clock } from "../runtime/clock.ts";
import type { Lane } from "../runtime/lane.ts";
import { type At, describedBefore, type Entry, isRipe, miss, type ParameterState, serve } from "./cache-entry.ts";
import { type DeletionConfirmer, hold } from "./deletion-confirmer.ts";
import type { Expiries } from "./expiries.ts";
import type { Listing } from "./path-reader.ts";
import type { Reader } from "./reader.ts";
import { couldBeListed, memberSelector, type PathReference } from "./reference.ts";
import { claim, isClaimed, isStoredByAll } from "./stored.ts";

export interface MembersOptions {
  reader: Reader;
  clock: Clock;
  /** Milliseconds between the two looks that confirm a deletion. */
  missingGraceMs: number;
  /** Whether any dependent of an entry still wants it. */
  isWanted: (entry: Entry) => boolean;
  confirmer: DeletionConfirmer;
  expiries: Expiries;
}

export type Listed = Extract<Listing, { state: "found" }>;

/** Missing members of one path that are confirmed one by one, at most. If more are missing, all are held. */
const confirmationsAtMost = 50;

/** Gone members of one path that are kept for statuses, at most, though no dependent needs them. */
const goneAtMost = 100;
/** Milliseconds for which every gone member is kept: long enough for all dependents to drop its keys. */
const rememberedMs = 86_400_000;

/** Applies path listings to the members of cache entries. */
export class Members {
  readonly #options: MembersOptions;

  constructor(options: MembersOptions) {
    this.#options = options;
  }

  /** Applies a complete listing: present, new and missing members. */
  async take(
    entry: Entry,
    reference: PathReference,
    { records, untagged }: Listed,
    { lane, mayGoBack = false }: { lane: Lane; mayGoBack?: boolean },
  ): Promise<void> {
    const { expiries } = this.#options;
    const at = this.#at();
    const fresh = new Set<string>();
    for (const [name, record] of records) {
      let state = entry.members.get(name);
      const isExpected = !state && isStoredByAll(entry, name, entry.acting ?? []);
      if ((!state && !isExpected) || state?.missing?.stage === "gone") fresh.add(name);
      if (!state) {
        state = isStoredByAll(entry, name, entry.dependents.keys()) ? { metadata: describedBefore } : {};
        entry.members.set(name, state);
        entry.claimed?.delete(name);
      }
      serve(state, record, mayGoBack || reference.label !== "", at);
    }
    this.claim(entry);
    forgetGone(entry, at.now);
    const missing = [...entry.members].filter(([name]) => !records.has(name));
    for (const [, state] of missing) miss(state, "ParameterNotFound", at);
    if (fresh.size > 0) await expiries.before(entry, (_, name) => fresh.has(name), lane);
    const confirm = (name: string, state: ParameterState) =>
      this.#confirm({ entry, reference, name, state, isUntagged: untagged?.has(name) ?? false }, lane);
    await this.#settle(missing, false, confirm);
    // Separately: members known only from statuses must not make a loss seen by this process look larger.
    await this.#settle([...(entry.claimed ?? [])], true, confirm);
  }

  /** Marks members that previous statuses name and the last listing lacks as missing. */
  claim(entry: Entry): void {
    for (const stored of entry.stored?.values() ?? []) {
      if (!(stored instanceof Map)) continue;
      for (const name of stored.keys()) {
        if (entry.members.has(name)) continue;
        const state = claim(entry, name);
        if (state) miss(state, "ParameterNotFound", this.#at());
      }
    }
    for (const name of entry.claimed?.keys() ?? []) if (!isClaimed(entry, name)) entry.claimed!.delete(name);
    if (entry.claimed?.size === 0) delete entry.claimed;
  }

  #at(): At {
    const { clock } = this.#options;
    return { now: clock.monotonic(), wall: clock.now() };
  }

  async #settle(
    missing: readonly [string, ParameterState][],
    isClaim: boolean,
    confirm: (name: string, state: ParameterState) => Promise<void>,
  ): Promise<void> {
    const { clock, missingGraceMs } = this.#options;
    const ripe = missing.filter(([, state]) => isRipe(state, missingGraceMs, clock.monotonic(), isClaim));
    if (ripe.length > confirmationsAtMost) for (const [, state] of ripe) hold(state);
    else for (const [name, state] of ripe) await confirm(name, state);
  }

  /** Confirms that a member is gone: a single read finds it missing too, or the path's filters exclude it now. */
  async #confirm({ entry, reference, name, state, isUntagged }: MissingMember, lane: Lane): Promise<void> {
    const { reader, clock, confirmer, isWanted } = this.#options;
    const read = await reader.confirm(reference.identity, name + memberSelector(reference), lane, {
      isWanted: () => isWanted(entry),
    });
    const isUnlisted = read.state === "found" && (isUntagged || !couldBeListed(reference, read.record.type));
    if (read.state === "missing" || isUnlisted) await confirmer.settle(entry, state);
    else if (state.missing) state.missing.since = clock.monotonic();
  }
}

/** A member that the last listing lacks. */
interface MissingMember {
  entry: Entry;
  reference: PathReference;
  name: string;
  state: ParameterState;
  /** Whether the path's tags exclude it now. */
  isUntagged: boolean;
}

/** Forgets members that went long ago and that no dependent needs, so that entries with changing members stay small. */
function forgetGone({ members, dependents, leaving }: Entry, now: number): void {
  if (!leaving || leaving.size < dependents.size) return;
  const gone = [...members].filter(([, { missing }]) => missing?.stage === "gone");
  gone.sort(([, a], [, b]) => b.missing!.since - a.missing!.since);
  for (const [name, state] of gone.slice(goneAtMost)) {
    if (now - state.missing!.since < rememberedMs) continue;
    if ([...dependents.keys()].every((dependent) => leaving.get(dependent)?.(state))) members.delete(name);
  }
}
