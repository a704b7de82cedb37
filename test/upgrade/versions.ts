import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cached } from "../cluster/cache.ts";
import { chart, root } from "../helm/chart.ts";

/** A version of the operator: its program, its chart and its CustomResourceDefinitions, as paths. */
export interface Version {
  bundle: string;
  chart: string;
  crds: string;
  /** Arguments of the chart that the program refuses, and how it takes them. */
  refused?: Readonly<Record<string, string>>;
}

/** A version of the past. */
interface Past extends Pick<Version, "refused"> {
  commit: string;
}

/**
 * The versions that upgrades are tested from, until there is a published release, by the name under which
 * test/upgrade/previous/ has their recorded state.
 */
export const previous = {
  /** One replica, strategy Recreate, no Lease. */
  "one-replica": { commit: "e19e7ad60ce6649aa8f5abf835a94dc3a30d30be" },
  /** Two replicas, of which a Lease elects the leader. */
  "two-replicas": {
    commit: "07171fd7bde98ccc5b80468359721efc6452fa6d",
    refused: { "--leader-elect=true": "--leader-elect" },
  },
} as const satisfies Record<string, Past>;

/** The files of a version that its program and its chart are made from. */
const files = ["package.json", "scripts/build.ts", "src", "crds", "helm"];
const run = promisify(execFile);

/** This version, from `dist/`. */
export const present: Version = {
  bundle: join(root, "dist/keyferry.js"),
  chart,
  crds: join(root, "crds"),
};

/**
 * A version of the past, built once into the user's cache from the git history and the packages of this version.
 *
 * @returns why it cannot be had, if the history is not here: a shallow clone, or an export
 */
export async function versionAt({ commit, refused = {} }: Past): Promise<Version | string> {
  const hasCommit = await run("git", ["-C", root, "cat-file", "-e", `${commit}^{commit}`]).then(
    () => true,
    () => false,
  );
  if (!hasCommit) return `commit ${commit.slice(0, 7)} is not in this clone's history`;
  const folder = await cached(`version-${commit}`, async (into) => {
    const archive = join(into, "source.tar");
    await run("git", ["-C", root, "archive", "--output", archive, commit, ...files]);
    await run("tar", ["-xf", archive, "-C", into]);
    await rm(archive);
    await build(into);
  });
  return { ...versionIn(folder), refused };
}

/** This version with a revision format 2, which it writes: what a later release may do. @param into an empty folder */
export async function withNextFormat(into: string): Promise<Version> {
  for (const file of files) await cp(join(root, file), join(into, file), { recursive: true });
  const path = join(into, "src/controllers/syncedsecret/trust/revision.ts");
  const first = "[1, { spec: specDigest, sources: sourcesDigest }]";
  const second =
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a template of the program that is built
    "[2, { spec: (s) => digest(`2${specDigest(s)}`), sources: (m) => digest(`2${sourcesDigest(m)}`) }]";
  const source = await readFile(path, "utf8");
  const patched = source.replace(first, `${first}, ${second}`).replace("const written = 1;", "const written = 2;");
  if (!patched.includes(second) || !patched.includes("const written = 2;")) {
    throw new Error(`${path} has changed: this patch does not fit`);
  }
  await writeFile(path, patched);
  await build(into);
  return versionIn(into);
}

/** Builds the bundle of a folder's source with the packages of this repository. */
async function build(folder: string): Promise<void> {
  const modules = join(folder, "node_modules");
  await symlink(join(root, "node_modules"), modules);
  await mkdir(join(folder, "dist"), { recursive: true });
  await run(process.execPath, ["scripts/build.ts"], { cwd: folder });
  await rm(modules);
}

function versionIn(folder: string): Version {
  const version = { bundle: join(folder, "dist/keyferry.js"), chart: join(folder, "helm/keyferry") };
  if (!existsSync(version.bundle)) throw new Error(`${version.bundle} was not built`);
  return { ...version, crds: join(folder, "crds") };
}
