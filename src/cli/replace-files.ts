import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Failure } from "../runtime/failure.ts";
import { whyUnreadable } from "./input.ts";

/** What a file is to hold. */
export interface Replacement {
  file: string;
  content: string | Uint8Array;
}

/**
 * Puts texts in the place of files that exist, all or none: each is written beside its file first, and only then they
 * take the files' names. A file's owner and mode stay, and a link goes on leading to its file.
 *
 * @throws Failure where one cannot be written; none is changed then
 */
export async function replaceFiles(replacements: readonly Replacement[]): Promise<void> {
  const ready: { file: string; from: string; to: string }[] = [];
  let doing = "";
  try {
    for (const { file, content } of replacements) {
      doing = file;
      const to = await realpath(file);
      const from = join(dirname(to), `.keyferry-${randomUUID()}`);
      ready.push({ file, from, to });
      await writeNew(from, content, await stat(to));
    }
  } catch (error) {
    await Promise.all(ready.map(({ from }) => rm(from, { force: true })));
    const why = whyUnreadable(error);
    throw new Failure("InvalidData", "stalled", `${doing} cannot be written, and nothing was written: ${why}`);
  }
  for (const [index, { file, from, to }] of ready.entries()) {
    await rename(from, to).catch(async () => {
      await Promise.all(ready.slice(index).map((rest) => rm(rest.from, { force: true })));
      const done = ready.slice(0, index).map((one) => one.file);
      const what = done.length > 0 ? `of these only ${done.join(", ")} were written` : "nothing was written";
      throw new Failure("InvalidData", "stalled", `${file} cannot be replaced, and ${what}`);
    });
  }
}

/** Writes a file that is not there yet, so that it is whole also after the machine fails. */
async function writeNew(file: string, content: string | Uint8Array, like: Stats): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writeFile(content);
    await keepOwner(handle, like);
    // What open was given is cut by the umask, and a change of owner takes the set-user-ID bit away.
    await handle.chmod(like.mode & 0o7777);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Only root can give a file away; another user keeps the group where they belong to it, and is the new owner. */
async function keepOwner(handle: FileHandle, { uid, gid }: Stats): Promise<void> {
  const own = await handle.stat();
  if (own.uid === uid && own.gid === gid) return;
  if (process.getuid?.() === 0) return handle.chown(uid, gid);
  await handle.chown(own.uid, gid).catch(() => {});
}
