import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { keyferry } from "../cli/run.ts";
import { until } from "../support/operator.ts";
import { makeCa, startProxy, startTlsFront } from "../support/proxy.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { keysOf, openStage, synced } from "./stage.ts";

const stage = await openStage();
const { cluster, aws } = stage;
const folder = await mkdtemp(join(tmpdir(), "keyferry-proxy-"));
removeAtEnd(folder);
const ca = makeCa(folder);
/** The AWS host names with certificates of the company's CA, as behind a TLS-inspecting proxy. */
const front = await startTlsFront(ca.certificate(["*.eu-west-1.amazonaws.com"]), aws.url);
const awsPort = (target: string) => (target.endsWith(".eu-west-1.amazonaws.com:443") ? front.port : undefined);
const proxy = await startProxy(awsPort);
const guarded = await startProxy(awsPort, "me:pass word");
afterAll(async () => {
  for (const one of [front, proxy, guarded]) one.close();
  await stage.close();
});

const keys = { AWS_ACCESS_KEY_ID: "AKIAKEYFERRYTEST", AWS_SECRET_ACCESS_KEY: "any" };
const trusted = { ...keys, NODE_EXTRA_CA_CERTS: ca.file };

describe("a command reaches AWS through the environment's proxy", () => {
  const encrypt = async (env: Record<string, string>) => {
    const key = await aws.createKey();
    return keyferry(["encrypt", "--key", key, "--data-key", "K"], { input: "value", env });
  };

  it.each<[string, () => Record<string, string>]>([
    ["HTTPS_PROXY", () => ({ HTTPS_PROXY: proxy.url })],
    ["https_proxy without a scheme", () => ({ https_proxy: `127.0.0.1:${proxy.port}` })],
    ["NO_PROXY for others", () => ({ HTTPS_PROXY: proxy.url, NO_PROXY: "10.0.0.0/8,.svc,s3.amazonaws.com" })],
  ])("%s", async (_, env) => {
    proxy.asked.length = 0;
    const { code, out, err } = await encrypt({ ...trusted, ...env() });
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(parse(out)[0].kms.ciphertext).toMatch(/^[A-Za-z0-9+/]+=*$/);
    expect(proxy.asked).toEqual(["kms.eu-west-1.amazonaws.com:443"]);
  });

  it("also for the exchange of a web identity token", async () => {
    const token = join(folder, "token");
    await writeFile(token, "eyJhbGciOiJub25lIn0.e30.");
    proxy.asked.length = 0;
    const { AWS_ACCESS_KEY_ID: _, AWS_SECRET_ACCESS_KEY: __, ...env } = trusted;
    const role = { AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/app", AWS_WEB_IDENTITY_TOKEN_FILE: token };
    await encrypt({ ...env, ...role, HTTPS_PROXY: proxy.url });
    expect(proxy.asked[0]).toBe("sts.eu-west-1.amazonaws.com:443");
  });

  it("with the user and password of its URL", async () => {
    const { code, err } = await encrypt({ ...trusted, HTTPS_PROXY: `http://me:pass%20word@127.0.0.1:${guarded.port}` });
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });

  it("an emulator's plain endpoint is reached through HTTP_PROXY, and localhost never through a proxy", async () => {
    const plain = await startProxy(() => Number(new URL(aws.url).port));
    const key = await aws.createKey();
    const args = ["encrypt", "--key", key, "--data-key", "K", "--allow-insecure-endpoints"];
    for (const [endpoint, asked] of [["http://aws.test:80", ["http://aws.test/"]] as const, [aws.url, []] as const]) {
      plain.asked.length = 0;
      const env = { ...keys, AWS_ENDPOINT_URL: endpoint, HTTP_PROXY: plain.url, HTTPS_PROXY: plain.url };
      expect(await keyferry(args, { input: "value", env })).toMatchObject({ code: 0, err: "" });
      expect(plain.asked).toEqual(asked);
    }
    plain.close();
  });

  it.each<[string, () => Record<string, string>, string]>([
    ["CA is not known", () => ({ ...keys, HTTPS_PROXY: proxy.url }), "give the proxy's CA by NODE_EXTRA_CA_CERTS"],
    [
      "password is missing",
      () => ({ ...trusted, HTTPS_PROXY: guarded.url }),
      "it asks for a user and a password: put them into HTTPS_PROXY",
    ],
    [
      "port is closed",
      () => ({ ...trusted, https_proxy: "http://127.0.0.1:1" }),
      "it refused the connection: check https_proxy",
    ],
    [
      "kind is another",
      () => ({ ...trusted, HTTPS_PROXY: "socks5://me:hunter2@x" }),
      "HTTPS_PROXY names no proxy that",
    ],
  ])(
    "a proxy whose %s is one line that says so",
    async (_, env, says) => {
      const { code, out, err } = await encrypt(env());
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(err).toContain(says);
      expect(err.trim().split("\n")).toHaveLength(1);
      expect(err).not.toContain("hunter2");
    },
    30_000,
  );
});

describe("the operator reaches AWS and the API server through the environment's proxy", () => {
  const { port } = new URL(cluster.url);
  const api = `api.test:${port}`;

  it.each<[string, object, () => Promise<{ port: number; close(): void }>]>([
    [
      "that tunnels TLS",
      { "tls-server-name": "kubernetes.default.svc" },
      async () => ({ port: Number(port), close() {} }),
    ],
    [
      "that inspects TLS, with NODE_EXTRA_CA_CERTS in addition to the kubeconfig's CA",
      {},
      () => startTlsFront(ca.certificate(["api.test"]), cluster.url),
    ],
  ])("%s", async (name, clusterEntries, startApi) => {
    const server = await startApi();
    const both = await startProxy((target) => (target === api ? server.port : awsPort(target)));
    const config = JSON.parse(await readFile(cluster.kubeconfigPath, "utf8"));
    Object.assign(config.clusters[0].cluster, { server: `https://${api}`, ...clusterEntries });
    const kubeconfig = join(folder, "kubeconfig.json");
    await writeFile(kubeconfig, JSON.stringify(config));
    const namespace = await cluster.freshNamespace("proxied");
    await stage.connect({ endpoints: undefined });
    await aws.putParameter({ name: "/proxied", value: name });
    const resource = synced(namespace, "proxied", keysOf(["/proxied"]));
    await cluster.run(["apply", "-f", "-"], JSON.stringify(resource));
    const operator = await stage.operator([], {
      kubeconfig,
      env: { NODE_EXTRA_CA_CERTS: ca.file, HTTPS_PROXY: both.url },
    });
    const get = ["get", "secret", "proxied", "-n", namespace, "-o", "jsonpath={.data.K0}"];
    const value = () => cluster.run(get).catch(() => "");
    await until(async () => (await value()) !== "");
    expect(Buffer.from(await value(), "base64").toString()).toBe(name);
    expect([...new Set(both.asked)].sort()).toEqual([
      api,
      "ssm.eu-west-1.amazonaws.com:443",
      "sts.eu-west-1.amazonaws.com:443",
    ]);
    await operator.stop();
    both.close();
    server.close();
  });

  it("that the kubeconfig's proxy-url names, for the API server alone", async () => {
    const own = await startProxy((target) => (target === api ? Number(port) : undefined));
    const config = JSON.parse(await readFile(cluster.kubeconfigPath, "utf8"));
    const entries = { server: `https://${api}`, "tls-server-name": "kubernetes.default.svc", "proxy-url": own.url };
    Object.assign(config.clusters[0].cluster, entries);
    const kubeconfig = join(folder, "kubeconfig-proxy.json");
    await writeFile(kubeconfig, JSON.stringify(config));
    // Ready: its watch caches are filled.
    const operator = await stage.operator([], { kubeconfig, env: { ...trusted, HTTPS_PROXY: proxy.url } });
    expect([...new Set(own.asked)]).toEqual([api]);
    await operator.stop();
    own.close();
  });
});
