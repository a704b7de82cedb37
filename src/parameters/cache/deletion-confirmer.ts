import type { Clock } from "../../runtime/clock.ts";
import { SingleFlight } from "../../runtime/single-flight.ts";
import { type Entry, isRipe, type Parameter } from "./cache-entry.ts";
import { ConfirmedDeletion } from "./confirmed-deletion.ts";
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

/**
 * Confirms the deletion of a parameter that is missing twice, unless too many went missing at once. First it looks at
 * all entries not looked at since: polls are spread, so a loss of all parameters shows on one name first. Parameters
 * known from previous statuses count too, which can only delay a deletion.
 */
export class DeletionConfirmer {
  readonly #options: DeletionConfirmerOptions;
  /** Rounds of looks in flight, by identity: a thousand losses share one. Resolves to whether all looks succeeded. */
  readonly #rounds = new SingleFlight<boolean>();

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
      const running = this.#rounds.get(identityKey);
      const unseen = running ? [] : this.#unseen(identityKey, entry, since);
      const round = unseen.length > 0 ? this.#rounds.run(() => this.#look(unseen), identityKey) : running;
      if (!round) break;
      if (await round) continue;
      // A look failed, so a mass deletion cannot be ruled out: restart the grace.
      changeParameter(parameter, { type: "graceRestarted", now: clock.monotonic() });
      return;
    }
    if (!state.missing) return;
    const confirmed = this.#confirm(identityKey);
    changeParameter(parameter, confirmed ? { type: "gone", confirmed } : { type: "held" });
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

  async #look(unseen: readonly Entry[]): Promise<boolean> {
    await Promise.all(unseen.map(this.#options.look));
    return !unseen.some(({ failure }) => failure);
  }

  /** @returns undefined in a mass deletion */
  #confirm(identityKey: string): ConfirmedDeletion | undefined {
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
    return ConfirmedDeletion.unlessMany(missing, total);
  }
}
