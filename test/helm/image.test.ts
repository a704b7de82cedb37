import { execFile } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { root } from "./chart.ts";

const run = promisify(execFile);

interface Instruction {
  name: string;
  rest: string;
}

/** The instructions of each stage of the Dockerfile; one line each. */
function stagesOf(dockerfile: string): Instruction[][] {
  const lines = dockerfile.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
  const stages: Instruction[][] = [];
  for (const line of lines) {
    const [name = "", ...rest] = line.split(" ");
    if (name === "FROM") stages.push([]);
    stages.at(-1)?.push({ name, rest: rest.join(" ") });
  }
  return stages;
}

/** The NAME=value pairs of an ENV instruction; a value with a space in it stands in double quotes. */
function pairsOf(line: string): [string, string][] {
  return [...line.matchAll(/([A-Z_]+)=(?:"([^"]*)"|(\S*))/g)].map(([, name, quoted, plain]) => [
    name!,
    quoted ?? plain!,
  ]);
}

const text = readFileSync(join(root, "Dockerfile"), "utf8");
const [build, image] = stagesOf(text) as [Instruction[], Instruction[]];
const all = (stage: Instruction[], name: string) => stage.filter((line) => line.name === name).map(({ rest }) => rest);
const sum = (numbers: number[]) => numbers.reduce((total, one) => total + one, 0);
const sources = all(build, "COPY").flatMap((copy) => copy.split(" ").slice(0, -1));
const program = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  version: string;
  devDependencies: { node: string };
};

test("the image uses the same major version of Node as the tests", () => {
  expect(text).toContain(`ARG NODE_IMAGE=node:${program.devDependencies.node.split(".")[0]}-slim\n`);
  expect([...all(build, "FROM"), ...all(image, "FROM")]).toEqual([
    expect.stringMatching(/^\$\{NODE_IMAGE\}/),
    expect.stringMatching(/^\$\{BASE_IMAGE\}$/),
  ]);
  // The same version, from the packages, is what the final stage has.
  expect(all(image, "COPY")[0]).toBe("--from=build /build/root/ /");
  expect(text).toContain("ARG BASE_IMAGE=scratch\n");
});

test("the image runs as a numeric non-root user", () => {
  const [user] = all(image, "USER");
  expect(Number(/^(\d+):(\d+)$/.exec(user!)![1])).toBeGreaterThan(999);
});

test("the image configures the memory of malloc and V8, which the program does not change", () => {
  const env = Object.fromEntries(all(image, "ENV").flatMap(pairsOf));
  expect(env).toMatchObject({
    MALLOC_ARENA_MAX: "1",
    MALLOC_MMAP_THRESHOLD_: "32768",
    MALLOC_TRIM_THRESHOLD_: "131072",
  });
  const [node, ...args] = JSON.parse(all(image, "ENTRYPOINT")[0]!) as string[];
  expect(node).toBe("node");
  expect(args).toEqual(
    expect.arrayContaining(["--disable-sigusr1", "--max-old-space-size-percentage=65", "--expose-gc"]),
  );
});

test("the build context contains exactly what the build copies", () => {
  const ignored = readFileSync(join(root, ".dockerignore"), "utf8")
    .split("\n")
    .filter((line) => /^[^#]/.test(line));
  const sent = ignored.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  expect(ignored[0]).toBe("*");
  expect(sent.sort()).toEqual(sources.map((source) => source.replace(/\/$/, "")).sort());
});

describe("the bundle made from the build context", () => {
  let dir: string;
  const [, type, ...built] = all(image, "COPY");
  /** The path in the build, and the folder in the image. */
  const copied = built.map((copy) => /^--from=build \/build\/(\S+) (\S+)\/$/.exec(copy)!.slice(1) as [string, string]);

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "keyferry-image-"));
    const [stage, app] = [join(dir, "build"), join(dir, "app")];
    for (const source of sources) await cp(join(root, source), join(stage, source), { recursive: true });
    // Stands for npm ci.
    await symlink(join(root, "node_modules"), join(stage, "node_modules"));
    const [install, ...steps] = all(build, "RUN").map((step) => step.split(" "));
    expect(install!.slice(0, 2)).toEqual(["npm", "ci"]);
    for (const [command, ...args] of steps) {
      expect(command).toBe("node");
      await run(process.execPath, args, { cwd: stage });
    }
    for (const [from, to] of copied) {
      await mkdir(join(app, to), { recursive: true });
      await cp(join(stage, from), join(app, to, basename(from)));
    }
    await cp(join(root, "package.json"), join(app, "package.json"));
  });

  afterAll(async () => {
    await rm(dir, { recursive: true, force: true });
  });

  const start = async (...args: string[]) => {
    const [node, ...entry] = JSON.parse(all(image, "ENTRYPOINT")[0]!) as string[];
    expect(node).toBe("node");
    const env = Object.fromEntries(all(image, "ENV").flatMap(pairsOf));
    return run(process.execPath, [...entry, ...args], { cwd: join(dir, "app"), env });
  };

  test("is copied with only the package.json that declares a module, and is smaller than 8 MiB", () => {
    expect(all(image, "COPY")).toHaveLength(5);
    expect(type).toBe("package.json ./");
    const size = sum(copied.map(([from, to]) => statSync(join(dir, "app", to, basename(from))).size));
    expect(size).toBeLessThan(8 * 2 ** 20);
  });

  test("starts without other files or warnings in the image's environment", async () => {
    expect(await start("--version")).toEqual({ stdout: `${program.version}\n`, stderr: "" });
  });

  test("accepts the image's default command", async () => {
    const [command] = JSON.parse(all(image, "CMD")[0]!) as string[];
    const { stdout } = await start(command!, "--help");
    expect(stdout).toContain("Usage: keyferry controller");
  });
});
