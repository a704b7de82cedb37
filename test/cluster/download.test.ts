import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ensureControlPlane } from "./build.ts";
import { download } from "./download.ts";

const run = promisify(execFile);
const architecture = { x64: "amd64", arm64: "arm64" }[process.arch as string];
const unpublished = process.platform !== "linux" || architecture === undefined;
const [kubernetes, etcd] = ["v1.36.3", "v3.6.8"];
const SERVERS = ["etcd", "kube-apiserver", "kube-controller-manager"];

let scratch: string;
let into: string;
let server: Server;
let requests: string[];
/** What the server has, by path; others are 404. */
let published: Map<string, Buffer>;

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "keyferry-download-"));
  into = join(scratch, "into");
  await mkdir(into);
  requests = [];
  published = new Map();
  server = createServer(({ url = "" }, response) => {
    requests.push(url);
    const body = published.get(url);
    response.writeHead(body ? 200 : 404, { "content-length": body?.length ?? 0 }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  useServer((server.address() as AddressInfo).port);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.close();
  await rm(scratch, { recursive: true });
});

function useServer(port: number): void {
  vi.stubEnv("KEYFERRY_KUBERNETES_RELEASES", `http://127.0.0.1:${port}/kubernetes`);
  vi.stubEnv("KEYFERRY_ETCD_RELEASES", `http://127.0.0.1:${port}/etcd`);
}

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const pathOf = (name: string, version = kubernetes) => `/kubernetes/${version}/bin/linux/${architecture}/${name}`;

/** Publishes programs as Kubernetes and etcd do. */
async function publish(programs: Record<string, string>, versions = { kubernetes, etcd }): Promise<void> {
  for (const [name, file] of Object.entries(programs)) {
    if (name === "etcd") continue;
    const bytes = await readFile(file);
    published.set(pathOf(name, versions.kubernetes), bytes);
    published.set(`${pathOf(name, versions.kubernetes)}.sha256`, Buffer.from(sha256(bytes)));
  }
  if (!programs.etcd) return;
  const folder = `etcd-${versions.etcd}-linux-${architecture}`;
  await mkdir(join(scratch, folder));
  await copyFile(programs.etcd, join(scratch, folder, "etcd"));
  await writeFile(join(scratch, folder, "README.md"), "");
  const { stdout } = await run("tar", ["-cz", "-C", scratch, folder], { encoding: "buffer", maxBuffer: 2 ** 28 });
  published.set(`/etcd/${versions.etcd}/${folder}.tar.gz`, stdout);
  const sums = [`${"0".repeat(64)}  etcd-${versions.etcd}-darwin-amd64.zip`, `${sha256(stdout)}  ${folder}.tar.gz`];
  published.set(`/etcd/${versions.etcd}/SHA256SUMS`, Buffer.from(`${sums.join("\n")}\n`));
}

/** Small files that stand for the programs. */
async function publishSmall(): Promise<void> {
  const files: Record<string, string> = {};
  for (const name of SERVERS) {
    files[name] = join(scratch, name);
    await writeFile(files[name], `the program ${name}`);
  }
  await publish(files);
}

const all = { names: SERVERS, kubernetes, etcd };

describe.skipIf(unpublished)("downloading the control plane", () => {
  test("gives programs that run, to a caller without Go, once", async () => {
    const built = await ensureControlPlane();
    const goMod = await readFile(join(import.meta.dirname, "controlplane", "go.mod"), "utf8");
    const pinned = (module: string) => new RegExp(`${module} (v\\S+)`).exec(goMod)![1]!;
    const versions = { kubernetes: pinned("k8s.io/kubernetes"), etcd: pinned("go.etcd.io/etcd/server/v3") };
    const programs = { "kube-apiserver": built.apiserver, "kube-controller-manager": built.controllerManager };
    await publish({ ...programs, etcd: built.etcd, kubectl: built.kubectl }, versions);

    const env = {
      ...process.env,
      PATH: "/usr/bin:/bin",
      XDG_CACHE_HOME: join(scratch, "cache"),
      KUBEBUILDER_ASSETS: "",
    };
    const script = [join(import.meta.dirname, "build.ts")];
    const { stdout, stderr } = await run(process.execPath, script, { env });
    expect(stderr).toMatch(
      /Downloading etcd, kube-apiserver, kube-controller-manager.* v1\.36\.\d+: 0m\d\ds, (\d+) of \1 MB\n/,
    );
    expect(stderr).not.toContain("building");
    const paths = stdout.trim().split("\n");
    expect(paths).toHaveLength(4);
    for (const path of paths.filter((path) => path.includes("controlplane-"))) {
      const { stdout: version } = await run(path, ["--version"]);
      expect(version).toMatch(path.endsWith("etcd") ? versions.etcd.slice(1) : versions.kubernetes);
    }
    expect(await readdir(dirname(paths[0]!))).toEqual(expect.arrayContaining(SERVERS));

    requests = [];
    await run(process.execPath, script, { env });
    expect(requests).toEqual([]);
  });

  test("asks for all checksums before it asks for a program", async () => {
    await publishSmall();
    expect(await download(all, into)).toBeUndefined();
    expect(requests.slice(0, 3).every((path) => /SHA256SUMS$|\.sha256$/.test(path))).toBe(true);
    expect((await readdir(into)).sort()).toEqual(SERVERS);
    for (const name of SERVERS) {
      expect(await readFile(join(into, name), "utf8")).toBe(`the program ${name}`);
      expect((await stat(join(into, name))).mode & 0o777).toBe(0o755);
    }
  });

  test("keeps nothing of a download in which one program is not as published", async () => {
    await publishSmall();
    published.set(pathOf("kube-apiserver"), Buffer.from("something else"));
    const why = await download(all, into);
    expect(why).toContain(`${pathOf("kube-apiserver")} is not as published: its SHA-256 is`);
    expect(await readdir(into)).toEqual([]);
  });

  test.each([
    ["a page instead of a checksum", "<html>sign in</html>"],
    ["an empty file", ""],
    ["a checksum of another algorithm", "a".repeat(128)],
  ])("refuses %s", async (_, body) => {
    await publishSmall();
    published.set(`${pathOf("kube-apiserver")}.sha256`, Buffer.from(body));
    expect(await download(all, into)).toContain("has no SHA-256 of kube-apiserver");
    expect(requests.some((path) => path === pathOf("kube-apiserver"))).toBe(false);
  });

  test("names the URL and status of what is not published", async () => {
    await publishSmall();
    published.delete(`${pathOf("kube-controller-manager")}.sha256`);
    expect(await download(all, into)).toMatch(/kube-controller-manager\.sha256 answers 404$/);
  });

  test("gives up at once where nothing listens", async () => {
    const closed = createTcpServer();
    await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    useServer(port);
    const before = performance.now();
    expect(await download(all, into)).toContain("ECONNREFUSED");
    expect(performance.now() - before).toBeLessThan(2_000);
  });

  test("gives up when a server closes its connections", async () => {
    const silent = createTcpServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    useServer((silent.address() as AddressInfo).port);
    expect(await download(all, into)).toMatch(/closed|ECONNRESET/);
    silent.close();
  });
});
