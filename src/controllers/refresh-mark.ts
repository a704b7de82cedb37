import { createHash } from "node:crypto";

/** Maximum characters of a refresh annotation that are kept; a longer one is replaced by its digest. */
const markAtMost = 1_024;

/** The stored form of a refresh annotation's text. Idempotent. */
export function markOf(asked: string): string {
  return asked.length <= markAtMost ? asked : `sha256:${createHash("sha256").update(asked).digest("hex")}`;
}
