import type { X509Certificate } from "node:crypto";
import { mkdtemp, writeFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { selfSignedCertificates } from "../../src/runtime/certificate.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { AuditReader } from "../cluster/audit.ts";
import { startCluster } from "../cluster/cluster.ts";
import { type RunningOperator, startOperator, until } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";

const cluster = await startCluster({ audit: true, crds: "crds" });
const folder = await mkdtemp(join(tmpdir(), "keyferry-metrics-"));
removeAtEnd(folder);
const audit = await AuditReader.from(cluster.auditLogPath);
const agent = new Agent({ keepAlive: true, maxSockets: 32 });
let operator: RunningOperator;
let token: string;

/** Writes a certificate of this name, as a Secret's files. */
async function certify(name: string): Promise<void> {
  const { cert, key } = selfSignedCertificates([name], systemClock).first;
  await writeFile(join(folder, "tls.crt"), cert);
  await writeFile(join(folder, "tls.key"), key);
}

beforeAll(async () => {
  await certify("first");
  for (const account of ["reader", "stranger"]) await cluster.run(["create", "serviceaccount", account]);
  await cluster.run(["create", "clusterrole", "metrics", "--verb=get", "--non-resource-url=/metrics"]);
  const binding = ["create", "clusterrolebinding", "metrics", "--clusterrole=metrics"];
  await cluster.run([...binding, "--serviceaccount=default:reader"]);
  token = await cluster.tokenFor("default", "reader");
  const args = ["--metrics-secure", "--metrics-cert-path", folder, "--log-level", "debug"];
  operator = await startOperator({ kubeconfig: cluster.kubeconfigPath, folder, args });
});
afterAll(async () => {
  agent.destroy();
  await operator?.stop();
  await cluster.stop();
});

interface Page {
  status: number | undefined;
  body: string;
  certificate: X509Certificate | undefined;
}

function scrape(bearer?: string, fresh = false): Promise<Page> {
  const headers: Record<string, string> = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  const url = operator.metricsUrl.replace("http:", "https:");
  return new Promise((resolve, reject) => {
    request(url, { headers, rejectUnauthorized: false, agent: fresh ? false : agent }, async (response) => {
      const certificate = (response.socket as TLSSocket).getPeerX509Certificate();
      resolve({ status: response.statusCode, body: await text(response), certificate });
    })
      .once("error", reject)
      .end();
  });
}

test("a client whose user may get /metrics reads them by TLS, and others are told why not", async () => {
  const page = await scrape(token);
  expect(page.status).toBe(200);
  expect(page.body).toContain("keyferry_build_info{");
  expect(page.certificate?.subject).toBe("CN=first");
  const stranger = await scrape(await cluster.tokenFor("default", "stranger"));
  expect(stranger.status).toBe(403);
  expect(stranger.body).toBe("the user system:serviceaccount:default:stranger may not get /metrics\n");
  expect((await scrape()).status).toBe(401);
  expect((await scrape(`${token}x`)).status).toBe(401);
  await expect(fetch(operator.metricsUrl)).rejects.toThrow();
});

test("five hundred wrong tokens cost the API server at most 15 requests, and do not keep out the allowed client", async () => {
  expect((await scrape(token)).status).toBe(200);
  await audit.take();
  const begun = performance.now();
  const flood = Array.from({ length: 500 }, (_, index) => scrape(`wrong.token.${index}`));
  const allowed = await Promise.all(Array.from({ length: 5 }, () => scrape(token)));
  const statuses = (await Promise.all(flood)).map(({ status }) => status);
  const seconds = (performance.now() - begun) / 1_000;
  expect(allowed.map(({ status }) => status)).toEqual(Array(5).fill(200));
  expect(new Set(statuses)).toEqual(new Set([401, 429]));
  const reviews = (await audit.take()).filter(({ resource }) => resource === "tokenreviews");
  expect(reviews.length).toBeLessThanOrEqual(10 + Math.ceil(seconds / 5));
  expect(reviews.length).toBeLessThanOrEqual(15);
});

test("no token and no part of one is in the log", async () => {
  const log = await operator.log();
  expect(log).toContain("a client of the metrics is refused");
  for (const part of [token, token.split(".")[2]!, "wrong.token", "eyJ"]) expect(log).not.toContain(part);
});

test("a renewed certificate is shown without a restart", async () => {
  await certify("second");
  const isSecond = async () => (await scrape(token, true)).certificate?.subject === "CN=second";
  await until(isSecond, 30_000, "the second certificate");
  expect(await operator.log()).toContain("using another certificate for the metrics");
});
