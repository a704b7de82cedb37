import { digest } from "../../syncedsecret/plan/digest.ts";
import type { Target } from "../../syncedsecret/plan/target.ts";

/** The prefix of the annotations that restart a workload. */
export const markPrefix = "restart.keyferry.io/";

/**
 * The annotation of a pod template that a Secret's restart revision is written to. Under Merge each SyncedSecret has its
 * own, as it has its own restart revision.
 *
 * @param uid of the SyncedSecret
 */
export function markOf({ name, policy }: Pick<Target, "name" | "policy">, uid: string): string {
  return markPrefix + digest(policy === "Merge" ? `${name}/${uid}` : name);
}
