import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";

const manifest = "examples/first.yaml";
const controller = ["controller", "--metrics-bind-address", "0", "--health-probe-bind-address", "0"];

/** Runs the built program in a shell, to test its redirections. `"$@"` is the program with its arguments. */
async function shell(script: string, args: readonly string[]): Promise<{ code: number | null; err: string }> {
  const child = spawn("bash", ["-c", script, "bash", process.execPath, "dist/keyferry.js", ...args], {
    env: { PATH: process.env.PATH, HOME: "/nonexistent", NO_COLOR: "1", AWS_EC2_METADATA_DISABLED: "true" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, err };
}

describe.each([
  ["version", ["version"]],
  ["--version", ["--version"]],
  ["--help", ["--help"]],
  ["help of a command", ["help", "encrypt"]],
  ["cost", ["cost", manifest]],
  ["policy", ["policy", "--account", "123456789012", "--region", "eu-west-1", manifest]],
  ["controller", controller],
  ["controller with a log for people", [...controller, "--log-format", "text"]],
])("%s exits with one line and code 1", (_, args) => {
  it("if standard output is full", async () => {
    const { code, err } = await shell('"$@" > /dev/full', args);
    expect({ code, err }).toEqual({
      code: 1,
      err: "keyferry: standard output cannot be written: no space is left on the device\n",
    });
  });

  it("if the reader of standard output has exited", async () => {
    const { code, err } = await shell('"$@" | true; exit "$PIPESTATUS"', args);
    expect({ code, err }).toEqual({
      code: 1,
      err: "keyferry: standard output cannot be written: its reader has closed it\n",
    });
  });
});

it("a full standard error does not change the exit code", async () => {
  expect((await shell('"$@" 2> /dev/full', ["encryptt"])).code).toBe(2);
  expect((await shell('"$@" 2> /dev/full', ["cost", "none.yaml"])).code).toBe(1);
});
