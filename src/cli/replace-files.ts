import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Failure } from "../runtime/failure.ts";
import { whyUnreadable } from "./input.ts";

/** A file and its new content. */
export interface Replacement {
  file: string;
  content: string | Uint8Array;
}

/**
 * Replaces the content of existing files, all or none: each is first written to a temporary file beside it, then all
 * are renamed. Owner and mode stay, and a symbolic link keeps its target.
 *
 * @throws Failure if one cannot be written; none is changed then
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

/** Writes a new file and syncs it, so that it is complete even after a machine failure. */
async function writeNew(file: string, content: string | Uint8Array, like: Stats): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writeFile(content);
    await keepOwner(handle, like);
    // The umask reduces the mode passed to open, and a change of owner clears the set-user-ID bit.
    await handle.chmod(like.mode & 0o7777);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Only root can change a file's owner; another user keeps the group if they belong to it, and becomes the owner. */
async function keepOwner(handle: FileHandle, { uid, gid }: Stats): Promise<void> {
  const own = await handle.stat();
  if (own.uid === uid && own.gid === gid) return;
  if (process.getuid?.() === 0) return handle.chown(uid, gid);
  await handle.chown(own.uid, gid).catch(() => {});
}
