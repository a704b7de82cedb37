import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./crds.ts";

/**
 * Writes generated files, or with `--check` among the program's arguments only compares them: prints which ones differ
 * and makes the program exit with 1.
 *
 * @param files contents by path from the repository's root
 * @param script the command that updates them
 */
export function settle(files: ReadonlyMap<string, string>, script: string): void {
  const differing = stale(files);
  if (process.argv.includes("--check")) {
    for (const path of differing) console.error(`${path} is out of date: run node ${script}`);
    if (differing.length > 0) process.exitCode = 1;
    return;
  }
  for (const path of differing) writeFileSync(join(root, path), files.get(path)!);
}

/** The paths of `files` that are missing or differ. */
export function stale(files: ReadonlyMap<string, string>): string[] {
  return [...files].filter(([path, content]) => read(path) !== content).map(([path]) => path);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), "utf8");
  } catch {
    return undefined;
  }
}
