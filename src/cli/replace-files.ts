import { randomUUID } from "node:crypto";
import { open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Failure } from "../runtime/failure.ts";

/** What a file is to hold. */
export interface Replacement {
  file: string;
  text: string;
}

/**
 * Puts texts in the place of files that exist, all or none: each is written beside its file first, and only then they
 * take the files' names. A file's mode stays, and a link goes on leading to its file.
 *
 * @throws Failure where one cannot be written; none is changed then
 */
export async function replaceFiles(replacements: readonly Replacement[]): Promise<void> {
  const ready: { file: string; from: string; to: string }[] = [];
  let doing = "";
  try {
    for (const { file, text } of replacements) {
      doing = file;
      const to = await realpath(file);
      const from = join(dirname(to), `.keyferry-${randomUUID()}`);
      ready.push({ file, from, to });
      await writeNew(from, text, (await stat(to)).mode);
    }
  } catch {
    await Promise.all(ready.map(({ from }) => rm(from, { force: true })));
    throw new Failure("InvalidData", "stalled", `${doing} cannot be written, and nothing was written`);
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
async function writeNew(file: string, text: string, mode: number): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writeFile(text);
    // What open was given is cut by the umask.
    await handle.chmod(mode & 0o7777);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
