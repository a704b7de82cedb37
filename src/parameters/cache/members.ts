import type { Clock } from "../../runtime/clock.ts";
import type { Lane } from "../../runtime/lane.ts";
import type { Listing } from "../read/path-reader.ts";
import type { Reader } from "../read/reader.ts";
import { couldBeListed, memberSelector, type PathReference } from "../read/reference.ts";
import { type At, type Entry, isRipe, type Parameter, type ParameterState } from "./cache-entry.ts";
import type { DeletionConfirmer } from "./deletion-confirmer.ts";
import { changeEntry, changeParameter } from "./reducer.ts";
import { claim, isStoredByAll } from "./stored.ts";

export interface MembersOptions {
  reader: Reader;
  clock: Clock;
  /** Milliseconds between the two looks that confirm a deletion. */
  missingGraceMs: number;
  /** Whether any dependent of an entry still wants it. */
  isWanted: (entry: Entry) => boolean;
  confirmer: DeletionConfirmer;
  /** Describes parameters that have appeared before a dependent acts on them; see `Expiries.before`. */
  describe: (entry: Entry, isMeant: (state: ParameterState, name: string) => boolean, lane: Lane) => Promise<void>;
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
    const at = this.#at();
    const fresh = new Set<string>();
    for (const [name, record] of records) {
      const state = entry.members.get(name);
      const isExpected = !state && isStoredByAll(entry, name, entry.acting ?? []);
      if ((!state && !isExpected) || state?.missing?.stage === "gone") fresh.add(name);
      if (!state) {
        const isKnown = isStoredByAll(entry, name, entry.dependents.keys());
        changeEntry(entry, { type: "memberAdded", name, isKnown });
      }
      const member = { entry, name, state: state ?? entry.members.get(name)! };
      const isFree = mayGoBack || reference.label !== "";
      changeParameter(member, { type: "served", stamp: record, mayGoBack: isFree, at });
    }
    claim(entry, at);
    forgetGone(entry, at.now);
    const missing = parametersOf(entry, entry.members).filter(({ name }) => !records.has(name));
    for (const member of missing) changeParameter(member, { type: "missing", reason: "ParameterNotFound", at });
    if (fresh.size > 0) await this.#options.describe(entry, (_, name) => fresh.has(name), lane);
    const confirm = (member: Parameter) =>
      this.#confirm(reference, { ...member, isUntagged: untagged?.has(member.name) ?? false }, lane);
    await this.#settle(missing, false, confirm);
    // Separately: members known only from statuses must not make a loss seen by this process look larger.
    await this.#settle(parametersOf(entry, entry.claimed), true, confirm);
  }

  /** Marks members that previous statuses name and the last listing lacks as missing. */
  claim(entry: Entry): void {
    claim(entry, this.#at());
  }

  #at(): At {
    const { clock } = this.#options;
    return { now: clock.monotonic(), wall: clock.now() };
  }

  async #settle(
    missing: readonly Parameter[],
    isClaim: boolean,
    confirm: (member: Parameter) => Promise<void>,
  ): Promise<void> {
    const { clock, missingGraceMs } = this.#options;
    const ripe = missing.filter(({ state }) => isRipe(state, missingGraceMs, clock.monotonic(), isClaim));
    if (ripe.length > confirmationsAtMost) for (const member of ripe) changeParameter(member, { type: "held" });
    else for (const member of ripe) await confirm(member);
  }

  /** Confirms that a member is gone: a single read finds it missing too, or the path's filters exclude it now. */
  async #confirm(reference: PathReference, member: MissingMember, lane: Lane): Promise<void> {
    const { reader, clock, confirmer, isWanted } = this.#options;
    const { entry, name, isUntagged } = member;
    const read = await reader.confirm(reference.identity, name + memberSelector(reference), lane, {
      isWanted: () => isWanted(entry),
    });
    const isUnlisted = read.state === "found" && (isUntagged || !couldBeListed(reference, read.record.type));
    if (read.state === "missing" || isUnlisted) await confirmer.settle(member);
    else changeParameter(member, { type: "graceRestarted", now: clock.monotonic() });
  }
}

/** A member that the last listing lacks. */
interface MissingMember extends Parameter {
  /** Whether the path's tags exclude it now. */
  isUntagged: boolean;
}

function parametersOf(entry: Entry, members: ReadonlyMap<string, ParameterState> = new Map()): Parameter[] {
  return [...members].map(([name, state]) => ({ entry, name, state }));
}

/** Forgets members that went long ago and that no dependent needs, so that entries with changing members stay small. */
function forgetGone(entry: Entry, now: number): void {
  const { members, dependents, leaving } = entry;
  if (!leaving || leaving.size < dependents.size) return;
  const gone = [...members].filter(([, { missing }]) => missing?.stage === "gone");
  gone.sort(([, a], [, b]) => b.missing!.since - a.missing!.since);
  for (const [name, state] of gone.slice(goneAtMost)) {
    if (now - state.missing!.since < rememberedMs) continue;
    const isLeft = [...dependents.keys()].every((dependent) => leaving.get(dependent)?.(state));
    if (isLeft) changeEntry(entry, { type: "memberForgotten", name });
  }
}
