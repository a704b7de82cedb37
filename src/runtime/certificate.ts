import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { type Clock, sleep } from "./clock.ts";
import type { Log } from "./log.ts";
import { selfSigned } from "./self-signed.ts";

/** A certificate with its chain, and its private key, as PEM. */
export interface KeyPair {
  cert: string;
  key: string;
}

/** A source of certificates. `next` gives another pair when there is one, and undefined otherwise. Never rejects. */
export interface Certificates {
  readonly first: KeyPair;
  next(): Promise<KeyPair | undefined>;
}

/** Milliseconds between two looks for another certificate. */
const againMs = 10_000;
/** Milliseconds for which a self-signed certificate is valid, and before its end at which it is replaced. */
const validMs = 365 * 24 * 3_600_000;
const replacedBeforeMs = 30 * 24 * 3_600_000;
/** Milliseconds before now at which it begins to be valid: clocks differ. */
const validBeforeMs = 3_600_000;

/** Passes each further certificate to `use` until `signal` aborts. */
export async function followCertificates(
  certificates: Certificates,
  use: (pair: KeyPair) => void,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await sleep(clock, againMs, signal);
    if (signal.aborted) return;
    const pair = await certificates.next();
    if (pair && !signal.aborted) use(pair);
  }
}

/**
 * Certificates of a folder's files tls.crt and tls.key, as a Secret of the type kubernetes.io/tls is mounted. The files
 * are read again when they change. While they cannot be used, the last pair stays.
 *
 * @throws Error that names the file, if the first pair cannot be used
 */
export async function certificatesOf(folder: string, log: Log): Promise<Certificates> {
  const first = await readPair(folder);
  let last = first;
  let failure: string | undefined;
  return {
    first,
    async next() {
      try {
        const pair = await readPair(folder);
        failure = undefined;
        if (pair.cert === last.cert && pair.key === last.key) return undefined;
        last = pair;
        log.info({ folder }, "using another certificate for the metrics");
        return pair;
      } catch (error) {
        const { message } = error as Error;
        if (message !== failure) log.warn({ error: message }, "keeping the last certificate for the metrics");
        failure = message;
        return undefined;
      }
    },
  };
}

/** @throws Error whose message names a file and no content */
async function readPair(folder: string): Promise<KeyPair> {
  const read = async (name: string) => {
    const path = join(folder, name);
    try {
      return await readFile(path, "utf8");
    } catch (error) {
      throw new Error(`the certificate's file ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
    }
  };
  const cert = await read("tls.crt");
  const key = await read("tls.key");
  try {
    createSecureContext({ cert, key });
  } catch {
    throw new Error(`tls.crt and tls.key in ${folder} are not a certificate and its private key in PEM`);
  }
  return { cert, key };
}

/** Certificates that the process signs itself, and replaces before they end. Their keys never leave the process. */
export function selfSignedCertificates(names: readonly [string, ...string[]], clock: Pick<Clock, "now">): Certificates {
  let notAfter = 0;
  const make = (): KeyPair => {
    const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const now = clock.now();
    notAfter = now + validMs;
    const serial = randomBytes(16);
    serial[0] = (serial[0]! & 0x3f) | 0x40;
    const times = { notBefore: new Date(now - validBeforeMs), notAfter: new Date(notAfter) };
    const cert = selfSigned({ names, ...times, serial, keys });
    return { cert, key: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
  };
  const first = make();
  return { first, next: async () => (clock.now() > notAfter - replacedBeforeMs ? make() : undefined) };
}
