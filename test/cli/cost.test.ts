import { mkdtemp, readFile, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { meteredCosts, samplesIn } from "../../src/cost/metrics.ts";
import { priceOf, prices } from "../../src/cost/prices.ts";
import { type Cost, total } from "../../src/cost/table.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { keyferry } from "./run.ts";

const month = 30 * 86_400;
const apiVersion = "keyferry.io/v1alpha1";
const arn = "arn:aws:kms:eu-west-1:123456789012:key/one";

const connection = (more: object = {}) => ({
  ...{ apiVersion, kind: "ClusterAWSConnection", metadata: { name: "default" } },
  spec: {
    region: "eu-west-1",
    allow: { namespaces: { names: ["shop"] }, parameters: ["/*", "/aws/reference/*"], keyIds: ["*"] },
    ...more,
  },
});

const synced = (name: string, spec: object) => ({
  ...{ apiVersion, kind: "SyncedSecret", metadata: { name, namespace: "shop" }, spec },
});

const parameters = (...names: string[]) => ({
  data: names.map((name, at) => ({ key: `K${at}`, parameter: { name: `/shop/${name}` } })),
});

interface Printed {
  costs: { what: string; count: number | null; dollars: number | null; once: boolean }[];
  dollars: number;
}

async function cost(objects: object[], ...args: string[]): Promise<Printed> {
  const input = objects.map((object) => stringify(object)).join("---\n");
  const { code, out, err } = await keyferry(["cost", "-o", "json", ...args], { input });
  expect([code, err]).toEqual([0, ""]);
  return JSON.parse(out) as Printed;
}

const counts = ({ costs }: Printed) => Object.fromEntries(costs.map(({ what, count }) => [what, count]));
const polls = "ssm:GetParameters, polls without decryption";
const asked = "parameters asked for by these polls";
const decrypts = "kms:Decrypt of SecureStrings, after changes";

describe("from manifests", () => {
  it("a shared parameter is polled once, by the shorter interval, ten per call", async () => {
    const objects = [
      connection(),
      synced("a", parameters("shared", ...[..."bcdefghij"])),
      synced("b", { ...parameters("shared"), refresh: { pollInterval: "10m" } }),
    ];
    const found = counts(await cost(objects, "--changes-per-day", "0"));
    expect(found).toEqual({
      [polls]: month / 300,
      [asked]: (10 * month) / 300,
      "ssm:DescribeParameters, expiries": month / 3_600,
      "first sync: kms:Decrypt of SecureStrings": 10,
    });
  });

  it("announced changes make polls ten times rarer, at the cost of a constantly polled queue", async () => {
    const events = { queueUrl: "https://sqs.eu-west-1.amazonaws.com/123456789012/keyferry" };
    const found = counts(await cost([connection({ events }), synced("a", parameters("one"))]));
    expect(found).toMatchObject({
      [asked]: month / 3_000,
      "sqs:ReceiveMessage": month / 20,
      "sqs:DeleteMessage, of changes": 30,
    });
  });

  it("a change rereads a whole Secret, for all that share the parameter", async () => {
    const objects = [connection(), synced("a", parameters("shared", "x")), synced("b", parameters("shared", "y"))];
    const found = counts(await cost(objects, "--changes-per-day", "3"));
    // The shared parameter causes three reads, each of the others two.
    expect(found[decrypts]).toBe((90 * (3 + 2 + 2)) / 3);
  });

  it("pinned versions and Once never change, and Once is never polled", async () => {
    const pinned = { data: [{ key: "A", parameter: { name: "/shop/a", version: 1 } }] };
    const once = { ...parameters("b"), refresh: { policy: "Once" } };
    const found = counts(await cost([connection(), synced("a", pinned), synced("b", once)]));
    expect(found[decrypts]).toBeUndefined();
    expect(found[asked]).toBe(month / 300);
  });

  it("polls never use over a quarter of the quota", async () => {
    const many = Array.from({ length: 100 }, (_, of) =>
      synced(`s${of}`, {
        ...parameters(...Array.from({ length: 20 }, (_, at) => `p${of}-${at}`)),
        refresh: { pollInterval: "10s" },
      }),
    );
    const limits = { ssmRequestsPerSecond: 4 };
    const found = counts(await cost([connection({ pollInterval: "10s", limits }), ...many]));
    expect(found[polls]).toBe(4 * 0.25 * month);
  });

  it("blobs cost a request per opening, larger RSA keys five times as much, and their keys a dollar", async () => {
    const rsa = {
      algorithm: "RSAES_OAEP_SHA_256",
      keyId: `${arn}-rsa`,
      ciphertext: Buffer.alloc(512).toString("base64"),
    };
    const small = { ...rsa, ciphertext: Buffer.alloc(256).toString("base64") };
    const data = [
      { key: "A", kms: { ciphertext: "AQICAA==", keyId: arn } },
      { key: "B", kms: rsa },
      { key: "C", kms: small },
      ...parameters("a").data,
    ];
    const found = await cost([connection(), synced("a", { data })], "--changes-per-day", "10000");
    expect(counts(found)).toMatchObject({
      "kms:Decrypt of blobs and messages, after changes": 600_000,
      "kms:Decrypt of blobs of larger RSA keys, after changes": 300_000,
      "kms:DescribeKey, the health of keys": 2 * 720,
      "KMS keys kept, of blobs and messages": 2,
    });
    const dollars = (what: string) => found.costs.find((one) => one.what.startsWith(what))!.dollars;
    expect(dollars("kms:Decrypt of blobs of larger")).toBe(4.5);
    expect(dollars("KMS keys kept")).toBe(2);
  });

  it("standard parameters are free; advanced ones and higher throughput are not, also at the user's price", async () => {
    const objects = [connection({ pollInterval: "10s" }), synced("a", parameters(...[..."abcdefghij"]))];
    const paid = async (...args: string[]) => {
      const { costs } = await cost(objects, "--changes-per-day", "0", ...args);
      return costs.find(({ what }) => what === asked)!.dollars;
    };
    const all = (month / 10) * 10 * priceOf("interactions");
    expect(await paid()).toBe(0);
    expect(await paid("--higher-throughput")).toBeCloseTo(all, 2);
    expect(await paid("--advanced", "5")).toBeCloseTo(all / 2, 2);
    expect(await paid("--higher-throughput", "--price", "interactions=0.1")).toBeCloseTo(2 * all, 2);
  });

  it("a secret of Secrets Manager is polled every ten minutes, and charged there", async () => {
    const spec = { data: [{ key: "A", parameter: { name: "/aws/reference/secretsmanager/db" } }] };
    expect(counts(await cost([connection(), synced("a", spec)]))).toMatchObject({
      "secretsmanager:GetSecretValue": month / 600 + 30,
    });
  });

  it("prints a table, and what it could not include", async () => {
    const objects = [connection(), synced("a", parameters("one")), synced("b", { data: [{ key: "A", parmeter: {} }] })];
    const { code, out, err } = await keyferry(["cost"], {
      input: objects.map((object) => stringify(object)).join("---\n"),
    });
    expect(code).toBe(1);
    expect(out.split("\n")[0]).toMatch(/^ +a month +dollars$/);
    expect(out).toMatch(/^in all, a month +\$0\.00$/m);
    expect(err.trim().split("\n")).toHaveLength(1);
    expect(err).toContain("SyncedSecret shop/b: spec.data[0].parmeter is an unknown field");
  });

  it.each([
    ["an unknown price", ["--price", "gold=1"], "Use NAME=DOLLARS"],
    ["an invalid number", ["--members", "many"], "Use a whole number"],
    ["an unknown output format", ["-o", "xml"], "--output must be table or json"],
    ["metrics and manifests", ["--metrics", "x", "y.yaml"], "--metrics replaces manifests: give one or the other"],
  ])("%s gives one line and exit code 2", async (_, args, said) => {
    const { code, out, err } = await keyferry(["cost", ...args]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(said);
    expect(err.trim().split("\n")).toHaveLength(1);
  });
});

describe("from metrics", () => {
  const start = 1_700_000_000;

  /** The metrics of an operator with these counts after a tenth of a month. */
  async function page(): Promise<string> {
    const metrics = new Metrics({ withProcess: true });
    metrics.buildInfo.set({ version: "1.0.0" }, 1);
    metrics.awsRequests.inc({ service: "ssm", operation: "GetParameters", result: "ok" }, 900);
    metrics.awsRequests.inc({ service: "ssm", operation: "GetParameters", result: "throttled" }, 100);
    metrics.awsRequests.inc({ service: "kms", operation: "Decrypt", result: "ok" }, 10_000);
    metrics.awsRequests.inc({ service: "sqs", operation: "DeleteMessageBatch", result: "ok" }, 5);
    for (let call = 0; call < 1_000; call++) metrics.parametersPerCall.observe(10);
    metrics.secureStrings.inc(20_000);
    const text = await metrics.registry.metrics();
    return text.replace(/^process_start_time_seconds .*$/m, `process_start_time_seconds ${start}`);
  }
  const at = (start + month / 10) * 1_000;
  const dollarsOf = (costs: readonly Cost[], what: string) => costs.find((one) => one.what === what)?.dollars;

  it("extrapolates the rate since the start of the process to a month", async () => {
    const { costs, seconds } = meteredCosts(samplesIn(await page()), at, {
      higherThroughput: false,
      prices: new Map(),
    });
    expect(seconds).toBe(month / 10);
    expect(Object.fromEntries(costs.map(({ what, count }) => [what, Math.round(count!)]))).toEqual({
      "ssm:GetParameters": 10_000,
      "parameters asked for by these": 100_000,
      "kms:Decrypt of SecureStrings": 200_000,
      "kms:Decrypt of blobs and messages": 100_000,
      "sqs:DeleteMessage": 50,
    });
    expect(dollarsOf(costs, "kms:Decrypt of SecureStrings")).toBeCloseTo(0.6);
    expect(dollarsOf(costs, "parameters asked for by these")).toBe(0);
    const higher = meteredCosts(samplesIn(await page()), at, { higherThroughput: true, prices: new Map() });
    expect(dollarsOf(higher.costs, "parameters asked for by these")).toBeCloseTo(0.5);
  });

  it("reports a count that a release lacks as unknown, not zero", async () => {
    const old = (await page()).replace(/^keyferry_secure_strings_decrypted_total .*$/m, "");
    const { costs } = meteredCosts(samplesIn(old), at, { higherThroughput: false, prices: new Map() });
    expect(costs).toContainEqual({ what: "kms:Decrypt of SecureStrings", count: undefined, dollars: undefined });
    expect(total(costs)).toBeCloseTo(0.3);
  });

  it("reads a file, as of its modification time, or a URL", async () => {
    const folder = await mkdtemp(join(tmpdir(), "keyferry-cost-"));
    removeAtEnd(folder);
    const file = join(folder, "metrics.txt");
    const text = await page();
    await writeFile(file, text);
    await utimes(file, at / 1_000, at / 1_000);
    const fromFile = await keyferry(["cost", "--metrics", file]);
    expect(fromFile).toMatchObject({
      code: 0,
      err: "",
      out: expect.stringMatching(/^kms:Decrypt of SecureStrings +200,000 +\$0\.60$/m),
    });
    const young = text.replace(
      /^process_start_time_seconds .*$/m,
      `process_start_time_seconds ${Date.now() / 1_000 - 7_200}`,
    );
    const server = createServer((_, response) => response.end(young)).listen(0, "127.0.0.1");
    afterAll(() => server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`;
    const fromUrl = await keyferry(["cost", "--metrics", url, "-o", "json"]);
    expect(fromUrl).toMatchObject({ code: 0, err: expect.stringContaining("has run for 2.0 h") });
    expect((JSON.parse(fromUrl.out) as Printed).costs).toHaveLength(5);
  });

  it.each([
    ["other metrics", "up 1\nprocess_start_time_seconds 1\n", "not metrics of keyferry controller"],
    [
      "metrics from a clock that is ahead",
      `keyferry_build_info 1\nprocess_start_time_seconds ${at}\n`,
      "older than the process",
    ],
    [
      "an operator started this second",
      `keyferry_build_info 1\nprocess_start_time_seconds ${at / 1_000}\n`,
      "only just started",
    ],
  ])("%s are refused", (_, text, said) => {
    expect(() => meteredCosts(samplesIn(text), at, { higherThroughput: false, prices: new Map() })).toThrow(said);
  });

  it("every line of any text is parsed or skipped", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void samplesIn(text)));
    const name = fc.stringMatching(/^[a-z_][a-z0-9_]{0,10}$/);
    const value = fc.stringMatching(/^[^"\\{}\n]{0,10}$/);
    fc.assert(
      fc.property(name, fc.dictionary(name, value), fc.integer(), (metric, labels, count) => {
        const inside = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
        const [sample] = samplesIn(`# HELP ${metric} x\n${metric}{${inside.join(",")}} ${count}\n`);
        expect(sample).toEqual({ name: metric, labels: new Map(Object.entries(labels)), value: count });
      }),
    );
  });
});

it("docs/costs.md has every price of the table", async () => {
  const text = await readFile("docs/costs.md", "utf8");
  for (const [name, { dollars, per, page }] of Object.entries(prices)) {
    expect(text).toContain(`| \`${name}\` | $${dollars} | ${per.toLocaleString("en-US")} |`);
    expect(text).toContain(page);
  }
});
