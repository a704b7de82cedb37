// Assembles the image's root file system, without the program itself: Node, the shared libraries that it loads, and the
// files that a C library expects. Nothing in it is a shell or a package manager. Run by the Dockerfile:
//   node scripts/image/root.ts FOLDER
import { execFileSync } from "node:child_process";
import { chmod, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type DebianPackage, type Library, librariesOf } from "./libraries.ts";
import { sbom } from "./sbom.ts";

const repository = join(import.meta.dirname, "..", "..");

/** The program's user, and the one that containers call nobody. Any other number works too. */
const accounts = {
  "etc/passwd":
    "root:x:0:0:root:/:/none\nkeyferry:x:65532:65532:keyferry:/:/none\nnobody:x:65534:65534:nobody:/:/none\n",
  "etc/group": "root:x:0:\nkeyferry:x:65532:\nnobody:x:65534:\n",
  // Without it glibc asks DNS before it reads /etc/hosts.
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
};

/** Where a runtime mounts something: it cannot make them on a read-only root file system. */
const mountPoints = ["dev", "proc", "sys", "run", "tmp", "var/run/secrets"];

/**
 * Writes the root file system.
 *
 * @param into an empty or missing folder
 * @returns the file's path of the bill of materials in it
 * Rejects when the installed Node is not of the version that package.json pins.
 */
export async function assembleRoot(into: string): Promise<string> {
  const node = await pinnedNode();
  const libraries = librariesOf(node.path);
  const files: Record<string, string> = { ...accounts };
  for (const one of packagesOf(libraries)) files[`var/lib/dpkg/status.d/${one.name}`] = one.status;
  files["usr/share/doc/keyferry/copyright"] = await readFile(join(repository, "LICENSE"), "utf8");
  files["etc/os-release"] = await readFile("/etc/os-release", "utf8").catch(() => "ID=linux\n");
  const bill = "usr/share/sbom/keyferry.cdx.json";
  files[bill] = await sbom(repository, { node: node.version, packages: packagesOf(libraries) });

  for (const folder of mountPoints) await mkdir(join(into, folder), { recursive: true });
  await chmod(join(into, "tmp"), 0o1777);
  await copy(node.path, join(into, "usr/local/bin/node"));
  for (const { path } of libraries) await copy(path, join(into, path));
  for (const [path, text] of Object.entries(files)) await write(join(into, path), text);
  for (const { name } of packagesOf(libraries)) await copyLicense(name, into);
  return join(into, bill);
}

/** Node from the packages, so that its version is the one that the tests ran with. */
async function pinnedNode(): Promise<{ path: string; version: string }> {
  const path = join(repository, "node_modules", "node", "bin", "node");
  const version = execFileSync(path, ["--version"], { encoding: "utf8" }).trim().slice(1);
  const { devDependencies } = JSON.parse(await readFile(join(repository, "package.json"), "utf8"));
  if (version !== devDependencies.node) {
    throw new Error(`${path} is Node ${version}, but package.json pins ${devDependencies.node}: run npm ci.`);
  }
  return { path, version };
}

function packagesOf(libraries: Library[]): DebianPackage[] {
  const byName = new Map(
    libraries.flatMap((library) => (library.package ? [[library.package.name, library.package]] : [])),
  );
  return [...byName.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
}

async function copyLicense(name: string, into: string): Promise<void> {
  const path = `usr/share/doc/${name}/copyright`;
  // A slim base image may have removed it.
  const text = await readFile(`/${path}`, "utf8").catch(() => "");
  if (text) await write(join(into, path), text);
}

async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
  await chmod(to, 0o755);
}

async function write(to: string, text: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await writeFile(to, text, { mode: 0o644 });
}

if (import.meta.main) {
  const [into] = process.argv.slice(2);
  if (!into) throw new Error("usage: node scripts/image/root.ts FOLDER");
  await assembleRoot(into);
}
