import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, readFile, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { withLock } from "../cluster/lock.ts";

const run = promisify(execFile);
const requirements = fileURLToPath(new URL("requirements.txt", import.meta.url));

/**
 * The Python of the virtual environment that holds moto, built once a machine under the user's cache folder (about
 * half a minute) and kept for as long as the pinned requirements and the Python version stay the same.
 *
 * @param say told of each step that takes long
 * @returns the path of its `python`
 * @throws Error with what to do where python3 or its venv module is missing
 */
export async function motoPython(say: (line: string) => void = () => {}): Promise<string> {
  const version = await pythonVersion();
  const hash = createHash("sha256")
    .update(await readFile(requirements))
    .update(version);
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "keyferry");
  const folder = join(cache, `moto-${hash.digest("hex").slice(0, 16)}`);
  const python = join(folder, "bin", "python");
  const complete = join(folder, ".complete");
  if (await exists(complete)) return python;

  await withLock(`${folder}.lock`, async () => {
    if (await exists(complete)) return;
    await rm(folder, { recursive: true, force: true });
    say("Installing the AWS emulator (moto) into a Python environment of its own, once: about half a minute");
    await run("python3", ["-m", "venv", folder]);
    await run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]);
    await writeFile(complete, "");
  });
  return python;
}

async function pythonVersion(): Promise<string> {
  try {
    return (await run("python3", ["--version"])).stdout.trim();
  } catch {
    throw new Error("python3 is not on the PATH: the AWS emulator needs Python 3.10 or later with its venv module");
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

if (import.meta.main) {
  try {
    console.log(await motoPython((text) => console.log(text)));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
