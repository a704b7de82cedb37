// What the steps of a release share. With DRY_RUN=1 nothing leaves the machine: what would be published is printed.
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

/** The repository's folder. */
export const repository = join(import.meta.dirname, "..", "..");
/** Where a release's files are made: the folder that RELEASE_FOLDER names, else dist/release. */
export const releaseFolder = process.env.RELEASE_FOLDER || join(repository, "dist", "release");
mkdirSync(releaseFolder, { recursive: true });

/** buildah's options that scripts/image/build.ts uses too. */
export const storage = ["--storage-driver", process.env.STORAGE_DRIVER ?? "vfs"];

const dryRun = process.env.DRY_RUN === "1";

/** A variable of the environment. Throws if it is missing or empty. */
export function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`the environment variable ${name} is missing`);
  return value;
}

/** Runs a command that changes nothing outside of this machine, and returns its standard output. */
export function run(command: string, args: string[], env?: NodeJS.ProcessEnv): string {
  return execute(command, args, { env }).stdout;
}

/**
 * Runs a command that publishes something, after printing it. Prints it only, and returns "", in a dry run.
 *
 * @returns both outputs: Helm prints the digest of what it pushed on standard error
 */
export function publish(command: string, args: string[], input?: string): string {
  console.log(`${dryRun ? "would run" : "$"} ${[command, ...args].join(" ")}`);
  if (dryRun) return "";
  const { stdout, stderr } = execute(command, args, { input });
  return stdout + stderr;
}

/** Throws, naming the command, when it cannot be started or fails. Its standard error is shown too. */
function execute(
  command: string,
  args: string[],
  { input, env }: { input?: string | undefined; env?: NodeJS.ProcessEnv | undefined },
) {
  const options = {
    cwd: repository,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    input: input ?? "",
    env: env ?? process.env,
  } as const;
  const { status, error, stdout, stderr } = spawnSync(command, args, options);
  process.stderr.write(stderr ?? "");
  if (status !== 0) throw new Error(`${command} ${args[0]} failed: ${error?.message ?? `exit ${status}`}`);
  return { stdout, stderr };
}

/** Hands a value to later steps of the workflow, as `steps.ID.outputs.NAME`. */
export function output(name: string, value: string): void {
  console.log(`${name}=${value}`);
  if (process.env.GITHUB_OUTPUT) appendFileSync(process.env.GITHUB_OUTPUT, `${name}=${value}\n`);
}

/** What package.json says of the program. */
export interface Manifest {
  name: string;
  version: string;
  description: string;
  homepage: string;
  license: string;
  files: string[];
  bin: Record<string, string>;
  [field: string]: unknown;
}

export function manifest(): Manifest {
  return JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as Manifest;
}

/** The chart's own versions. */
export function chartVersions(): { version: string; appVersion: string } {
  return parse(readFileSync(join(repository, "helm", "keyferry", "Chart.yaml"), "utf8"));
}

/** The image's name without a tag: REGISTRY/GITHUB_REPOSITORY, in lower case as a registry demands. */
export function imageName(): string {
  return `${required("REGISTRY")}/${required("GITHUB_REPOSITORY")}`.toLowerCase();
}

/** A digest, sha256:..., in a command's output; in a dry run one of zeros. Throws if there is none. */
export function digestIn(text: string): string {
  if (dryRun) return `sha256:${"0".repeat(64)}`;
  const digest = /sha256:[0-9a-f]{64}/.exec(text)?.[0];
  if (!digest) throw new Error(`no digest in: ${text}`);
  return digest;
}

/** Pushes an image or a manifest list to its own name by buildah, and returns its digest in the registry. */
export function pushed(command: string[], name: string): string {
  const file = join(releaseFolder, "digest");
  // Plain HTTP is for a registry on this machine.
  const plain = isLocal() ? ["--tls-verify=false"] : [];
  publish("buildah", [...storage, ...command, ...plain, "--digestfile", file, name, `docker://${name}`]);
  return digestIn(dryRun ? "" : readFileSync(file, "utf8"));
}

/** Whether the registry is one on this machine, which has no certificate. */
export function isLocal(): boolean {
  return required("REGISTRY").startsWith("127.0.0.1:");
}
