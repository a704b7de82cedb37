import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Program, removeAtEnd, runAtEnd, type Supervised, startSupervised } from "../support/supervise.ts";

const exec = promisify(execFile);
const CGROUPS = "/sys/fs/cgroup";

/**
 * The first process of the sandbox. Folders that containerd, its shims and the CNI plugins use by fixed paths are empty
 * and in memory, so that the machine's own container runtime shares nothing with this one. It reaps orphans.
 */
const INIT = `set -e
for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs $folder; done
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
touch "$1/ready"
while true; do sleep 3600 & wait $!; done`;

/** Removes the control group of that name from all hierarchies; processes in it may still be ending. */
const REMOVE_CGROUP = `for try in $(seq 100); do
  left=
  for group in ${CGROUPS}/$1 ${CGROUPS}/*/$1; do
    [ ! -d $group ] || find $group -depth -type d -exec rmdir {} + 2>/dev/null || left=1
  done
  [ -n "$left" ] || exit 0
  sleep 0.1
done
echo "control group $1 cannot be removed" >&2
exit 1`;

/**
 * A network, mount and process namespace for a node's programs, joined to this machine by a pair of virtual network
 * devices. All of it goes with the first process of the process namespace: programs, containers, mounts, devices and
 * firewall rules. So it goes with this process too, however this process ends.
 */
export class Sandbox {
  readonly dir: string;
  /** Of this machine, as the sandbox reaches it. */
  readonly hostAddress: string;
  /** Of the sandbox, as this machine reaches it. */
  readonly nodeAddress: string;
  /** Addresses for pods; this machine routes them to the sandbox. */
  readonly podSubnet: string;
  /** The name of the network device on this machine's side. */
  readonly device: string;
  /** The name of the control group for all pods. */
  readonly cgroup: string;
  readonly #init: Supervised;
  readonly #pid: number;

  /** Opens a sandbox. Rejects unless this process is root on Linux. */
  static async open(): Promise<Sandbox> {
    const dir = await mkdtemp(join(tmpdir(), "keyferry-node-"));
    removeAtEnd(dir);
    const init = await startSupervised({
      name: "unshare",
      command: "unshare",
      args: ["--mount", "--net", "--pid", "--fork", "--mount-proc", "sh", "-c", INIT, "sh", dir],
      logFile: join(dir, "init.log"),
      graceMs: 0,
    });
    for (let tries = 0; !existsSync(join(dir, "ready")); tries++) {
      if (tries === 200) throw new Error(`no namespaces: ${await readFile(join(dir, "init.log"), "utf8")}`);
      await sleep(50);
    }
    const children = await readFile(`/proc/${init.pid}/task/${init.pid}/children`, "utf8");
    const pid = Number(children.trim());
    const slot = await connect(pid);
    const sandbox = new Sandbox(dir, slot, init, pid);
    runAtEnd("sh", ["-c", REMOVE_CGROUP, "sh", sandbox.cgroup]);
    await sandbox.#setUp();
    return sandbox;
  }

  private constructor(dir: string, slot: number, init: Supervised, pid: number) {
    this.dir = dir;
    // 198.18.0.0/15 is for tests of networks (RFC 2544), so no real network has it.
    this.hostAddress = `198.18.${slot}.1`;
    this.nodeAddress = `198.18.${slot}.2`;
    this.podSubnet = `198.19.${slot}.0/24`;
    this.device = deviceOf(slot);
    this.cgroup = `keyferry-node-${slot}`;
    this.#init = init;
    this.#pid = pid;
  }

  /** Starts a program inside. */
  start(program: Program): Promise<Supervised> {
    const { command, args } = program;
    return startSupervised({ ...program, command: "nsenter", args: [...this.#enter, command, ...args] });
  }

  /** Runs a program inside, and returns its standard output. Rejects with its standard error. */
  async run(command: string, args: string[]): Promise<string> {
    return (await exec("nsenter", [...this.#enter, command, ...args])).stdout;
  }

  /** Ends everything inside. */
  async stop(): Promise<void> {
    await this.#init.stop();
    await exec("sh", ["-c", REMOVE_CGROUP, "sh", this.cgroup]);
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }

  get #enter(): string[] {
    return ["--target", `${this.#pid}`, "--mount", "--net", "--pid", "--"];
  }

  async #setUp(): Promise<void> {
    await exec("ip", ["address", "add", `${this.hostAddress}/24`, "dev", this.device]);
    await exec("ip", ["link", "set", this.device, "up"]);
    await this.run("ip", ["address", "add", `${this.nodeAddress}/24`, "dev", "eth0"]);
    await this.run("ip", ["link", "set", "eth0", "up"]);
    await this.run("ip", ["route", "add", "default", "via", this.hostAddress]);
    await exec("ip", ["route", "add", this.podSubnet, "via", this.nodeAddress]);
    for (const hierarchy of await hierarchies()) await mkdir(join(hierarchy, this.cgroup), { recursive: true });
  }
}

/** Makes the pair of devices, and returns the number that tells it from the pairs of other sandboxes. */
async function connect(pid: number): Promise<number> {
  const count = 256;
  for (let tries = 0; tries < count; tries++) {
    const slot = (process.pid + tries) % count;
    const peer = ["peer", "name", "eth0", "netns", `${pid}`];
    try {
      await exec("ip", ["link", "add", deviceOf(slot), "type", "veth", ...peer]);
      return slot;
    } catch (error) {
      if (!(error as Error).message.includes("File exists")) throw error;
    }
  }
  throw new Error(`the devices ${deviceOf(0)} to ${deviceOf(count - 1)} are all in use`);
}

function deviceOf(slot: number): string {
  return `keyferry${slot}`;
}

/** The folders under which control groups are made: one with version 2, one for each controller with version 1. */
async function hierarchies(): Promise<string[]> {
  if (existsSync(join(CGROUPS, "cgroup.controllers"))) return [CGROUPS];
  const entries = await readdir(CGROUPS, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(CGROUPS, name));
}
