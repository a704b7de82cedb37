import type { Subscription } from "../../../parameters/subscription.ts";
import { areVersionsUnknown, keepsVersions } from "./once.ts";
import { conflict } from "./ownership.ts";
import { type Facts, subscriptionsOf } from "./snapshot.ts";

/** Whether a decision depends on the sources: not for a Secret that is not ours, or that keeps known versions. */
export function needsSources(facts: Facts): boolean {
  if (conflict(facts.standing, facts.target)) return false;
  return !keepsVersions(facts) || areVersionsUnknown(facts);
}

/** What a reconcile subscribes to before it decides; undefined to leave the subscriptions as they are. */
export function interestOf(facts: Facts): Subscription[] | undefined {
  // The garbage collector will delete the Secret soon: then everything is needed again.
  if (facts.standing.state === "passing") return undefined;
  return needsSources(facts) ? subscriptionsOf(facts) : [];
}
