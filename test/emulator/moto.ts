import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Pool } from "undici";
import type { Scope } from "./call.ts";
import type { Reply } from "./http.ts";
import { motoPython } from "./venv.ts";

/** A moto server in a process of its own, which ends with this one. */
export interface Moto {
  url: string;
  /** Sends a request as it is; `headers` without those of the connection. Never rejects for a status. */
  send(method: string, path: string, headers: Record<string, string>, body: Buffer): Promise<Reply>;
  stop(): Promise<void>;
}

const serve = fileURLToPath(new URL("serve.py", import.meta.url));
const startLimitMs = 60_000;

/**
 * Starts moto on a free port of 127.0.0.1, after building its Python environment where there is none yet.
 *
 * @throws Error with moto's own last words where it does not come up within a minute
 */
export async function startMoto(say?: (line: string) => void): Promise<Moto> {
  const python = await motoPython(say);
  const child = spawn(python, [serve], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, MOTO_ALLOW_NONEXISTENT_REGION: "true", PYTHONDONTWRITEBYTECODE: "" },
  });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-4000);
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    const limit = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`moto did not start within ${startLimitMs / 1000} s: ${words}`));
    }, startLimitMs);
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`moto ended at its start: ${words}`)));
    createInterface({ input: child.stdout }).once("line", (line) => {
      clearTimeout(limit);
      resolve((JSON.parse(line) as { port: number }).port);
    });
  });
  // The parent's own event loop must be free to end: nothing here keeps it.
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as { unref(): void }).unref();

  const url = `http://127.0.0.1:${port}`;
  const pool = new Pool(url, { connections: 8, pipelining: 1, headersTimeout: 60_000 });
  return {
    url,
    async send(method, path, headers, body) {
      const answer = await pool.request({ method: method as "POST", path, headers, body: body.length ? body : null });
      const kept: Record<string, string> = {};
      for (const [name, value] of Object.entries(answer.headers)) {
        if (!hopByHop.has(name) && value !== undefined) kept[name] = String(value);
      }
      return { status: answer.statusCode, headers: kept, body: Buffer.from(await answer.body.arrayBuffer()) };
    },
    async stop() {
      await pool.destroy();
      child.ref();
      child.stdin.end();
      await ended;
    },
  };
}

/** Headers that belong to one connection (RFC 9110, section 7.6.1), and those that the sender sets anew. */
export const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "content-length",
  "upgrade",
  "te",
  "trailer",
  "proxy-connection",
  "expect",
]);

/** Headers that make moto take a JSON call as one in `scope`. moto checks no signature. */
export function motoHeaders(
  scope: Scope,
  service: string,
  target: string,
  version: "1.0" | "1.1",
): Record<string, string> {
  return {
    "content-type": `application/x-amz-json-${version}`,
    "x-amz-target": target,
    "x-moto-account-id": scope.account,
    authorization: `AWS4-HMAC-SHA256 Credential=KEYFERRYDOOR/20260101/${scope.region}/${service}/aws4_request, SignedHeaders=host, Signature=0`,
  };
}
