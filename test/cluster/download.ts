import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { chmod, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { EnvHttpProxyAgent, fetch } from "undici";
import { withProgress } from "./progress.ts";

/** How long to wait for a connection: where there is no network, building starts after this. */
const CONNECT_TIMEOUT_MS = 3_000;
/** How long a server may send nothing. */
const STALL_TIMEOUT_MS = 20_000;

/** What to download. */
export interface Wanted {
  /** `etcd`, and names of Kubernetes' programs. */
  names: string[];
  /** The versions, each with its v. */
  kubernetes: string;
  etcd: string;
}

/** Where a program is published. */
interface Published {
  name: string;
  url: string;
  /** A file of SHA-256 checksums: of this program alone, or with a name in each line. */
  checksums: string;
}

/**
 * Downloads the official binaries of a control plane into a folder: all at once, each compared with the SHA-256 that its
 * project publishes before it is used.
 *
 * @returns undefined once all are there; else why not: nothing is published for this machine, no network, a file that
 *   is not as published. The folder is then as it was.
 */
export async function download(wanted: Wanted, into: string): Promise<string | undefined> {
  const architecture = { x64: "amd64", arm64: "arm64" }[process.arch as string];
  // Kubernetes publishes no servers for other systems.
  if (process.platform !== "linux" || !architecture) return `none are published for ${process.platform}`;
  const transfer = new Transfer();
  try {
    const files = wanted.names.map((name) => publishedAs(name, wanted, architecture));
    // They are small, and tell whether there is a network.
    const sums = await Promise.all(files.map((file) => transfer.checksum(file)));
    const each = files.map((file, index) => transfer.program(file, sums[index]!, into));
    await withProgress(
      `Downloading ${wanted.names.join(", ")} ${wanted.kubernetes}`,
      () => transfer.progress(),
      () => Promise.all(each).finally(() => transfer.end(each)),
    );
    return undefined;
  } catch (error) {
    for (const name of wanted.names) await rm(join(into, name), { force: true });
    return reasonOf(error);
  } finally {
    await transfer.end([]);
  }
}

/** The projects' own servers, or mirrors with the same paths. */
function publishedAs(name: string, { kubernetes, etcd }: Wanted, architecture: string): Published {
  if (name === "etcd") {
    const base = process.env.KEYFERRY_ETCD_RELEASES || "https://github.com/etcd-io/etcd/releases/download";
    const url = `${base}/${etcd}/etcd-${etcd}-linux-${architecture}.tar.gz`;
    return { name, url, checksums: `${base}/${etcd}/SHA256SUMS` };
  }
  const base = process.env.KEYFERRY_KUBERNETES_RELEASES || "https://dl.k8s.io";
  const url = `${base}/${kubernetes}/bin/linux/${architecture}/${name}`;
  return { name, url, checksums: `${url}.sha256` };
}

/** The requests of one download, which end together. */
class Transfer {
  #abort = new AbortController();
  #dispatcher = new EnvHttpProxyAgent({
    connect: { timeout: CONNECT_TIMEOUT_MS },
    headersTimeout: STALL_TIMEOUT_MS,
    bodyTimeout: STALL_TIMEOUT_MS,
  });
  #bytes = 0;
  #expected = 0;

  /** The published SHA-256 of a file, in hexadecimal. */
  async checksum({ url, checksums }: Published): Promise<string> {
    const text = await (await this.#get(checksums)).text();
    const lines = text.trim().split("\n");
    const line = lines.length === 1 ? lines[0] : lines.find((one) => one.trim().endsWith(` ${basename(url)}`));
    const sum = /^[0-9a-f]{64}(?=\s|$)/i.exec(line ?? "")?.[0];
    if (!sum) throw new Error(`${checksums} has no SHA-256 of ${basename(url)}`);
    return sum.toLowerCase();
  }

  /** Writes one program into a folder, with its run bit, once its bytes are as published. */
  async program({ name, url }: Published, sum: string, into: string): Promise<void> {
    const file = join(into, `${name}.download`);
    try {
      const found = await this.#save(url, file);
      if (found !== sum) throw new Error(`${url} is not as published: its SHA-256 is ${found}, not ${sum}`);
      if (url.endsWith(".tar.gz")) {
        const member = `${basename(url, ".tar.gz")}/${name}`;
        await promisify(execFile)("tar", ["-xzf", file, "-C", into, "--strip-components=1", member]);
      } else {
        await rename(file, join(into, name));
      }
      await chmod(join(into, name), 0o755);
    } finally {
      await rm(file, { force: true });
    }
  }

  progress(): string {
    const megabytes = (bytes: number) => Math.round(bytes / 1e6);
    return `${megabytes(this.#bytes)} of ${megabytes(this.#expected)} MB`;
  }

  /** Stops the requests, and waits for what was made of them. */
  async end(pending: Promise<unknown>[]): Promise<void> {
    this.#abort.abort();
    await Promise.allSettled(pending);
    await this.#dispatcher.destroy();
  }

  async #get(url: string) {
    const response = await fetch(url, { dispatcher: this.#dispatcher, signal: this.#abort.signal });
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    return response;
  }

  /** Writes a response to a file, and returns the SHA-256 of its bytes. */
  async #save(url: string, file: string): Promise<string> {
    const response = await this.#get(url);
    this.#expected += Number(response.headers.get("content-length") ?? 0);
    const hash = createHash("sha256");
    const counted = async function* (this: Transfer, body: AsyncIterable<Uint8Array>) {
      for await (const chunk of body) {
        hash.update(chunk);
        this.#bytes += chunk.length;
        yield chunk;
      }
    };
    await pipeline(counted.call(this, response.body!), createWriteStream(file));
    return hash.digest("hex");
  }
}

/** undici tells what happened to a connection in the cause of its error. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message ? cause.message : message;
}
