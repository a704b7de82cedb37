import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** Files that a node needs, and Debian's package of each. A name without a folder is looked up in PATH. */
const REQUIRED: Record<string, string> = {
  containerd: "containerd",
  runc: "runc",
  "/usr/lib/cni/bridge": "containernetworking-plugins",
  iptables: "iptables",
  conntrack: "conntrack",
  buildah: "buildah",
  ip: "iproute2",
  nsenter: "util-linux",
  "/bin/busybox": "busybox-static",
};

/** Why no node can be started here; undefined if one can. NO_NODE has the reason if `prepare.ts` has tried in vain. */
export async function whyNoNode(): Promise<string | undefined> {
  const why = process.env.NO_NODE || whyNever();
  if (why) return why;
  const packages = missingPackages();
  if (packages.length > 0) return `these packages are not installed: ${packages.join(", ")}`;
  const namespaces = promisify(execFile)("unshare", ["--mount", "--net", "--pid", "--fork", "true"]);
  return namespaces.then(
    () => undefined,
    (error: Error) => `no namespaces can be made: ${error.message}`,
  );
}

/** What no package changes. */
function whyNever(): string | undefined {
  if (process.platform !== "linux") return `a node needs Linux, and this is ${process.platform}`;
  return process.getuid?.() === 0 ? undefined : "a node needs root";
}

function missingPackages(): string[] {
  return Object.keys(REQUIRED).flatMap((file) => (isThere(file) ? [] : [REQUIRED[file]!]));
}

function isThere(file: string): boolean {
  if (file.startsWith("/")) return existsSync(file);
  return (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, file)));
}

/** Installs what is missing. @returns why not; undefined if everything is there */
export async function install(): Promise<string | undefined> {
  const why = whyNever();
  const packages = missingPackages();
  if (why || packages.length === 0) return why;
  if (!isThere("apt-get")) return `these packages are not installed, and there is no apt-get: ${packages.join(", ")}`;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [["update"], ["install", "--yes", "--no-install-recommends", ...packages]]) {
    const apt = spawn("apt-get", args, { env, stdio: ["ignore", 2, 2] });
    const [code] = await once(apt, "exit");
    if (code !== 0) return `apt-get ${args.join(" ")} ended with ${code}`;
  }
  return undefined;
}
