import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { getCACertificates } from "node:tls";
import { inspect } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { credentialsOf, loadKubeConfig } from "../../../src/kube/client/config.ts";

const folder = await mkdtemp(join(tmpdir(), "keyferry-config-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
let files = 0;

/** Writes a file of this test. @returns its path */
async function put(text: string, name = `${files++}/config`, mode = 0o600): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

function kubeconfig(name: string, user: object = { token: `token of ${name}` }, cluster: object = {}): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server: `https://${name}.example:6443`, ...cluster } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  });
}

/** Writes a pod's ServiceAccount below a root folder. */
async function pod(): Promise<string> {
  const root = `${files++}/root`;
  const account = `${root}/var/run/secrets/kubernetes.io/serviceaccount`;
  await put("token of the pod\n", `${account}/token`);
  await put("CA of the pod", `${account}/ca.crt`);
  return join(folder, root);
}

async function home(): Promise<string> {
  const name = `${files++}/home`;
  await put(kubeconfig("home"), `${name}/.kube/config`);
  return join(folder, name);
}

const inPod = { KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "443" };

describe("the configuration", () => {
  test.each<[string, { kubeconfig?: boolean; pod?: boolean; home?: boolean }, string]>([
    ["KUBECONFIG, before all others", { kubeconfig: true, pod: true, home: true }, "https://named.example:6443"],
    ["the pod's ServiceAccount, before the home folder", { pod: true, home: true }, "https://10.0.0.1:443"],
    ["the home folder", { home: true }, "https://home.example:6443"],
  ])("comes from %s", async (_, has, server) => {
    const env = {
      HOME: has.home ? await home() : folder,
      ...(has.kubeconfig ? { KUBECONFIG: await put(kubeconfig("named")) } : {}),
      ...inPod,
    };
    const root = has.pod ? await pod() : join(folder, "none");
    expect(loadKubeConfig({ env, root }).getCurrentCluster()?.server).toBe(server);
  });

  test("is an error if there is none", () => {
    expect(() => loadKubeConfig({ env: { HOME: folder, ...inPod }, root: folder })).toThrow(/set KUBECONFIG/);
  });

  test("of a pod supports an IPv6 address, and has a default port", async () => {
    const env = { HOME: folder, KUBERNETES_SERVICE_HOST: "fd00::1" };
    const { server } = loadKubeConfig({ env, root: await pod() }).getCurrentCluster()!;
    expect(server).toBe("https://[fd00::1]:443");
  });

  test("merges several files, of which the first has precedence", async () => {
    const one = await put(kubeconfig("same", { token: "first" }));
    const two = await put(kubeconfig("same", { token: "second" }));
    const three = await put(kubeconfig("more"));
    const config = loadKubeConfig({ env: { KUBECONFIG: `${one}:${two}::${three}` } });
    expect(config.getCurrentUser()?.token).toBe("first");
    expect(config.getUser("more")?.token).toBe("token of more");
  });

  test("takes the current context from a later file", async () => {
    const { "current-context": _, ...without } = JSON.parse(kubeconfig("same"));
    const KUBECONFIG = `${await put(JSON.stringify(without))}:${await put(kubeconfig("more"))}`;
    expect(loadKubeConfig({ env: { KUBECONFIG } }).getCurrentCluster()?.server).toBe("https://more.example:6443");
  });

  test.each<[string, string | undefined, RegExp]>([
    ["does not exist", undefined, /^kubeconfig \S+: ENOENT$/],
    ["is not YAML", "users: [canary: 'x", /^kubeconfig \S+: is not a kubeconfig$/],
    ["is not an object", "canary", /kubeconfig/],
    ["has a user without a name", "users: [{canary: x}]\nclusters: []\ncontexts: []", /is not a kubeconfig$/],
    ["has no current context", JSON.stringify({ clusters: [], users: [], contexts: [] }), /names no cluster/],
    [
      "names a user that it has not",
      kubeconfig("x").replace('"users":[{"name":"x"', '"users":[{"name":"y"'),
      /names no user/,
    ],
    [
      "names a server that is no URL",
      kubeconfig("x").replace("https://x.example:6443", "x.example"),
      /names no cluster/,
    ],
  ])("is an error that does not quote a file that %s", async (_, text, message) => {
    const KUBECONFIG = text === undefined ? join(folder, "absent") : await put(text);
    try {
      loadKubeConfig({ env: { KUBECONFIG } });
      expect.fail("it was taken");
    } catch (error) {
      expect((error as Error).message).toMatch(message);
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("canary");
    }
  });
});

