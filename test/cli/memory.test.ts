import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { processMeter } from "../../src/cli/meter.ts";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
/** Loaded before the program, each time that the process begins. */
const witness =
  "data:text/javascript,console.log(process.pid,process.env.MALLOC_ARENA_MAX,process.env.MALLOC_MMAP_THRESHOLD_,process.argv.slice(2).join())";

/** Starts the operator with a kubeconfig that is not there, and gives what the process was each time that it began. */
async function begin(env: Record<string, string>, ...args: string[]) {
  const { PATH = "", HOME = "" } = process.env;
  const child = execFile(process.execPath, [`--import=${witness}`, main, ...args], {
    env: { PATH, HOME, KUBECONFIG: "/nonexistent", ...env },
  });
  let output = "";
  child.stdout!.on("data", (text: string) => {
    output += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  const begun = output.split("\n").filter((line) => /^[0-9]+ /.test(line));
  return { pid: `${child.pid}`, code, begun: begun.map((line) => line.split(" ")) };
}

it.runIf(process.platform === "linux")(
  "the operator has malloc hold memory as the image does, as the same process, however it is started",
  async () => {
    const { pid, code, begun } = await begin({}, "controller", "--log-level=error");
    expect(begun).toEqual([
      [pid, "undefined", "undefined", "controller,--log-level=error"],
      [pid, "1", "32768", "controller,--log-level=error"],
    ]);
    expect(code).toBe(1);
  },
);

it("the operator begins once where its environment says how many arenas there are", async () => {
  const { pid, begun } = await begin({ MALLOC_ARENA_MAX: "4" }, "controller", "--log-level=error");
  expect(begun).toEqual([[pid, "4", "undefined", "controller,--log-level=error"]]);
});

it("the operator goes on as it is where Node's permission model forbids to begin again", async () => {
  const options = ["--permission", "--allow-fs-read=*"];
  const { pid, code, begun } = await begin({ NODE_OPTIONS: options.join(" ") }, "controller", "--no-such-flag");
  expect(begun).toEqual([[pid, "undefined", "undefined", "controller,--no-such-flag"]]);
  expect(code).toBe(2);
});

it("a command that ends soon begins once", async () => {
  const { pid, code, begun } = await begin({}, "--version");
  expect(begun).toEqual([[pid, "undefined", "undefined", "--version"]]);
  expect(code).toBe(0);
});

it("a process that collects gives its garbage back", () => {
  let garbage: unknown[] | undefined = Array.from({ length: 200_000 }, (_, index) => ({ index, text: `${index}` }));
  const before = processMeter.heldBytes();
  expect(garbage).toHaveLength(200_000);
  garbage = undefined;
  processMeter.collect();
  expect(processMeter.heldBytes()).toBeLessThan(before - (8 << 20));
  expect(processMeter.cpuMs()).toBeGreaterThan(0);
});
