// Builds the image with buildah: make image. Options come from the environment:
//   IMAGE              its name, default keyferry
//   NODE_IMAGE         what it is built in, default the Dockerfile's
//   BASE_IMAGE         what it is laid upon, default scratch
//   OUTPUT             the folder of the two files, default dist/image
//   SOURCE_DATE_EPOCH  seconds since 1970, default the last commit's time
//   BUILD_IN=image     fails when NODE_IMAGE cannot be pulled; BUILD_IN=here does not try
// Writes keyferry.oci.tar and keyferry.cdx.json, and prints the image's digest and size.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assembleRoot } from "./root.ts";

const repository = join(import.meta.dirname, "..", "..");
/** Where the image and its bill of materials are written. */
const output = process.env.OUTPUT ?? join(repository, "dist", "image");
const storage = ["--storage-driver", process.env.STORAGE_DRIVER ?? "vfs"];

const buildah = (...args: string[]) =>
  execFileSync("buildah", [...storage, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim();
const git = (...args: string[]) => execFileSync("git", args, { cwd: repository, encoding: "utf8" }).trim();

await main();

async function main(): Promise<void> {
  process.env.SOURCE_DATE_EPOCH ??= git("log", "-1", "--format=%ct");
  const name = process.env.IMAGE ?? "keyferry";
  await mkdir(output, { recursive: true });
  const stage = canBuildInImage() ? undefined : await buildHere();
  try {
    buildah("bud", ...(await optionsFor(name, stage)), repository);
  } finally {
    if (stage) await rm(stage, { recursive: true });
  }
  const archive = join(output, "keyferry.oci.tar");
  buildah("push", "--quiet", name, `oci-archive:${archive}:${name}`);
  await takeBill(archive);
  console.log(buildah("images", "--format", "{{.Name}}:{{.Tag}} {{.Digest}} {{.Size}}", name));
}

/** Whether the image to build in is there, or can be pulled. */
function canBuildInImage(): boolean {
  if (process.env.BUILD_IN === "here") return false;
  const [, usual] = /^ARG NODE_IMAGE=(.*)$/m.exec(readFileSync(join(repository, "Dockerfile"), "utf8"))!;
  const image = process.env.NODE_IMAGE ?? usual!;
  try {
    buildah("pull", "--quiet", "--policy", "missing", image);
    return true;
  } catch (error) {
    if (process.env.BUILD_IN === "image") throw error;
    console.error(`${image} cannot be pulled: the root file system is assembled from this machine's packages.`);
    return false;
  }
}

/**
 * Does on this machine what the Dockerfile's build stage does, from the bundle in dist/, and returns the folder that
 * stands for the stage.
 */
async function buildHere(): Promise<string> {
  const stage = await mkdtemp(join(tmpdir(), "keyferry-image-"));
  const build = join(stage, "build");
  for (const file of ["keyferry.js", "keyferry-values.js", "keyferry-otlp.js"]) {
    await cp(join(repository, "dist", file), join(build, "dist", file));
  }
  await assembleRoot(join(build, "root"));
  return stage;
}

/** The options of `buildah bud`. A timestamp for all files makes equal content an equal digest. */
async function optionsFor(name: string, stage: string | undefined): Promise<string[]> {
  const epoch = process.env.SOURCE_DATE_EPOCH!;
  const { version } = JSON.parse(await readFile(join(repository, "package.json"), "utf8")) as { version: string };
  const created = new Date(Number(epoch) * 1000).toISOString().replace(".000", "");
  const values = {
    SOURCE_DATE_EPOCH: epoch,
    VERSION: version,
    REVISION: git("rev-parse", "HEAD"),
    CREATED: created,
    NODE_IMAGE: process.env.NODE_IMAGE,
    BASE_IMAGE: process.env.BASE_IMAGE,
  };
  const args = Object.entries(values).flatMap(([key, value]) => (value ? ["--build-arg", `${key}=${value}`] : []));
  const context = stage ? ["--build-context", `build=${stage}`] : [];
  return [
    "--quiet",
    "--isolation",
    "chroot",
    "--format",
    "oci",
    "--timestamp",
    epoch,
    "--tag",
    name,
    ...args,
    ...context,
  ];
}

/** Takes the bill of materials out of the image's archive, which needs no rights to mount anything. */
async function takeBill(archive: string): Promise<void> {
  const tar = (args: string[]) =>
    execFileSync("tar", args, { maxBuffer: 2 ** 30, stdio: ["ignore", "pipe", "ignore"] });
  const blobs = tar(["-tf", archive])
    .toString()
    .split("\n")
    .filter((name) => /^blobs\/sha256\/./.test(name));
  const folder = await mkdtemp(join(tmpdir(), "keyferry-layers-"));
  try {
    tar(["-xf", archive, "-C", folder]);
    for (const blob of blobs) {
      const bill = attempt(() => tar(["-xzOf", join(folder, blob), "usr/share/sbom/keyferry.cdx.json"]));
      if (bill) return await writeFile(join(output, "keyferry.cdx.json"), bill);
    }
    throw new Error("the image has no bill of materials");
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Undefined where `work` throws: a configuration is no layer. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
