import { execFile, spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pathsOf } from "../../scripts/image/libraries.ts";
import { assembleRoot } from "../../scripts/image/root.ts";
import { stable } from "../../scripts/image/sbom.ts";
import { type Cluster, startCluster } from "../cluster/cluster.ts";
import { freePort } from "../cluster/ports.ts";
import { until } from "../support/operator.ts";
import {
  assembleImage,
  buildImage,
  bytesUnder,
  inImage,
  type UnpackedImage,
  whyNoBuildah,
  whyNoNamespaces,
} from "./image.ts";

const run = promisify(execFile);
const noBuildah = await whyNoBuildah();
const noNamespaces = await whyNoNamespaces();
const anyUser = "12345:54321";
const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;

let folder: string;
let image: UnpackedImage;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "keyferry-image-"));
  image = await (noBuildah ? assembleImage(folder) : buildImage(folder));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a process in the image prints, and its exit code. */
async function inside(args: string[], user = anyUser) {
  const { command, args: line, env } = inImage(image, args, { user });
  const result = await run(command, line, { env }).catch((error) => error);
  return { stdout: result.stdout as string, stderr: result.stderr as string, code: (result.code ?? 0) as number };
}

test.skipIf(noBuildah)(`buildah builds an image with OCI labels${noBuildah ? `: ${noBuildah}` : ""}`, async () => {
  const { version } = JSON.parse(await readFile("package.json", "utf8"));
  expect(image.config.Labels).toMatchObject({
    "org.opencontainers.image.title": "keyferry",
    "org.opencontainers.image.licenses": "Apache-2.0",
    "org.opencontainers.image.version": version,
    "org.opencontainers.image.revision": expect.stringMatching(/^[0-9a-f]{40}$/),
    "org.opencontainers.image.created": expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  });
  expect(image.config).toMatchObject({ User: "65532:65532", WorkingDir: "/keyferry", Cmd: ["controller"] });
  expect(image.compressedBytes).toBeLessThan(60e6);
});

describe("the image's root file system", () => {
  test("contains one program, Node, and neither a shell nor a package manager", async () => {
    const { stdout } = await run("find", [image.root, "-type", "f", "-perm", "/111", "-not", "-name", "*.so*"]);
    const programs = stdout
      .trim()
      .split("\n")
      .map((path) => path.slice(image.root.length));
    expect(programs.sort()).toEqual([
      "/keyferry/dist/keyferry-otlp.js",
      "/keyferry/dist/keyferry-values.js",
      "/keyferry/dist/keyferry.js",
      "/usr/local/bin/node",
    ]);
  });

  test("has nothing that is writable by all users, except /tmp, and no setuid file", async () => {
    const { stdout } = await run("find", [
      image.root,
      "(",
      "-perm",
      "/002",
      "-o",
      "-perm",
      "/6000",
      ")",
      "-not",
      "-type",
      "l",
    ]);
    expect(stdout.trim().split("\n")).toEqual([join(image.root, "tmp")]);
  });

  test("has the bill of materials: packages of the bundle, Node, shared libraries", async () => {
    const bill = JSON.parse(await readFile(join(image.root, "usr/share/sbom/keyferry.cdx.json"), "utf8"));
    expect(bill).toMatchObject({ bomFormat: "CycloneDX", metadata: { component: { name: "keyferry" } } });
    const names = bill.components.map((component: { name: string }) => component.name);
    expect(names).toEqual(expect.arrayContaining(["undici", "pino", "@aws-sdk/client-ssm", "node"]));
    expect(names).not.toContain("vitest");
    expect(new Set(names).size).toBeGreaterThan(50);
    const packages = await readdir(join(image.root, "var/lib/dpkg/status.d")).catch(() => []);
    expect(names).toEqual(expect.arrayContaining(packages));
  });

  test("is equal when it is assembled again", async () => {
    const again = join(folder, "again");
    const epoch = JSON.parse(await readFile(join(image.root, "usr/share/sbom/keyferry.cdx.json"), "utf8")).metadata;
    process.env.SOURCE_DATE_EPOCH = String(Date.parse(epoch.timestamp) / 1000);
    await assembleRoot(again).finally(() => delete process.env.SOURCE_DATE_EPOCH);
    await run("diff", ["--recursive", "--exclude", "keyferry", again, image.root]);
  });
});

