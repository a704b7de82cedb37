import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { KubeConfig } from "@kubernetes/client-node";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { KubeClient } from "../../../src/kube/client/client.ts";
import { loadKubeConfig } from "../../../src/kube/client/config.ts";
import { PooledConnection } from "../../../src/kube/client/pooled-connection.ts";
import { namespaces, secrets, syncedSecrets } from "../../../src/kube/resource.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { silent } from "../../../src/runtime/log.ts";
import { noProxies, Proxies } from "../../../src/runtime/proxies.ts";
import { sharedCluster } from "../../cluster/shared.ts";
import { FakeClock, settle } from "../../support/clock.ts";
import { until } from "../../support/scripted-server.ts";

const cluster = await sharedCluster();
const folder = await mkdtemp(join(tmpdir(), "keyferry-connection-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
let files = 0;

function connectionOf(load: () => KubeConfig, proxies = noProxies) {
  const clock = new FakeClock();
  const warned: string[] = [];
  const log = { ...silent, warn: (_: object, message: string) => void warned.push(message) };
  const connection = new PooledConnection({ load, clock, log, proxies });
  onTestFinished(() => connection.close());
  const client = new KubeClient({
    connection,
    metrics: new Metrics(),
    clock: systemClock,
    log: silent,
    userAgent: "test",
  });
  return { connection, client, clock, warned };
}

/** A kubeconfig for the cluster, modified by `change`. */
async function kubeconfig(change: (config: Record<string, object[]>) => void = () => {}): Promise<string> {
  const config = JSON.parse(await readFile(cluster.kubeconfigPath, "utf8"));
  change(config);
  const path = join(folder, `${files++}.json`);
  await writeFile(path, JSON.stringify(config));
  return path;
}

const loading = (path: string) => () => loadKubeConfig({ env: { KUBECONFIG: path } });

const set = (of: "cluster" | "user", entries: object) => (config: Record<string, object[]>) => {
  Object.assign((config[`${of}s`]![0] as Record<string, object>)[of]!, entries);
};

/** A pod's environment, with a ServiceAccount that may read its namespace's Secrets. */
async function podOf(namespace: string) {
  const root = join(folder, `${files++}`);
  const account = join(root, "var/run/secrets/kubernetes.io/serviceaccount");
  await mkdir(account, { recursive: true });
  await copyFile(cluster.caFile, join(account, "ca.crt"));
  await cluster.run(["create", "serviceaccount", "keyferry", "-n", namespace]);
  await cluster.run(["create", "role", "reader", "-n", namespace, "--verb=list,watch", "--resource=secrets"]);
  await cluster.run([
    "create",
    "rolebinding",
    "reader",
    "-n",
    namespace,
    "--role=reader",
    `--serviceaccount=${namespace}:keyferry`,
  ]);
  const { hostname, port } = new URL(cluster.url);
  const env = { HOME: folder, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
  const token = join(account, "token");
  await writeFile(token, await cluster.tokenFor(namespace, "keyferry"));
  return { load: () => loadKubeConfig({ env, root }), root, token };
}

describe("a connection", () => {
  test("sends many requests over few connections", async () => {
    let connections = 0;
    const server = createServer((_, response) => response.end('{"metadata":{"name":"x"}}'));
    server.on("connection", () => connections++);
    await once(server.listen(0, "127.0.0.1"), "listening");
    onTestFinished(() => void server.close());
    const { client } = connectionOf(() => {
      const config = new KubeConfig();
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      config.loadFromClusterAndUser({ name: "x", server: url, skipTLSVerify: true }, { name: "x", token: "t" });
      return config;
    });
    for (let i = 0; i < 20; i++) await client.get(namespaces, undefined, "x");
    // The end of an answer may cross with the next request: then there are two.
    expect(connections).toBeLessThanOrEqual(2);
    await Promise.all(Array.from({ length: 500 }, () => client.get(namespaces, undefined, "x")));
    expect(connections).toBeLessThanOrEqual(128);
  });

  test("keeps the path prefix of the server's URL", async () => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url!);
      response.end('{"metadata":{"name":"x"}}');
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    onTestFinished(() => void server.close());
    const { client } = connectionOf(() => {
      const config = new KubeConfig();
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/k8s/clusters/c1/`;
      config.loadFromClusterAndUser({ name: "x", server: url, skipTLSVerify: true }, { name: "x" });
      return config;
    });
    await client.get(namespaces, undefined, "x");
    expect(asked).toEqual(["/k8s/clusters/c1/api/v1/namespaces/x"]);
  });

  test("keeps its pools while only tokens change, and rereads files every ten seconds", async () => {
    let token = "one";
    const path = await kubeconfig();
    const load = () => {
      const config = loading(path)();
      (config.getCurrentUser() as { token: string }).token = token;
      return config;
    };
    const { connection, clock } = connectionOf(load);
    const first = await connection.access();
    expect(first.headers.authorization).toBe("Bearer one");
    token = "two";
    expect(connection.access()).toBe(first);
    await connection.renew(first);
    const second = await connection.access();
    expect(second.headers.authorization).toBe("Bearer two");
    expect(second.requests).toBe(first.requests);
    expect(second.watches).toBe(first.watches);
    expect(second.requests).not.toBe(second.watches);
    await clock.advance(10_000);
    expect(connection.access()).not.toBe(second);
  });

  test("reloads its credentials once for many refused requests", async () => {
    let loads = 0;
    const path = await kubeconfig();
    const { connection } = connectionOf(() => {
      loads++;
      return loading(path)();
    });
    const refused = await connection.access();
    await Promise.all([connection.renew(refused), connection.renew(refused), connection.renew(refused)]);
    await connection.renew(refused);
    expect(loads).toBe(2);
  });

  test("reports a configuration file that has been deleted", async () => {
    const path = await kubeconfig();
    const { connection } = connectionOf(loading(path));
    const refused = await connection.access();
    await rm(path);
    await expect(connection.renew(refused)).rejects.toMatchObject({
      kind: "unauthorized",
      message: `no credentials for the API server: kubeconfig ${path}: ENOENT`,
    });
  });

  test("keeps its credentials while the files cannot be read", async () => {
    const ca = join(folder, `${files++}.pem`);
    await copyFile(cluster.caFile, ca);
    const path = await kubeconfig(set("cluster", { "certificate-authority": ca }));
    const { connection, client, clock, warned } = connectionOf(loading(path));
    await client.get(namespaces, undefined, "default");
    await rm(ca);
    await clock.advance(10_000);
    await client.get(namespaces, undefined, "default");
    await client.get(namespaces, undefined, "default");
    expect(warned).toEqual(["the credentials for the API server could not be read again"]);
    await expect(connection.renew(await connection.access())).rejects.toMatchObject({ kind: "unauthorized" });
  });

  test("fails without credentials until they can be read", async () => {
    const ca = join(folder, `${files++}.pem`);
    const path = await kubeconfig(set("cluster", { "certificate-authority": ca }));
    const { client } = connectionOf(loading(path));
    const get = () => client.get(namespaces, undefined, "default");
    await expect(get()).rejects.toMatchObject({ kind: "unauthorized" });
    await copyFile(cluster.caFile, ca);
    await expect(get()).resolves.toMatchObject({ metadata: { name: "default" } });
  });

  test("makes new pools when the CA file changes, and lets the old watches run on", async () => {
    const ca = join(folder, `${files++}.pem`);
    await copyFile(cluster.caFile, ca);
    const path = await kubeconfig(set("cluster", { "certificate-authority": ca }));
    const { connection, client, clock } = connectionOf(loading(path));
    const namespace = await cluster.freshNamespace("connection");
    const { resourceVersion } = await client.list(secrets, { namespace });
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const watch = await client.watch(secrets, {
      namespace,
      resourceVersion,
      timeoutSeconds: 60,
      allowWatchBookmarks: true,
      signal: stop.signal,
    });
    const before = await connection.access();
    await writeFile(ca, rootCertificates[0]!);
    await clock.advance(10_000);
    const refused = await client.get(namespaces, undefined, "default").catch((error) => error);
    expect(refused).toMatchObject({ kind: "network", code: expect.stringMatching(/CERT|SIGNATURE/) });
    await writeFile(ca, `${rootCertificates[0]}\n${await readFile(cluster.caFile, "utf8")}`);
    await clock.advance(10_000);
    await client.get(namespaces, undefined, "default");
    expect((await connection.access()).requests).not.toBe(before.requests);
    await cluster.run(["create", "secret", "generic", "seen", "-n", namespace]);
    for await (const chunk of watch) {
      expect(Buffer.from(chunk).toString()).toContain('"name":"seen"');
      break;
    }
    await until(() => (before.watches as { closed?: boolean }).closed === true);
  });

  test("uses the kubeconfig's proxy", async () => {
    const asked: string[] = [];
    const proxy = createServer();
    proxy.on("connect", (request, socket, head) => {
      asked.push(request.url!);
      const [host, port] = request.url!.split(":");
      const onward = connectSocket(Number(port), host, () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        onward.write(head);
        onward.pipe(socket).pipe(onward);
      });
      for (const end of [onward, socket]) end.on("error", () => {});
    });
    await once(proxy.listen(0, "127.0.0.1"), "listening");
    onTestFinished(() => void proxy.close());
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const { client } = connectionOf(loading(await kubeconfig(set("cluster", { "proxy-url": address }))));
    await client.get(namespaces, undefined, "default");
    expect(asked).toEqual([new URL(cluster.url).host]);
  });
});

describe("in a pod", () => {
  test.each<[string, boolean]>([
    ["10.0.0.0/8,.svc", false],
    ["kubernetes.default.svc", false],
    ["198.51.100.7", false],
    ["10.0.0.0/8", true],
  ])("matches NO_PROXY=%s with the API server's address and name (proxied: %s)", async (no_proxy, isProxied) => {
    const asked: string[] = [];
    const proxy = createServer();
    proxy.on("connect", (request, socket) => {
      asked.push(request.url!);
      socket.on("error", () => {}).end("HTTP/1.1 403 Forbidden\r\n\r\n");
    });
    await once(proxy.listen(0, "127.0.0.1"), "listening");
    onTestFinished(() => void proxy.close());
    const { root } = await podOf(await cluster.freshNamespace("connection"));
    const env = { KUBERNETES_SERVICE_HOST: "198.51.100.7", KUBERNETES_SERVICE_PORT: "443" };
    const proxies = new Proxies({ https_proxy: `127.0.0.1:${(proxy.address() as AddressInfo).port}`, no_proxy });
    const { client } = connectionOf(() => loadKubeConfig({ env, root }), proxies);
    // A documentation address (RFC 5737): no server answers, and the test does not wait for one.
    const signal = AbortSignal.timeout(1_000);
    await expect(client.get(namespaces, undefined, "default", { signal })).rejects.toThrow();
    expect(asked).toEqual(isProxied ? ["198.51.100.7:443"] : []);
  });

  test("requests run as the ServiceAccount with the permissions of its Role", async () => {
    const namespace = await cluster.freshNamespace("connection");
    const { load } = await podOf(namespace);
    const { client } = connectionOf(load);
    await expect(client.list(secrets, { namespace })).resolves.toMatchObject({ items: [] });
    await expect(client.list(syncedSecrets, { namespace })).rejects.toMatchObject({ kind: "forbidden" });
  });

  test("an expired token is replaced at once by the token of the file", async () => {
    const namespace = await cluster.freshNamespace("connection");
    const { load, token } = await podOf(namespace);
    const good = await readFile(token, "utf8");
    await writeFile(token, "eyJhbGciOiJSUzI1NiJ9.e30.x");
    const { client } = connectionOf(load);
    await expect(client.list(secrets, { namespace })).rejects.toMatchObject({ kind: "unauthorized", status: 401 });
    await writeFile(token, good);
    await expect(client.list(secrets, { namespace })).resolves.toMatchObject({ items: [] });
    await settle();
  });
});
