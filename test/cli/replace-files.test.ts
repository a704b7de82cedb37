import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { replaceFiles } from "../../src/cli/replace-files.ts";
import { removeAtEnd } from "../support/supervise.ts";

let folder: string;
let a: string;
let b: string;
const texts = () => Promise.all([a, b].map((file) => readFile(file, "utf8")));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "keyferry-replace-"));
  removeAtEnd(folder);
  [a, b] = [join(folder, "a.yaml"), join(folder, `${"b".repeat(250)}.yaml`)];
  await Promise.all([writeFile(a, "a"), writeFile(b, "b")]);
});

it("replaces every file's text, keeps its mode, and leaves no temporary file", async () => {
  await chmod(b, 0o666);
  await replaceFiles([
    { file: a, content: "new a" },
    { file: b, content: "new b" },
  ]);
  expect(await texts()).toEqual(["new a", "new b"]);
  expect((await stat(b)).mode & 0o777).toBe(0o666);
  expect(await readdir(folder)).toHaveLength(2);
});

it.runIf(process.getuid?.() === 0)(
  "a file of another user, replaced by root, keeps its owner, group and mode",
  async () => {
    await chown(a, 12_345, 23_456);
    await chmod(a, 0o2640);
    await replaceFiles([{ file: a, content: "new a" }]);
    const { uid, gid, mode } = await stat(a);
    expect({ uid, gid, mode: mode & 0o7777 }).toEqual({ uid: 12_345, gid: 23_456, mode: 0o2640 });
  },
);

it("changes none if one cannot be written, and leaves no temporary file", async () => {
  const gone = join(folder, "gone.yaml");
  const replaced = replaceFiles([a, gone, b].map((file) => ({ file, content: "new" })));
  await expect(replaced).rejects.toThrow(`${gone} cannot be written, and nothing was written: no such file`);
  expect(await texts()).toEqual(["a", "b"]);
  expect(await readdir(folder)).toHaveLength(2);
});

it("reports which files were replaced if a later one fails", async () => {
  const other = join(folder, "other");
  await mkdir(other);
  // A file cannot replace a directory.
  const replaced = replaceFiles([a, other, b].map((file) => ({ file, content: "new" })));
  await expect(replaced).rejects.toThrow(`${other} cannot be replaced, and of these only ${a} were written`);
  expect(await texts()).toEqual(["new", "b"]);
  await rm(other, { recursive: true });
  expect(await readdir(folder)).toHaveLength(2);
});

it("keeps a symbolic link to its file", async () => {
  const link = join(folder, "link.yaml");
  await symlink(a, link);
  await replaceFiles([{ file: link, content: "new" }]);
  expect(await texts()).toEqual(["new", "b"]);
  const [found] = (await readdir(folder, { withFileTypes: true })).filter(({ name }) => name === "link.yaml");
  expect(found!.isSymbolicLink()).toBe(true);
});
