import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { motoPython } from "./venv.ts";

const script = fileURLToPath(new URL("encryption_sdk.py", import.meta.url));

/** What the Python SDK is to encrypt. */
export interface ToEncrypt {
  plain: string | Uint8Array;
  /** ARNs of keys; the first makes the data key. */
  keys: readonly string[];
  context?: Record<string, string>;
  /** The algorithm suite's id; the SDK's own choice when left out. */
  suite?: number;
  /** 0 for a message without frames. */
  frameLength?: number;
  /** Raw keys besides, or alone where there are no others. */
  raw?: readonly ("aes" | "rsa")[];
  /** Whether the first of them makes the data key. */
  rawFirst?: boolean;
  /** False for a suite without key commitment. */
  committed?: boolean;
}

/**
 * Messages as the AWS Encryption SDK for Python makes them.
 *
 * @param endpoint of the KMS that it asks
 * @returns in base64, in the order of the requests
 */
export async function pythonEncrypt(endpoint: string, requests: readonly ToEncrypt[]): Promise<string[]> {
  const asked = requests.map((request) => ({ ...request, plain: Buffer.from(request.plain).toString("base64") }));
  return (await runPython<{ message: string }>(endpoint, asked)).map(({ message }) => message);
}

/** What the Python SDK reads from a message, and the encryption context that it proves. */
export async function pythonDecrypt(
  endpoint: string,
  ciphertext: string,
  keys: readonly string[],
): Promise<{ plain: string; context: Record<string, string> }> {
  const [read] = await runPython<{ plain: string; context: Record<string, string> }>(endpoint, [{ ciphertext, keys }]);
  return { plain: Buffer.from(read!.plain, "base64").toString(), context: read!.context };
}

async function runPython<T>(endpoint: string, requests: readonly object[]): Promise<T[]> {
  const python = await motoPython();
  const env = {
    PATH: process.env.PATH,
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: "AKIAKEYFERRYTEST",
    AWS_SECRET_ACCESS_KEY: "any",
    AWS_DEFAULT_REGION: "eu-west-1",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    AWS_MAX_ATTEMPTS: "1",
  };
  const child = spawn(python, [script], { env, stdio: ["pipe", "pipe", "pipe"] });
  const [out, err]: Buffer[][] = [[], []];
  child.stdout.on("data", (piece: Buffer) => out!.push(piece));
  child.stderr.on("data", (piece: Buffer) => err!.push(piece));
  child.stdin.end(JSON.stringify(requests));
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  if (code !== 0) throw new Error(`the Python SDK failed: ${Buffer.concat(err!).toString().slice(-2_000)}`);
  return JSON.parse(Buffer.concat(out!).toString()) as T[];
}