describe.skipIf(noNamespaces)(`a process in the image${noNamespaces ? `: ${noNamespaces}` : ""}`, () => {
  test("finds no shell", async () => {
    for (const shell of ["sh", "/bin/sh", "bash", "busybox", "apt-get", "npm"]) {
      const { stderr, code } = await inside([shell, "-c", "echo here"]);
      expect(stderr).toContain("No such file or directory");
      expect(code).toBe(127);
    }
  });

  test("runs as any user, on a read-only root file system, without capabilities", async () => {
    const script = `
      const { readFileSync, writeFileSync } = require("node:fs");
      const status = readFileSync("/proc/self/status", "utf8");
      const errors = ["/x", "/keyferry/x", "/tmp/x"].map((path) => { try { writeFileSync(path, ""); } catch ({ code }) { return code; } });
      console.log(JSON.stringify({ uid: process.getuid(), errors, capabilities: /CapEff:\\s*(\\S+)/.exec(status)[1] }));`;
    for (const user of [anyUser, image.config.User]) {
      const { stdout } = await inside(["node", "-e", script], user);
      expect(JSON.parse(stdout)).toEqual({
        uid: Number(user.split(":")[0]),
        errors: ["EROFS", "EROFS", "EROFS"],
        capabilities: "0000000000000000",
      });
    }
  });

  test("looks addresses up, and has the certificates of public authorities", async () => {
    const script = `
      const { rootCertificates } = require("node:tls");
      require("node:dns").lookup("127.0.0.1", (error, address) => console.log(address, rootCertificates.length > 100));`;
    expect((await inside(["node", "-e", script])).stdout).toBe("127.0.0.1 true\n");
  });

  test("prints the version by the image's own entry point", async () => {
    const { stdout, stderr } = await inside([...image.config.Entrypoint, "--version"]);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(stderr).toBe("");
  });

  describe("with a cluster", () => {
    let cluster: Cluster;
    beforeAll(async () => {
      cluster = await startCluster({ crds: "crds" });
    });
    afterAll(() => cluster?.stop());

    test("is ready as any user within seconds of a cold start", async () => {
      const mounted = join(folder, "run");
      await mkdir(mounted);
      await copyFile(cluster.details.caFile, join(mounted, "ca.crt"));
      const kubeconfig = await readFile(cluster.kubeconfigPath, "utf8");
      await writeFile(join(mounted, "kubeconfig"), kubeconfig.replaceAll(cluster.details.caFile, "/run/ca.crt"));
      const port = await freePort();
      const flags = ["--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", `127.0.0.1:${port}`];
      const { command, args, env } = inImage(image, [...image.config.Entrypoint, ...image.config.Cmd, ...flags], {
        user: anyUser,
        env: { KUBECONFIG: "/run/kubeconfig" },
        mounted,
      });
      const before = performance.now();
      const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
      const output = Promise.all([text(child.stdout), text(child.stderr)]);
      const ended = new Promise((resolve) => child.once("exit", resolve));
      const probe = () => fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
      try {
        await until(async () => child.exitCode !== null || (await probe())?.status === 200, 30_000);
        const seconds = (performance.now() - before) / 1000;
        expect(child.exitCode, child.exitCode === null ? "" : (await output).join("\n")).toBeNull();
        const size = [`${megabytes(await bytesUnder(image.root))} on disk`];
        if (image.compressedBytes) size.push(`${megabytes(image.compressedBytes)} compressed`);
        process.stdout.write(`image: ${size.join(", ")}; cold start to ready ${seconds.toFixed(2)} s\n`);
      } finally {
        child.kill("SIGKILL");
        await ended;
      }
    });
  });
});

test("a bill of materials depends on its content only, not on npm's random serial number and time", () => {
  const runtime = { node: "24.0.0", packages: [] };
  const bill = (serialNumber: string, timestamp: string, component = { name: "folder" }) =>
    stable({ serialNumber, metadata: { timestamp, component }, components: [] }, runtime, 86_400);
  expect(bill("urn:uuid:1", "2026-01-01T00:00:00Z")).toBe(bill("urn:uuid:2", "2026-02-02T00:00:00Z"));
  expect(JSON.parse(bill("urn:uuid:1", ""))).toMatchObject({
    serialNumber: expect.stringMatching(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/),
    metadata: { timestamp: "1970-01-02T00:00:00.000Z", component: { name: "keyferry" } },
    components: [{ type: "platform", name: "node", version: "24.0.0", purl: "pkg:generic/node@24.0.0" }],
  });
});

test.each([
  [
    "\tlinux-vdso.so.1 (0x7f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)\n\t/lib64/ld.so.2 (0x7f)\n",
    ["/lib/x/libc.so.6", "/lib64/ld.so.2"],
  ],
  ["\tstatically linked\n", []],
])("finds the shared libraries in the output of ldd", (output, paths) => {
  expect(pathsOf(output)).toEqual(paths);
});

test("names a shared library that is missing", () => {
  expect(() => pathsOf("\tlibmissing.so.1 => not found\n")).toThrow("libmissing.so.1");
});
