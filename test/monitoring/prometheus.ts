import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { cached } from "../cluster/cache.ts";

const run = promisify(execFile);

/** Paths of the programs of Debian's package `prometheus`. */
export interface PrometheusPrograms {
  prometheus: string;
  promtool: string;
}

/**
 * Finds Prometheus and promtool: on PATH, else in Debian's package, which is downloaded once and unpacked into the
 * cache folder without being installed.
 *
 * @returns the paths, or the reason why there are none, for a test that skips
 */
export async function findPrometheus(): Promise<PrometheusPrograms | string> {
  const [prometheus, promtool] = [onPath("prometheus"), onPath("promtool")];
  if (prometheus && promtool) return { prometheus, promtool };
  if (!onPath("apt-get") || !onPath("dpkg")) return "prometheus and promtool are not on PATH, and apt-get is missing";
  try {
    const folder = await cached("prometheus", unpack);
    const bin = join(folder, "usr", "bin");
    return { prometheus: join(bin, "prometheus"), promtool: join(bin, "promtool") };
  } catch (error) {
    return `Debian's package prometheus could not be downloaded: ${(error as Error).message.split("\n")[0]}`;
  }
}

async function unpack(folder: string): Promise<void> {
  await run("apt-get", ["download", "prometheus"], { cwd: folder, timeout: 120_000 });
  const archive = (await readdir(folder)).find((file) => file.endsWith(".deb"));
  if (!archive) throw new Error("apt-get downloaded no package");
  await run("dpkg", ["-x", archive, folder], { cwd: folder });
}

/** The path of a program in the folders of PATH; undefined if it is in none. */
export function onPath(program: string): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}
