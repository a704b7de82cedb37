import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { assembleRoot } from "../../scripts/image/root.ts";

const run = promisify(execFile);
const repository = join(import.meta.dirname, "..", "..");
const archive = join(repository, "dist", "image", "keyferry.oci.tar");

/** The parts of an image's configuration that matter to a runtime, as OCI's image-spec names them. */
export interface ImageConfig {
  User: string;
  Env: string[];
  Entrypoint: string[];
  Cmd: string[];
  WorkingDir: string;
  Labels: Record<string, string>;
}

/** An image's content on disk. */
export interface UnpackedImage {
  /** The folder of the root file system. */
  root: string;
  config: ImageConfig;
  /** Of the compressed layers. */
  compressedBytes: number;
}

/** Why buildah cannot build an image here; undefined if it can. */
export async function whyNoBuildah(): Promise<string | undefined> {
  try {
    await run("buildah", ["--storage-driver", "vfs", "images"]);
    return undefined;
  } catch (error) {
    const { code, stderr } = error as { code?: string | number; stderr?: string };
    return code === "ENOENT" ? "buildah is not installed" : `buildah failed: ${stderr}`;
  }
}

/** Builds the image by `make image`'s script, under a name of its own that is removed again, and unpacks its archive. */
export async function buildImage(folder: string): Promise<UnpackedImage> {
  const name = `keyferry-test-${process.pid}`;
  const env = { ...process.env, IMAGE: name, BUILD_IN: "here" };
  await run(process.execPath, [join(repository, "scripts/image/build.ts")], { env });
  await run("buildah", ["--storage-driver", "vfs", "rmi", "--force", name]);
  return unpack(folder);
}

interface Descriptor {
  digest: string;
  size: number;
}

async function unpack(folder: string): Promise<UnpackedImage> {
  const [layout, root] = [join(folder, "layout"), join(folder, "root")];
  for (const made of [layout, root]) await mkdir(made);
  await run("tar", ["-xf", archive, "-C", layout]);
  const blob = ({ digest }: Descriptor) => join(layout, "blobs", ...digest.split(":"));
  const json = async <T>(path: string) => JSON.parse(await readFile(path, "utf8")) as T;
  const index = await json<{ manifests: Descriptor[] }>(join(layout, "index.json"));
  const manifest = await json<{ config: Descriptor; layers: Descriptor[] }>(blob(index.manifests[0]!));
  for (const layer of manifest.layers) await run("tar", ["-xpzf", blob(layer), "-C", root]);
  const { config } = await json<{ config: ImageConfig }>(blob(manifest.config));
  return { root, config, compressedBytes: manifest.layers.reduce((sum, { size }) => sum + size, 0) };
}

/** The same root file system without buildah, and the configuration that the Dockerfile states. */
export async function assembleImage(folder: string): Promise<UnpackedImage> {
  const root = join(folder, "root");
  await assembleRoot(root);
  for (const file of ["dist/keyferry.js", "dist/keyferry-values.js", "dist/keyferry-otlp.js", "package.json"]) {
    await cp(join(repository, file), join(root, "keyferry", file));
  }
  const dockerfile = await readFile(join(repository, "Dockerfile"), "utf8");
  const lineOf = (name: string) => new RegExp(`^${name} (.*)$`, "m").exec(dockerfile)?.[1] ?? "";
  const config = {
    User: lineOf("USER"),
    Env: lineOf("ENV").split(" "),
    Entrypoint: JSON.parse(lineOf("ENTRYPOINT")) as string[],
    Cmd: JSON.parse(lineOf("CMD")) as string[],
    WorkingDir: "/keyferry",
    Labels: {},
  };
  return { root, config, compressedBytes: 0 };
}

/** Why no process can be started in the root file system here; undefined if one can. */
export async function whyNoNamespaces(): Promise<string | undefined> {
  const failed = await run("unshare", ["--mount", "--pid", "--fork", "true"]).catch((error: Error) => error);
  return failed instanceof Error ? `unshare failed: ${failed.message}` : undefined;
}

/** How a process runs in an image. */
interface Isolation {
  /** "UID:GID". */
  user: string;
  /** Added to the image's environment. */
  env?: Record<string, string>;
  /** A folder of this machine that the process finds as /run, read-only. */
  mounted?: string;
}

/**
 * The command line and the environment that run `args` in an image as a container runtime would: its root file system
 * read-only, a /proc of its own, another user, no capabilities, none to be gained, and the image's environment. The
 * network is the machine's.
 */
export function inImage({ root, config }: UnpackedImage, args: string[], { user, env, mounted = "" }: Isolation) {
  const script = [
    'mount --bind "$1" "$1"',
    '{ [ -z "$2" ] || mount --bind "$2" "$1/run"; }',
    'mount -o remount,bind,ro "$1"',
    'mount -t proc proc "$1/proc"',
    'root=$1 user=$3; shift 3; exec chroot --userspec="$user" --groups= "$root" "$@"',
  ].join(" && ");
  const settings = Object.fromEntries(config.Env.map((pair) => pair.split(/=(.*)/s).slice(0, 2) as [string, string]));
  // chroot starts programs in /.
  const program = args.map((arg) => (arg.startsWith("dist/") ? join(config.WorkingDir, arg) : arg));
  const namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh"];
  return {
    command: "setpriv",
    args: ["--no-new-privs", ...namespaces, root, mounted, user, ...program],
    // A runtime sets HOME from /etc/passwd, and to / for a user that is not there.
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/", ...settings, ...env },
  };
}

/** The sum of the sizes of the files under a folder, in bytes. */
export async function bytesUnder(folder: string): Promise<number> {
  const { stdout } = await run("find", [folder, "-type", "f"]);
  const files = stdout.split("\n").filter((path) => path && existsSync(path));
  const sizes = await Promise.all(files.map(async (path) => (await stat(path)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
