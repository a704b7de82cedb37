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
export async function believe(entry: Entry, spot: Spot, options: BeliefOptions): Promise<void> {
  const { entries, clock, missingGraceMs, look } = options;
  const identityKey = entry.reference.identity.key;
  const since = spot.missing?.since ?? clock.now();
  const isWaiting = (other: Entry) => spotsOf(other).some((one) => isRipe(one, missingGraceMs, clock.now()));
  const unseen = [...entries.of(identityKey)].filter(
    (other) => other !== entry && (other.askedAt ?? 0) <= since && !isWaiting(other),
  );
  await Promise.all(unseen.map(look));
  if (unseen.some(({ failure }) => failure)) {
    // What was not answered is not there either; the second opinion has to wait for it.
    if (spot.missing) spot.missing.since = clock.now();
    return;
  }
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
  if (spot.missing) spot.missing.stage = isMassLoss(missing, total) ? "held" : "gone";
}

/** The parameter of an entry, and the members of its path. */
export function spotsOf({ spot, members }: Entry): Spot[] {
  return [spot, ...members.values()];
}
