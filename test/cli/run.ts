import { spawn } from "node:child_process";

/** The result of a run of the built program. */
export interface Ran {
  code: number | null;
  out: string;
  err: string;
}

/**
 * Runs `dist/keyferry.js` as its own process, without the machine's AWS configuration.
 *
 * @param options.input standard input
 */
export async function keyferry(
  args: readonly string[],
  options: { input?: string | Uint8Array; env?: Record<string, string>; cwd?: string } = {},
): Promise<Ran> {
  const { input = "", env = {}, cwd = process.cwd() } = options;
  const nothing = {
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    AWS_EC2_METADATA_DISABLED: "true",
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
  };
  const child = spawn(process.execPath, [`${process.cwd()}/dist/keyferry.js`, ...args], {
    cwd,
    env: { PATH: process.env.PATH, HOME: "/nonexistent", NO_COLOR: "1", ...nothing, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  // It may exit before it has read everything.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) =>
    child.once("error", reject).once("close", resolve),
  );
  return { code, out, err };
}

/** The environment of a person logged in at an emulator. */
export function loggedIn(url: string): Record<string, string> {
  return { AWS_ENDPOINT_URL: url, AWS_ACCESS_KEY_ID: "AKIAKEYFERRYTEST", AWS_SECRET_ACCESS_KEY: "any" };
}
