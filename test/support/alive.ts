import { readFileSync } from "node:fs";

/**
 * Whether a process runs (Linux). A zombie does not: in a container whose first process reaps nobody, an orphan that
 * has ended stays one for ever.
 */
export function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
