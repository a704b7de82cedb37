import type { SyncedSecret } from "../../../api/types.ts";
import type { Target } from "../plan/target.ts";
import type { LastGood } from "./held-back.ts";

/** A version of the sources that is held back, as the Secret records it. */
export interface Held {
  revision: string;
  /** What an approval names. */
  token: string;
  /** The restart revision of pods that run with it; undefined if it is not known. */
  restartRevision: string | undefined;
  /** When the Secret lost the last good version, by the API server's clock, to the second; undefined if it is not known. */
  since: string | undefined;
  /** When the Secret was set back; undefined if its present version is that write's. */
  until: string | undefined;
}

/** What an approval begins with if the revision had been approved once before it failed. */
export const again = "again.";

/** The revision that an approval names. */
export function withoutAgain(approval: string): string {
  return approval.startsWith(again) ? approval.slice(again.length) : approval;
}

/** The annotation that records the last good revision. */
export function formatLastGood({ revision, restartRevision, until }: Omit<LastGood, "sources">): string {
  return joined(revision, restartRevision, until);
}

/** Reads what `formatLastGood` has written. */
export function parseLastGood(text: string | undefined): Omit<LastGood, "sources"> | undefined {
  const [revision, restartRevision, until] = partsOf(text);
  return revision === undefined ? undefined : { revision, restartRevision, until };
}

/** The annotation that records what is held back. */
export function formatHeld({ token, restartRevision, since, until }: Held): string {
  return joined(token, restartRevision, since, until);
}

/** Reads what `formatHeld` has written. */
export function parseHeld(text: string | undefined): Held | undefined {
  const [token, restartRevision, since, until] = partsOf(text);
  return token === undefined ? undefined : { token, revision: withoutAgain(token), restartRevision, since, until };
}

/** The annotations that a Secret must have by the status: an edit may have removed them. */
export function recordsIn({ status = {} }: SyncedSecret, target: Target): string[] {
  return [
    ...(status.lastGood?.record === undefined ? [] : [target.lastGoodAnnotation]),
    ...(status.heldBack?.record === undefined ? [] : [target.heldBackAnnotation]),
  ];
}

const missing = "-";

/** The texts in an annotation. */
function partsOf(text: string | undefined): (string | undefined)[] {
  return (text?.split(" ") ?? []).map((part) => (part === missing || part === "" ? undefined : part));
}

/** An annotation with these texts. */
function joined(...parts: (string | undefined)[]): string {
  return parts.map((part) => part ?? missing).join(" ");
}
