import { createHash } from "node:crypto";

/** Characters of a refresh annotation that are kept as they are; a longer one is kept as a digest. */
const markAtMost = 1_024;

/** What is kept of a refresh annotation's text; of what it gives it gives the same again. */
export function markOf(asked: string): string {
  return asked.length <= markAtMost ? asked : `sha256:${createHash("sha256").update(asked).digest("hex")}`;
}
