import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { notesOf } from "../../scripts/release/notes.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..", "..");
const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
const digest = `sha256:${"d".repeat(64)}`;

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "keyferry-release-"));
  await mkdir(join(scratch, "bin"));
});
afterEach(() => rm(scratch, { recursive: true }));

/** Puts a command ahead of the true one: it notes its arguments and standard input, then runs `script`. */
async function fake(name: string, script = ""): Promise<void> {
  const file = join(scratch, "bin", name);
  const lines = ["#!/bin/sh", `echo "${name} $*" >> "${scratch}/calls"`, script];
  await writeFile(file, `${lines.join("\n")}\n`);
  await chmod(file, 0o755);
}

/** buildah, which writes the digest that it is asked for. */
const buildah = () =>
  fake("buildah", `while [ $# -gt 0 ]; do if [ "$1" = --digestfile ]; then printf ${digest} > "$2"; fi; shift; done`);

/** Runs a step of the release as the workflow does, and returns its outputs. */
async function step(name: string, env: Record<string, string> = {}): Promise<Record<string, string>> {
  const outputs = join(scratch, "outputs");
  const settings = {
    PATH: `${join(scratch, "bin")}:${process.env.PATH}`,
    HOME: process.env.HOME,
    REGISTRY: "registry.example.com",
    GITHUB_REPOSITORY: "Keyferry/keyferry",
    GITHUB_SERVER_URL: "https://github.com",
    GITHUB_REF_NAME: `v${version}`,
    GITHUB_OUTPUT: outputs,
  };
  await run(process.execPath, [join(root, "scripts", "release", `${name}.ts`)], { env: { ...settings, ...env } });
  const lines = (await readFile(outputs, "utf8").catch(() => "")).split("\n").filter(Boolean);
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

const calls = async () => (await readFile(join(scratch, "calls"), "utf8").catch(() => "")).split("\n").filter(Boolean);
const files = join(root, "dist", "release");
const image = "registry.example.com/keyferry/keyferry";

describe("a step of the release", () => {
  test("logs in with the token on standard input, never on a command line", async () => {
    for (const name of ["buildah", "helm"]) await fake(name, `cat >> "${scratch}/input"`);
    await step("login", { REGISTRY_USER: "robot", REGISTRY_TOKEN: "secret", HELM: join(scratch, "bin", "helm") });
    expect(await calls()).toEqual([
      "buildah login --username robot --password-stdin registry.example.com",
      expect.stringMatching(/^buildah login --authfile \S+\/\.docker\/config\.json --username robot --password-stdin/),
      "helm registry login --username robot --password-stdin registry.example.com",
    ]);
    expect(await readFile(join(scratch, "input"), "utf8")).toBe("secret".repeat(3));
  });

  test("makes one image of both architectures, and hands its digest on", async () => {
    await buildah();
    expect(await step("manifest")).toEqual({ name: image, digest });
    const [create, ...rest] = (await calls()).map((call) => call.replace("buildah --storage-driver vfs ", ""));
    expect(create).toBe(`manifest create ${image}:${version}`);
    expect(rest).toEqual([
      `manifest add ${image}:${version} docker://${image}:${version}-amd64`,
      `manifest add ${image}:${version} docker://${image}:${version}-arm64`,
      expect.stringMatching(new RegExp(`^manifest push --all --digestfile \\S+ ${image}:${version} docker://`)),
    ]);
  });

  test("signs what a digest names, and attests the bill of materials", async () => {
    await fake("cosign");
    await step("sign", { NAME: image, DIGEST: digest });
    await step("sign", { NAME: image, DIGEST: digest, SBOM: "bill.json" });
    expect(await calls()).toEqual([
      `cosign sign --yes ${image}@${digest}`,
      `cosign sign --yes ${image}@${digest}`,
      `cosign attest --yes --type cyclonedx --predicate bill.json ${image}@${digest}`,
    ]);
  });

  test("fails when a command fails, and hands nothing on", async () => {
    await fake("cosign", "exit 3");
    await expect(step("sign", { NAME: image, DIGEST: digest })).rejects.toThrow();
    await fake("buildah", "exit 1");
    await expect(step("manifest")).rejects.toThrow();
    await expect(readFile(join(scratch, "outputs"), "utf8")).rejects.toThrow("ENOENT");
  });

  test("fails without a variable, which the message names", async () => {
    await expect(step("sign", { NAME: image })).rejects.toThrow("the environment variable DIGEST is missing");
  });

  test("packages the chart by Helm, and pushes it beside the image", async () => {
    await fake("helm", `case $1 in push) echo "Digest: ${digest}" >&2 ;; esac`);
    const outputs = await step("chart", { HELM: join(scratch, "bin", "helm") });
    expect(outputs).toEqual({ name: "registry.example.com/keyferry/charts/keyferry", digest });
    expect(await calls()).toEqual([
      `helm package helm/keyferry --destination ${files}`,
      `helm push ${files}/keyferry-${version}.tgz oci://registry.example.com/keyferry/charts`,
    ]);
  });

  test("packages the chart with the true Helm in a dry run, which pushes nothing", async () => {
    const { digest: none } = await step("chart", { DRY_RUN: "1" });
    expect(none).toBe(`sha256:${"0".repeat(64)}`);
    const { stdout } = await run("tar", ["-xzOf", join(files, `keyferry-${version}.tgz`), "keyferry/Chart.yaml"]);
    expect(parse(stdout)).toMatchObject({ name: "keyferry", version, appVersion: version });
  });

  test("publishes an npm package that installs nothing else and runs by two names", async () => {
    const npm = (await run("sh", ["-c", "command -v npm"])).stdout.trim();
    await fake("npm");
    await step("npm");
    expect(await calls()).toEqual([`npm publish ${files}/npm --tag latest`]);

    await run(npm, ["pack", join(files, "npm"), "--pack-destination", scratch]);
    const archive = join(scratch, `keyferry-${version}.tgz`);
    const { stdout } = await run("tar", ["-tzf", archive]);
    const names = stdout
      .trim()
      .split("\n")
      .map((path) => path.replace("package/", ""));
    expect(names.filter((path) => !path.startsWith("crds/")).sort()).toEqual([
      "LICENSE",
      "README.md",
      "dist/keyferry-otlp.js",
      "dist/keyferry-values.js",
      "dist/keyferry.js",
      "package.json",
    ]);
    expect(names.filter((path) => path.startsWith("crds/")).length).toBeGreaterThanOrEqual(3);

    await run(npm, ["install", "--prefix", join(scratch, "there"), "--offline", "--no-audit", archive]);
    for (const name of ["keyferry", "kubectl-keyferry"]) {
      const { stdout } = await run(join(scratch, "there", "node_modules", ".bin", name), ["--version"]);
      expect(stdout).toBe(`${version}\n`);
    }
  });

  test("makes a kubectl plugin that runs, with the checksum of its archive, equal each time", async () => {
    const make = async () => {
      await step("krew", { SOURCE_DATE_EPOCH: "86400" });
      return parse(await readFile(join(files, "keyferry.yaml"), "utf8"));
    };
    const plugin = await make();
    const archive = join(files, `kubectl-keyferry-${version}.tar.gz`);
    const sha256 = createHash("sha256")
      .update(await readFile(archive))
      .digest("hex");
    const { metadata, spec } = plugin;
    expect([metadata.name, spec.version]).toEqual(["keyferry", `v${version}`]);
    expect(spec.shortDescription.length).toBeLessThan(50);
    const systems = spec.platforms.map((one: { selector: { matchLabels: object } }) => one.selector.matchLabels);
    expect(systems).toHaveLength(4);
    for (const { uri, bin, ...platform } of spec.platforms) {
      expect(platform.sha256).toBe(sha256);
      expect(uri).toMatch(new RegExp(`^https://github\\.com/.*/v${version}/kubectl-keyferry-${version}\\.tar\\.gz$`));
      await run("tar", ["-xzf", archive, "-C", scratch]);
      expect((await run(join(scratch, bin), ["--version"])).stdout).toBe(`${version}\n`);
    }
    expect(await make()).toEqual(plugin);
  });

  test("makes the release with signed checksums of its files", async () => {
    await fake("cosign");
    await fake("gh");
    await step("krew");
    await step("github", { GH_TOKEN: "secret" });
    const [signed, released] = await calls();
    expect(signed).toBe(`cosign sign-blob --yes --bundle ${files}/SHA256SUMS.sigstore.json ${files}/SHA256SUMS`);
    expect(released).toMatch(new RegExp(`^gh release create v${version} --verify-tag --title Keyferry ${version} `));
    for (const name of [
      `kubectl-keyferry-${version}.tar.gz`,
      "keyferry.yaml",
      "SHA256SUMS",
      "SHA256SUMS.sigstore.json",
    ]) {
      expect(released).toContain(join(files, name));
    }
    const { stdout } = await run("sha256sum", ["--check", "SHA256SUMS"], { cwd: files });
    expect(stdout).toContain("keyferry.yaml: OK");
  });

  test("prints what it would publish in a dry run, without the commands that would", async () => {
    const env = { DRY_RUN: "1", NAME: image, DIGEST: digest, REGISTRY_USER: "robot", REGISTRY_TOKEN: "secret" };
    await step("login", env);
    await step("manifest", env);
    await step("sign", env);
    await step("npm", env);
    await step("github", env);
    expect(await calls()).toEqual([]);
  });

  test("refuses a tag that is not the version, naming each file that differs", async () => {
    const failed = step("check", { GITHUB_REF_NAME: "v99.0.0" });
    await expect(failed).rejects.toThrow(`the tag v99.0.0 cannot be released: package.json has version ${version}`);
  });
});

test.each([
  ["a version", "1.1.0", "- new"],
  ["a version with a date", "1.0.0", "- first\n- second"],
  ["a version that is a part of another", "1.1", ""],
  ["a version without text", "0.9.0", ""],
])("finds the changelog's section of %s", (_, wanted, notes) => {
  const changelog =
    "# Changelog\n\n## Unreleased\n\n- soon\n\n## 1.1.0\n\n- new\n\n## 1.0.0 (2026-01-02)\n\n- first\n- second\n\n## 0.9.0\n";
  expect(notesOf(changelog, wanted)).toBe(notes);
});
