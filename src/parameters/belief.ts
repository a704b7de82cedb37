import type { Clock } from "../runtime/clock.ts";
import type { Entries } from "./entries.ts";
import { type Entry, isMassLoss, isRipe, type Spot } from "./entry.ts";

export interface BeliefOptions {
  entries: Entries;
  clock: Clock;
  /** Milliseconds between the two looks that make a parameter gone. */
  missingGraceMs: number;
  look: (entry: Entry) => Promise<unknown>;
}

/**
 * Believes that what is missing for the second time is gone, unless far too much went missing at once. What has not
 * been looked at since is looked at first: polls are spread, so that a loss of everything begins with one name.
 */
export class Belief {
  readonly #options: BeliefOptions;
  /** Rounds of looks under way, by identity: a thousand losses share one. Each tells whether all were answered. */
  readonly #rounds = new Map<string, Promise<boolean>>();

  constructor(options: BeliefOptions) {
    this.#options = options;
  }

  /** Makes a spot that is ripe gone or held, or has it wait for another second opinion. */
  async settle(entry: Entry, spot: Spot): Promise<void> {
    const { clock } = this.#options;
    const identityKey = entry.reference.identity.key;
    const since = spot.missing?.since ?? clock.now();
    for (;;) {
      const unseen = this.#rounds.has(identityKey) ? [] : this.#unseen(identityKey, entry, since);
      const round = this.#rounds.get(identityKey) ?? (unseen.length > 0 ? this.#look(identityKey, unseen) : undefined);
      if (!round) break;
      if (await round) continue;
      // What was not answered is not there either; the second opinion has to wait for it.
      if (spot.missing) spot.missing.since = clock.now();
      return;
    }
    if (spot.missing) spot.missing.stage = this.#isMassLoss(identityKey) ? "held" : "gone";
  }

  #unseen(identityKey: string, entry: Entry, since: number): Entry[] {
    const { entries, clock, missingGraceMs } = this.#options;
    const now = clock.now();
    const isWaiting = (other: Entry) => spotsOf(other).some((one) => isRipe(one, missingGraceMs, now));
    const unseen: Entry[] = [];
    for (const other of entries.of(identityKey)) {
      if (other !== entry && (other.askedAt ?? 0) <= since && !isWaiting(other)) unseen.push(other);
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

  #isMassLoss(identityKey: string): boolean {
    const { entries, clock, missingGraceMs } = this.#options;
    const recent = clock.now() - 2 * missingGraceMs;
    let total = 0;
    let missing = 0;
    for (const other of entries.of(identityKey)) {
      for (const one of spotsOf(other)) {
        if (!one.sight) continue;
        total += 1;
        if (one.missing && (one.missing.stage === "held" || one.missing.since > recent)) missing += 1;
      }
    }
    return isMassLoss(missing, total);
  }
}

/** The parameter of an entry, and the members of its path. */
export function spotsOf({ spot, members }: Entry): Spot[] {
  return [spot, ...members.values()];
}
