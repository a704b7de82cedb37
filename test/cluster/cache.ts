import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { withLock } from "./lock.ts";

/** Where what is built once is kept for all clones of the user: `$XDG_CACHE_HOME/keyferry`, or `~/.cache/keyferry`. */
function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "keyferry");
}

/**
 * The folder `name` of the cache, filled by `fill` when it is not there yet. It is filled under another name and then
 * renamed, so it is there as a whole or not at all; of several processes that want it one fills it and the rest wait.
 *
 * @param fill is given an empty folder; when it fails, the folder is removed and the next to come tries again
 */
export async function cached(name: string, fill: (folder: string) => Promise<void>, cache = cacheFolder()) {
  const folder = join(cache, name);
  if (existsSync(folder)) return folder;
  const waits = () => process.stderr.write(`Another process is making ${folder}: waiting for it.\n`);
  return withLock(
    join(cache, `${name}.lock`),
    async () => {
      if (existsSync(folder)) return folder;
      const prefix = `${name}.partial-`;
      for (const left of await readdir(cache)) {
        if (left.startsWith(prefix)) await rm(join(cache, left), { recursive: true, force: true });
      }
      await mkdir(cache, { recursive: true });
      const partial = await mkdtemp(join(cache, prefix));
      try {
        await fill(partial);
        await rename(partial, folder);
      } finally {
        await rm(partial, { recursive: true, force: true });
      }
      return folder;
    },
    waits,
  );
}
