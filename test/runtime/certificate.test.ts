import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { connect } from "node:tls";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { guarded, type Verdict } from "../../src/metrics/guard.ts";
import { serve } from "../../src/metrics/http.ts";
import {
  certificatesOf,
  followCertificates,
  type KeyPair,
  selfSignedCertificates,
} from "../../src/runtime/certificate.ts";
import { silent } from "../../src/runtime/log.ts";
import { selfSigned } from "../../src/runtime/self-signed.ts";
import { FakeClock } from "../support/clock.ts";

const day = 24 * 3_600_000;
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

const pairOf = (name: string, clock = new FakeClock()): KeyPair => selfSignedCertificates([name], clock).first;

describe("a self-signed certificate", () => {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const content = {
    names: ["keyferry-0", "localhost"] as const,
    notBefore: new Date("2026-01-02T03:04:05Z"),
    notAfter: new Date("2027-01-02T03:04:05Z"),
    serial: Buffer.from("45aa01", "hex"),
    keys,
  };

  test("says what it was made from, and is signed by its own key", () => {
    const certificate = new X509Certificate(selfSigned(content));
    expect(certificate.subject).toBe("CN=keyferry-0");
    expect(certificate.issuer).toBe("CN=keyferry-0");
    expect(certificate.subjectAltName).toBe("DNS:keyferry-0, DNS:localhost");
    expect(certificate.serialNumber).toBe("45AA01");
    expect(certificate.validFromDate).toEqual(content.notBefore);
    expect(certificate.validToDate).toEqual(content.notAfter);
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
    expect(certificate.verify(keys.publicKey)).toBe(true);
    expect(certificate.checkPrivateKey(keys.privateKey)).toBe(true);
    expect(certificate.checkHost("localhost")).toBe("localhost");
  });

  test("can end after 2049, and have a name of 253 characters", () => {
    const name = Array(5).fill("a".repeat(50)).join(".").slice(0, 253);
    const notAfter = new Date("2051-12-31T23:59:59Z");
    const certificate = new X509Certificate(selfSigned({ ...content, names: [name], notAfter }));
    expect(certificate.validToDate).toEqual(notAfter);
    expect(certificate.subjectAltName).toBe(`DNS:${name}`);
  });

  test("is replaced a month before it ends", async () => {
    const clock = new FakeClock();
    const certificates = selfSignedCertificates(["a"], clock);
    clock.setAhead(335 * day);
    expect(await certificates.next()).toBeUndefined();
    clock.setAhead(day);
    const pair = await certificates.next();
    expect(new X509Certificate(pair!.cert).validToDate.getTime()).toBeGreaterThan(clock.now() + 364 * day);
    expect(pair!.key).not.toBe(certificates.first.key);
    expect(await certificates.next()).toBeUndefined();
  });
});

/** A folder as the kubelet mounts a Secret: links into a folder that is replaced as a whole. */
async function mountedSecret(pair: KeyPair) {
  const folder = await mkdtemp(join(tmpdir(), "keyferry-tls-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  let round = 0;
  const put = async (files: Record<string, string>) => {
    const data = join(folder, `..${round++}`);
    await mkdir(data);
    for (const [name, content] of Object.entries(files)) await writeFile(join(data, name), content);
    await symlink(data, join(folder, "..tmp"));
    await rename(join(folder, "..tmp"), join(folder, "..data"));
  };
  await put({ "tls.crt": pair.cert, "tls.key": pair.key });
  for (const name of ["tls.crt", "tls.key"]) await symlink(join("..data", name), join(folder, name));
  return { folder, put: (next: KeyPair) => put({ "tls.crt": next.cert, "tls.key": next.key }), putFiles: put };
}

describe("the certificate of a folder", () => {
  test("is read again when it has changed", async () => {
    const [first, second] = [pairOf("a"), pairOf("b")];
    const { folder, put } = await mountedSecret(first);
    const certificates = await certificatesOf(folder, silent);
    expect(certificates.first).toEqual(first);
    expect(await certificates.next()).toBeUndefined();
    await put(second);
    expect(await certificates.next()).toEqual(second);
    expect(await certificates.next()).toBeUndefined();
  });

  test("stays while the files cannot be used, and the log names the files and no content", async () => {
    const [first, second] = [pairOf("a"), pairOf("b")];
    const { folder, put, putFiles } = await mountedSecret(first);
    const lines: string[] = [];
    const log = { ...silent, warn: (fields: object) => void lines.push(JSON.stringify(fields)) };
    const certificates = await certificatesOf(folder, log);
    await putFiles({ "tls.crt": second.cert, "tls.key": first.key });
    expect(await certificates.next()).toBeUndefined();
    await putFiles({ "tls.crt": "rubbish", "tls.key": second.key });
    expect(await certificates.next()).toBeUndefined();
    await putFiles({ "tls.crt": second.cert });
    expect(await certificates.next()).toBeUndefined();
    expect(lines).toHaveLength(2);
    expect(lines[0]).toContain("tls.crt and tls.key in");
    expect(lines[1]).toContain("tls.key cannot be read: ENOENT");
    expect(lines.join("")).not.toMatch(/BEGIN|rubbish/);
    await put(second);
    expect(await certificates.next()).toEqual(second);
  });

  test("is an error at the start if it cannot be used", async () => {
    await expect(certificatesOf("/nonexistent", silent)).rejects.toThrow(
      "the certificate's file /nonexistent/tls.crt cannot be read: ENOENT",
    );
    const { folder } = await mountedSecret({ cert: pairOf("a").cert, key: pairOf("b").key });
    await expect(certificatesOf(folder, silent)).rejects.toThrow("are not a certificate and its private key in PEM");
  });
});

interface Got {
  status: number | undefined;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** A GET over TLS without a check of the certificate. */
function get(port: number, headers: Record<string, string> = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const options = { port, host: "127.0.0.1", path: "/metrics", headers, rejectUnauthorized: false, agent: false };
    request(options, async (response) => {
      resolve({ status: response.statusCode, headers: response.headers, body: await text(response) });
    })
      .once("error", reject)
      .end();
  });
}

/** The name in the certificate that a server shows. */
function nameAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    }).once("error", reject);
  });
}

