import type { Clock } from "../runtime/clock.ts";
import { type Entry, isMassDeletion, isRipe, type Parameter } from "./cache-entry.ts";
import type { Entries } from "./entries.ts";
import { changeParameter } from "./reducer.ts";
import { atStake } from "./stored.ts";

export interface DeletionConfirmerOptions {
  entries: Entries;
  clock: Clock;
  /** Milliseconds between the two looks that confirm a deletion. */
  missingGraceMs: number;
  /** Whether any dependent still wants an entry; an unwanted entry is not waited for. */
  isWanted: (entry: Entry) => boolean;
  look: (entry: Entry) => Promise<unknown>;
}

let confirm: () => ConfirmedDeletion;

/**
 * Proof that AWS has reported a parameter missing twice to this process, the grace apart. Only the confirmer makes it.
 * Without it, no Secret is deleted and no key is dropped for a missing source.
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
 * Confirms the deletion of a parameter that is missing twice, unless too many went missing at once. First it looks at
 * all entries not looked at since: polls are spread, so a loss of all parameters shows on one name first. Parameters
 * known from previous statuses count too, which can only delay a deletion.
 */
export class DeletionConfirmer {
  readonly #options: DeletionConfirmerOptions;
  /** Rounds of looks in flight, by identity: a thousand losses share one. Resolves to whether all looks succeeded. */
  readonly #rounds = new Map<string, Promise<boolean>>();

  constructor(options: DeletionConfirmerOptions) {
    this.#options = options;
  }

  /** Marks a parameter whose grace is over as gone or held, or restarts its grace. */
  async settle(parameter: Parameter): Promise<void> {
    const { clock } = this.#options;
    const { entry, state } = parameter;
    const identityKey = entry.reference.identity.key;
    const since = state.missing?.since ?? clock.monotonic();
    for (;;) {
      const unseen = this.#rounds.has(identityKey) ? [] : this.#unseen(identityKey, entry, since);
      const round = this.#rounds.get(identityKey) ?? (unseen.length > 0 ? this.#look(identityKey, unseen) : undefined);
      if (!round) break;
      if (await round) continue;
      // A look failed, so a mass deletion cannot be ruled out: restart the grace.
      changeParameter(parameter, { type: "graceRestarted", now: clock.monotonic() });
      return;
    }
    if (!state.missing) return;
    const isHeld = this.#isMassDeletion(identityKey);
    changeParameter(parameter, isHeld ? { type: "held" } : { type: "gone", confirmed: confirm() });
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
