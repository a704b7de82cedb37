import type { Clock } from "../runtime/clock.ts";
import { type Entry, isMassDeletion, isRipe, type Missing, type ParameterState } from "./cache-entry.ts";
import type { Entries } from "./entries.ts";
import { atStake } from "./stored.ts";

export interface DeletionConfirmerOptions {
  entries: Entries;
  clock: Clock;
  /** Milliseconds between the two looks that make a parameter gone. */
  missingGraceMs: number;
  /** Whether anybody may still ask for an entry: what nobody may ask for is not waited for. */
  isWanted: (entry: Entry) => boolean;
  look: (entry: Entry) => Promise<unknown>;
}

let confirm: () => ConfirmedDeletion;

/**
 * Proof that this process has heard AWS say twice, the grace apart, that a parameter is missing. Nothing is deleted or
 * dropped for a missing source without one, and only the confirmer makes it.
 */
export class ConfirmedDeletion {
  readonly #heard = "twice";
  private constructor() {}

  get heard(): string {
    return this.#heard;
  }

  static {
    confirm = () => new ConfirmedDeletion();
  }
}

/**
 * Believes that what is missing for the second time is gone, unless far too much went missing at once. What has not
 * been looked at since is looked at first: polls are spread, so that a loss of everything begins with one name. What
 * statuses say was there counts as well, which can only put a deletion off.
 */
export class DeletionConfirmer {
  readonly #options: DeletionConfirmerOptions;
  /** Rounds of looks under way, by identity: a thousand losses share one. Each tells whether all were answered. */
  readonly #rounds = new Map<string, Promise<boolean>>();

  constructor(options: DeletionConfirmerOptions) {
    this.#options = options;
  }

  /** Makes a spot that is ripe gone or held, or has it wait for another second opinion. */
  async settle(entry: Entry, state: ParameterState): Promise<void> {
    const { clock } = this.#options;
    const identityKey = entry.reference.identity.key;
    const since = state.missing?.since ?? clock.monotonic();
    for (;;) {
      const unseen = this.#rounds.has(identityKey) ? [] : this.#unseen(identityKey, entry, since);
      const round = this.#rounds.get(identityKey) ?? (unseen.length > 0 ? this.#look(identityKey, unseen) : undefined);
      if (!round) break;
      if (await round) continue;
      // What was not answered is not there either; the second opinion has to wait for it.
      if (state.missing) state.missing.since = clock.monotonic();
      return;
    }
    if (!state.missing) return;
    if (this.#isMassDeletion(identityKey)) hold(state);
    else state.missing = { ...factsOf(state.missing), stage: "gone", confirmed: confirm() };
  }

  #unseen(identityKey: string, entry: Entry, since: number): Entry[] {
    const { entries, clock, missingGraceMs, isWanted } = this.#options;
    const now = clock.monotonic();
    const isWaiting = (other: Entry) =>
      [...atStake(other)].some(({ state, isClaimed }) => isRipe(state, missingGraceMs, now, isClaimed));
    const unseen: Entry[] = [];
    for (const other of entries.of(identityKey)) {
      const isSeen = (other.askedAt ?? -Infinity) > since || isWaiting(other);
      if (other !== entry && isWanted(other) && !isSeen) unseen.push(other);
    }
    return unseen;
  }

  #look(identityKey: string, unseen: readonly Entry[]): Promise<boolean> {
    const round = Promise.all(unseen.map(this.#options.look))
      .then(() => !unseen.some(({ failure }) => failure))
      .finally(() => this.#rounds.delete(identityKey));
    this.#rounds.set(identityKey, round);
    return round;
  }

  #isMassDeletion(identityKey: string): boolean {
    const { entries, clock, missingGraceMs } = this.#options;
    const recent = clock.monotonic() - 2 * missingGraceMs;
    let total = 0;
    let missing = 0;
    for (const other of entries.of(identityKey)) {
      for (const { state } of atStake(other)) {
        total += 1;
        if (state.missing && (state.missing.stage === "held" || state.missing.since > recent)) missing += 1;
      }
    }
    return isMassDeletion(missing, total);
  }
}

/** Has what is missing count as one of too many that went at once. */
export function hold(state: ParameterState): void {
  if (state.missing) state.missing = { ...factsOf(state.missing), stage: "held" };
}

function factsOf({ reason, since, at }: Missing) {
  return { reason, since, at };
}
