import type { Subscription } from "../../../parameters/subscription.ts";
import { areVersionsUnknown, keepsVersions } from "./once.ts";
import { conflict } from "./ownership.ts";
import { type Facts, subscriptionsOf } from "./snapshot.ts";

/** What a reconcile subscribes to before it decides; undefined to leave the subscriptions as they are. */
export function interestOf(facts: Facts): Subscription[] | undefined {
  const { standing, target } = facts;
  // The garbage collector will delete the Secret soon: then everything is needed again.
  if (standing.state === "passing") return undefined;
  if (conflict(standing, target)) return [];
  if (keepsVersions(facts) && !areVersionsUnknown(facts)) return [];
  return subscriptionsOf(facts);
}