async function serving(verdict: Verdict, pair = pairOf("a")) {
  const bearers: { token: string; address: string }[] = [];
  const check = async (bearer: { token: string; address: string }) => {
    bearers.push(bearer);
    return verdict;
  };
  const handler = guarded(check, () => ({ status: 200, body: "page" }));
  const made = await serve({ host: "127.0.0.1", port: 0 }, new Map([["/metrics", handler]]), pair);
  ends.push(() => made.server.close().closeAllConnections());
  return { ...made, bearers };
}

describe("the TLS server of the metrics", () => {
  test("shows another certificate to new connections", async () => {
    const { port, replaceCertificate } = await serving({ kind: "allowed" });
    expect(await nameAt(port)).toBe("a");
    replaceCertificate(pairOf("b"));
    expect(await nameAt(port)).toBe("b");
  });

  test("follows its certificates every ten seconds until it ends", async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const pairs = [undefined, pairOf("b"), undefined];
    const used: KeyPair[] = [];
    const certificates = { first: pairOf("a"), next: async () => pairs.shift() };
    const following = followCertificates(certificates, (pair) => used.push(pair), clock, stop.signal);
    await clock.advance(10_000);
    expect(used).toHaveLength(0);
    await clock.advance(10_000);
    expect(used).toHaveLength(1);
    stop.abort();
    await following;
    expect(clock.pending).toBe(0);
  });

  test("passes the bearer token and the address of the connection to the check", async () => {
    const { port, bearers } = await serving({ kind: "allowed" });
    expect(await get(port, { authorization: "bearer abc.def" })).toMatchObject({ status: 200, body: "page" });
    expect(bearers).toEqual([{ token: "abc.def", address: "127.0.0.1" }]);
  });

  test.each([{}, { authorization: "Basic YTpi" }, { authorization: "Bearer" }, { authorization: "Bearer a b" }])(
    "answers 401 without a check for %j",
    async (headers) => {
      const { port, bearers } = await serving({ kind: "allowed" });
      const answer = await get(port, headers);
      expect(answer).toMatchObject({ status: 401, body: "unauthorized\n" });
      expect(answer.headers["www-authenticate"]).toBe("Bearer");
      expect(bearers).toEqual([]);
    },
  );

  const refusals: [Verdict, number, string][] = [
    [{ kind: "unauthenticated" }, 401, "unauthorized\n"],
    [{ kind: "forbidden", user: "a" }, 403, "the user a may not get /metrics\n"],
    [{ kind: "limited", retryAfterMs: 4_200 }, 429, "too many unknown tokens\n"],
    [{ kind: "unknown" }, 503, "the API server does not answer\n"],
  ];
  test.each(refusals)("refuses a client that is %j with %d", async (verdict, status, body) => {
    const { port } = await serving(verdict);
    const answer = await get(port, { authorization: "Bearer abc" });
    expect(answer).toMatchObject({ status, body });
    if (status === 429) expect(answer.headers["retry-after"]).toBe("5");
  });

  test("answers no plain HTTP, and survives bytes that are not TLS", async () => {
    const { port } = await serving({ kind: "allowed" });
    await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow();
    expect((await get(port, { authorization: "Bearer abc" })).status).toBe(200);
  });
});
