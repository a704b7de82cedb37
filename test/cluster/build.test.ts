import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isAlive } from "../support/alive.ts";

/** An npm package has kubectl for this machine, so that it is not built. */
const KUBECTL_IN_PACKAGE = process.platform === "linux" && process.arch === "x64";
const PROGRAMS = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"];

let scratch: string;
let cache: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "keyferry-build-"));
  cache = join(scratch, "cache");
});
afterEach(() => rm(scratch, { recursive: true, force: true }));

interface Builder {
  process: ChildProcess;
  ended: Promise<{ stdout: string; stderr: string; code: number | null }>;
}

/** Where nothing listens, for a machine without a network. */
const NO_NETWORK = { KEYFERRY_KUBERNETES_RELEASES: "http://127.0.0.1:2", KEYFERRY_ETCD_RELEASES: "http://127.0.0.1:2" };

/** `node build.ts`, with an empty cache of its own, no network, and only what `path` holds to run. */
function builder(path: string, env: Record<string, string> = {}, args: string[] = []): Builder {
  const child = spawn(process.execPath, [join(import.meta.dirname, "build.ts"), ...args], {
    env: { PATH: path, XDG_CACHE_HOME: cache, HOME: scratch, ...NO_NETWORK, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const code = new Promise<number | null>((resolve) => child.once("close", resolve));
  const ended = Promise.all([text(child.stdout), text(child.stderr), code]);
  return { process: child, ended: ended.then(([stdout, stderr, status]) => ({ stdout, stderr, code: status })) };
}

/** A folder with a `go` that notes its process id and arguments, runs `script`, and makes the programs. */
async function fakeGo(script: string): Promise<string> {
  const folder = join(scratch, "bin");
  await mkdir(folder, { recursive: true });
  const code = `#!/bin/sh
echo "$$ $*" >> ${scratch}/calls
${script}
while [ "$1" != -o ]; do shift; done
out=$2; shift 2
for package; do
  case $package in */server/v3) name=server;; *) name=\${package##*/};; esac
  echo built > "$out$name"
done
`;
  await writeFile(join(folder, "go"), code, { mode: 0o755 });
  return `${folder}:/usr/bin:/bin`;
}

const calls = async () => (await readFile(join(scratch, "calls"), "utf8").catch(() => "")).split("\n").filter(Boolean);

async function assets(names: string[]): Promise<string> {
  const folder = join(scratch, "assets");
  await mkdir(folder, { recursive: true });
  for (const name of names) await writeFile(join(folder, name), "");
  return folder;
}

describe("building the control plane", () => {
  test("happens once for concurrent callers, and is cached", async () => {
    const path = await fakeGo("sleep 1");
    const both = await Promise.all([builder(path).ended, builder(path).ended]);
    for (const { stdout, code } of both) {
      expect(code).toBe(0);
      const paths = stdout.trim().split("\n");
      expect(paths.map((file) => file.slice(file.lastIndexOf("/") + 1)).sort()).toEqual(PROGRAMS);
      const built = paths.filter((file) => basename(file) !== "kubectl" || !KUBECTL_IN_PACKAGE);
      for (const file of built) expect(await readFile(file, "utf8")).toBe("built\n");
      expect(paths[0]).toMatch(/\/cache\/keyferry\/controlplane-v1\.36\.\d+\//);
    }
    expect(both.map(({ stderr }) => stderr).join("")).toContain("waiting for it");
    await builder("/nowhere").ended;
    expect(await calls()).toHaveLength(1);
  });

  test("is taken over from a killed builder, whose go process ends with it", async () => {
    const path = await fakeGo(`if mkdir ${scratch}/first 2>/dev/null; then sleep 600; fi`);
    const first = builder(path);
    await expect.poll(calls, { timeout: 15_000 }).toHaveLength(1);
    const second = builder(path);
    first.process.kill("SIGKILL");

    const { code, stderr } = await second.ended;
    expect(stderr).not.toContain("failed");
    expect(code).toBe(0);
    expect(await calls()).toHaveLength(2);
    const goPid = Number((await calls())[0]?.split(" ")[0]);
    await expect.poll(() => isAlive(goPid), { timeout: 15_000 }).toBe(false);
    const left = await readdir(join(cache, "keyferry"));
    expect(left.filter((name) => name.includes("partial"))).toEqual([]);
  });

  test("makes the programs of a node too, if they are asked for", async () => {
    const { stdout } = await builder(await fakeGo(""), {}, ["--node"]).ended;
    const names = stdout
      .trim()
      .split("\n")
      .slice(-3)
      .map((path) => basename(path));
    expect(names).toEqual(["kubelet", "kube-scheduler", "kube-proxy"]);
    expect(stdout).toMatch(/\/cache\/keyferry\/node-v1\.36\.\d+\/kubelet\n/);
    expect(await calls()).toHaveLength(2);
  });

  test("sets the programs' version like the build of Kubernetes, and pins everything else", async () => {
    const path = await fakeGo(`echo "$CGO_ENABLED,$GOFLAGS,$GOWORK" > ${scratch}/env`);
    await builder(path, { GOFLAGS: "-mod=vendor", GOWORK: "/some/go.work", CGO_ENABLED: "1" }).ended;
    const [call] = await calls();
    expect(call).toMatch(/-X k8s\.io\/component-base\/version\.gitVersion=v1\.36\.\d+ /);
    expect(call).toContain("-X k8s.io/client-go/pkg/version.gitMajor=1 ");
    expect(call).toContain("-X k8s.io/component-base/version.gitMinor=36 ");
    expect(call).toContain("-trimpath");
    expect(await readFile(join(scratch, "env"), "utf8")).toBe("0,,off\n");
  });

  test.runIf(KUBECTL_IN_PACKAGE)("takes kubectl from an npm package", async () => {
    const { stdout } = await builder(await fakeGo("")).ended;
    const kubectl = stdout
      .trim()
      .split("\n")
      .find((path) => basename(path) === "kubectl")!;
    const { stdout: version } = await promisify(execFile)(kubectl, ["version", "--client", "--output", "json"]);
    expect(JSON.parse(version).clientVersion.gitVersion).toMatch(/^v1\.3\d\.\d+/);
    expect((await calls())[0]).not.toContain("cmd/kubectl");
  });

  test("says why the binaries were not downloaded", async () => {
    const { stderr } = await builder(await fakeGo("")).ended;
    expect(stderr).toMatch(
      /^The official binaries cannot be downloaded \(connect ECONNREFUSED 127\.0\.0\.1:2\): building/m,
    );
  });

  test("shows the last lines of go on failure, caches nothing, and is retried by the next caller", async () => {
    const broken = await builder(await fakeGo("echo 'no space left on device'; exit 1")).ended;
    expect(broken.code).toBe(1);
    expect(broken.stderr).toContain("no space left on device");
    const kept = (await readdir(join(cache, "keyferry"))).filter((name) => !/\.lock$|^kubectl-/.test(name));
    expect(kept).toEqual([]);
    expect((await builder(await fakeGo("")).ended).code).toBe(0);
  });

  test("fails without Go with a message that names Go and the alternative", async () => {
    const { stderr, code } = await builder("/nowhere").ended;
    expect(code).toBe(1);
    expect(stderr).toContain("go could not be started");
    expect(stderr).toContain("KUBEBUILDER_ASSETS");
    expect(stderr).not.toContain("build.ts");
  });
});

describe("KUBEBUILDER_ASSETS", () => {
  test("is used unchanged if it contains all four programs", async () => {
    const folder = await assets(PROGRAMS);
    const { stdout, code } = await builder("/nowhere", { KUBEBUILDER_ASSETS: folder }).ended;
    expect(code).toBe(0);
    expect(stdout.trim().split("\n").map(dirname)).toEqual([folder, folder, folder, folder]);
  });

  test("without a kube-controller-manager, like the one of envtest, causes a build of only that program", async () => {
    const folder = await assets(["etcd", "kube-apiserver", "kubectl"]);
    const { stdout, code } = await builder(await fakeGo(""), { KUBEBUILDER_ASSETS: folder }).ended;
    expect(code).toBe(0);
    expect(stdout).toContain(join(folder, "kube-apiserver"));
    expect(stdout).toMatch(/\/cache\/keyferry\/kube-controller-manager-v[\d.]+\/kube-controller-manager\n/);
    expect((await calls())[0]).not.toContain("cmd/kubectl");
  });

  test("without another program fails with a message that names the missing program", async () => {
    const folder = await assets(["kube-apiserver", "kube-controller-manager"]);
    const { stderr, code } = await builder("/nowhere", { KUBEBUILDER_ASSETS: folder }).ended;
    expect(code).toBe(1);
    expect(stderr).toContain(`${folder}/etcd, ${folder}/kubectl`);
  });
});