/** The given CA, and the CAs of NODE_EXTRA_CA_CERTS in the test environment. */
const withExtra = (own: string) => [own, ...getCACertificates("extra")].join(",");

describe("credentials", () => {
  const of = async (user: object, cluster: object = {}) =>
    credentialsOf(loadKubeConfig({ env: { KUBECONFIG: await put(kubeconfig("x", user, cluster)) } }));

  const encoded = (text: string) => Buffer.from(text).toString("base64");

  test.each<[string, object, Record<string, string>]>([
    ["a token", { token: "t" }, { authorization: "Bearer t" }],
    ["a username and a password", { username: "u", password: "p" }, { authorization: `Basic ${encoded("u:p")}` }],
    ["an impersonated user", { token: "t", as: "jane" }, { authorization: "Bearer t", "impersonate-user": "jane" }],
    ["none", {}, {}],
  ])("are %s", async (_, user, headers) => {
    expect(await of(user)).toEqual({ headers, tls: {} });
  });

  test("include the client certificate and the server's CA", async () => {
    const user = { "client-certificate-data": encoded("cert"), "client-key": await put("key") };
    const cluster = { "certificate-authority-data": encoded("ca"), "tls-server-name": "inner.example" };
    const { headers, tls } = await of(user, cluster);
    expect(headers).toEqual({});
    expect(Object.fromEntries(Object.entries(tls).map(([name, value]) => [name, String(value)]))).toEqual({
      ca: withExtra("ca"),
      cert: "cert",
      key: "key",
      servername: "inner.example",
    });
  });

  test("include the pod's token without its line feed", async () => {
    const root = await pod();
    const { headers, tls } = await credentialsOf(loadKubeConfig({ env: { HOME: folder, ...inPod }, root }));
    expect(headers).toEqual({ authorization: "Bearer token of the pod" });
    expect(String(tls.ca)).toBe(withExtra("CA of the pod"));
  });

  test("come from a plugin", async () => {
    const answer = {
      apiVersion: "client.authentication.k8s.io/v1",
      kind: "ExecCredential",
      status: { token: "plugged" },
    };
    const command = await put(`#!/bin/sh\necho '${JSON.stringify(answer)}'\n`, undefined, 0o700);
    const exec = { apiVersion: "client.authentication.k8s.io/v1", command, args: ["x"] };
    expect((await of({ exec })).headers).toEqual({ authorization: "Bearer plugged" });
  });

  test.each([
    ["fails", "#!/bin/sh\necho canary\necho canary >&2\nexit 1\n"],
    ["answers without JSON", "#!/bin/sh\necho canary\n"],
    ["is not a program", "canary"],
  ])("fail for a plugin that %s, without its output in the error", async (_, text) => {
    const command = await put(text, undefined, 0o700);
    const error = await of({ exec: { apiVersion: "client.authentication.k8s.io/v1", command } }).catch((e) => e);
    expect(error).toMatchObject({ kind: "unauthorized" });
    expect(error.message).toContain(`the credential plugin ${command} failed`);
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("canary");
  });

  test("fail for a file that does not exist", async () => {
    const error = await of({ "client-certificate": "/nowhere/cert.pem", "client-key": "/nowhere/key.pem" }).catch(
      (e) => e,
    );
    expect(error).toMatchObject({ kind: "unauthorized", message: expect.stringContaining("ENOENT") });
  });
});
