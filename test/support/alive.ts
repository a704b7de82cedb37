import { readFileSync } from "node:fs";

/**
 * Whether a process runs (Linux). A zombie does not run: in a container whose init does not reap, an ended orphan stays
 * a zombie.
 */
export function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
