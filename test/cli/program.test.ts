import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);

async function keyferry(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { PATH: process.env.PATH, HOME: "/nonexistent", NO_COLOR: "1" };
  try {
    const { stdout, stderr } = await run(process.execPath, ["dist/keyferry.js", ...args], { env });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

describe("an invalid command line gives one clear line and exit code 2", () => {
  it.each([
    ["an unknown command", ["encryptt"], "unknown command 'encryptt' (Did you mean encrypt?)"],
    ["a flag with a typo", ["render", "--outptu", "x"], "unknown option '--outptu' (Did you mean --output?)"],
    ["a typo that may be a value", ["encrypt", "--contxt", "a=b"], "is no flag of encrypt, nor its one file; a value"],
    [
      "two pairs in one flag",
      ["encrypt", "--key", "alias/a", "--context", "a=b,c=d"],
      "write --context NAME=VALUE --con",
    ],
    ["a typo of a flag of encrypt", ["encrypt", "--contxt", "hunter2"], "(Did you mean --context?)"],
    ["an unknown flag", ["controller", "--metric-address", "x"], "unknown option '--metric-address'"],
    ["an unknown log level", ["controller", "--log-level", "loud"], "Allowed choices are debug, info, warn, error"],
    ["an address without a port", ["controller", "--metrics-bind-address", "localhost"], "Use HOST:PORT"],
    ["an invalid port", ["controller", "--health-probe-bind-address", ":99999"], "Use HOST:PORT"],
    ["an invalid namespace name", ["controller", "--namespaces", "a,B"], "Use names of namespaces"],
    ["an invalid duration", ["controller", "--missing-grace", "5 minutes"], "Use a duration such as"],
    ["a renew deadline above the lease duration", ["controller", "--renew-deadline", "15s"], "must be longer than"],
    ["a negative number of rollouts", ["controller", "--max-concurrent-rollouts=-1"], "Use an integer of 0 or more."],
    ["a fraction of a rollout", ["controller", "--max-concurrent-rollouts", "1.5"], "Use an integer of 0 or more."],
    ["no number of rollouts", ["controller", "--max-concurrent-rollouts="], "Use an integer of 0 or more."],
    [
      "an unknown kind of workload",
      ["controller", "--rollout-kinds", "Deployment,Job"],
      "Use Deployment, StatefulSet, DaemonSet, Rollout, each once at most, separated by commas.",
    ],
    ["a kind of workload in lower case", ["controller", "--rollout-kinds", "deployment"], "each once at most"],
    ["a kind of workload twice", ["controller", "--rollout-kinds", "Rollout,Rollout"], "each once at most"],
    ["a comma without a kind of workload", ["controller", "--rollout-kinds", "Rollout,"], "each once at most"],
    ["too many shards", ["controller", "--leader-elect", "--shards", "65"], "Use a number from 1 to 64."],
    ["shards without an election", ["controller", "--shards", "2"], "goes with '--leader-elect' only"],
    ["a lease name that is none", ["controller", "--lease-name", "A B"], "Use the name of a Lease"],
    ["leader election that is neither on nor off", ["controller", "--leader-elect=yes"], "Use true or false"],
    [
      "a certificate for metrics without TLS",
      ["controller", "--metrics-cert-path", "/tls"],
      "goes with '--metrics-secure' only",
    ],
    ["a flag without its value", ["controller", "--kubeconfig"], "argument missing"],
    ["an extra argument", ["controller", "extra"], "too many arguments"],
    [
      "a default connection for all namespaces",
      ["controller", "--default-connection", "a/b"],
      "goes with '--namespaces'",
    ],
    [
      "a cluster connection for some namespaces",
      ["controller", "--namespaces", "a", "--default-connection-region", "eu-west-1"],
      "does not go with '--namespaces'",
    ],
    ["an audit log without a path", ["controller", "--audit-log", ""], "Use the path of a file"],
    ["an invalid region", ["controller", "--default-connection-region", "Ireland"], "Use an AWS region"],
  ])("%s", async (_, args, said) => {
    const { code, out, err } = await keyferry(...args);
    expect(err).toContain(said);
    expect(err.startsWith("keyferry: ")).toBe(true);
    expect(err).not.toContain("hunter2");
    expect(err.trim().split("\n")).toHaveLength(1);
    expect([code, out]).toEqual([2, ""]);
  });
});

it("help lists every flag with its default, and version matches the package", async () => {
  const { code, out } = await keyferry("controller", "--help");
  expect(code).toBe(0);
  for (const flag of ["--metrics-bind-address", "--health-probe-bind-address", "--namespaces", "--read-only"]) {
    expect(out).toContain(flag);
  }
  expect(out).toContain("(default: :8080)");
  expect((await keyferry("--version")).out.trim()).toMatch(/^[0-9]+\.[0-9]+\.[0-9]+/);
  expect((await keyferry("--help")).out).toContain("controller");
});

it("a cluster that is not configured gives one clear log line and exit code 1", async () => {
  const { code, out } = await keyferry("controller", "--metrics-bind-address", "0", "--health-probe-bind-address", "0");
  expect(code).toBe(1);
  expect(out).toContain("no Kubernetes cluster is configured: set KUBECONFIG");
  expect(JSON.parse(out.trim().split("\n").at(-1)!)).toMatchObject({ level: "error" });
});

it("an unexpected error is reported by its place, without its message", async () => {
  const broken = 'data:text/javascript,Number.prototype.toLocaleString=()=>{throw new TypeError(atob("aHVudGVyMg=="))}';
  const env = { PATH: process.env.PATH, NO_COLOR: "1", NODE_OPTIONS: `--import=${encodeURI(broken)}` };
  const child = run(process.execPath, ["dist/keyferry.js", "cost", "--changes-per-day", "1", "examples/first.yaml"], {
    env,
  });
  const { code, stdout, stderr } = await child.catch((error) => error);
  expect(stderr).toContain("keyferry: internal error (TypeError)");
  expect(stderr).toContain("    at ");
  expect(stderr.length).toBeLessThan(2_000);
  expect(stdout + stderr).not.toContain("hunter2");
  expect(code).toBe(1);
});
