import { existsSync } from "node:fs";
import { mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { AuditReader, countRequests } from "./audit.ts";
import { ensureControlPlane } from "./build.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { sharedCluster } from "./shared.ts";

const cluster = await sharedCluster();

const secretNames = async (namespace: string) =>
  (await cluster.run(["get", "secrets", "--namespace", namespace, "--output", "name"])).trim().split("\n");

describe("the cluster that test files share", () => {
  test("serves the pinned version, not v0.0.0-master", async () => {
    const { serverVersion } = JSON.parse(await cluster.run(["version", "--output", "json"]));
    expect(serverVersion).toMatchObject({
      gitVersion: expect.stringMatching(/^v1\.36\.\d+$/),
      major: "1",
      minor: "36",
    });
  });

  test("is one cluster for all callers", async () => {
    expect((await sharedCluster()).details).toEqual(cluster.details);
  });

  test("returns a new namespace from each call of freshNamespace", async () => {
    const [one, other] = await Promise.all([cluster.freshNamespace("same"), cluster.freshNamespace("same")]);
    expect(one).toMatch(/^same-[0-9a-f]{8}$/);
    expect(other).not.toBe(one);
    expect((await cluster.kubectl(["get", "namespace", one, other])).code).toBe(0);
  });

  test("allows a ServiceAccount exactly what its Role allows", async () => {
    const namespace = await cluster.freshNamespace("rbac");
    const inNamespace = ["--namespace", namespace];
    await cluster.run(["create", "serviceaccount", "reader", ...inNamespace]);
    await cluster.run(["create", "role", "reader", "--verb=list", "--resource=configmaps", ...inNamespace]);
    const binding = ["create", "rolebinding", "reader", "--role=reader", `--serviceaccount=${namespace}:reader`];
    await cluster.run([...binding, ...inNamespace]);

    const as = ["--kubeconfig", await cluster.kubeconfigFor(namespace, "reader")];
    expect(await cluster.run([...as, "auth", "whoami", "--output", "jsonpath={.status.userInfo.username}"])).toBe(
      `system:serviceaccount:${namespace}:reader`,
    );
    await expect
      .poll(async () => (await cluster.kubectl([...as, "get", "configmaps"])).code, { timeout: 15_000 })
      .toBe(0);
    expect((await cluster.kubectl([...as, "get", "secrets"])).stderr).toContain("Forbidden");
    expect((await cluster.kubectl([...as, "get", "configmaps", "--namespace", "default"])).stderr).toContain(
      "Forbidden",
    );
  });

  test("rejects requests without a token", async () => {
    const { stderr, code } = await cluster.kubectl(["--token", "made-up", "get", "secrets"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("Unauthorized");
  });

  test("garbage-collects a Secret after its owner, and keeps a Secret without an owner", async () => {
    const namespace = await cluster.freshNamespace("gc");
    const inNamespace = ["--namespace", namespace];
    await cluster.run(["create", "configmap", "owner", ...inNamespace]);
    const uid = await cluster.run([
      "get",
      "configmap",
      "owner",
      ...inNamespace,
      "--output",
      "jsonpath={.metadata.uid}",
    ]);
    const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid }];
    for (const metadata of [{ name: "owned", ownerReferences }, { name: "free" }]) {
      await cluster.run(
        ["create", "-f", "-", ...inNamespace],
        JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata }),
      );
    }
    expect(await secretNames(namespace)).toEqual(["secret/free", "secret/owned"]);

    await cluster.run(["delete", "configmap", "owner", ...inNamespace]);
    await expect.poll(() => secretNames(namespace), { timeout: 20_000 }).toEqual(["secret/free"]);
  });

  test("deletes a namespace with all its objects", async () => {
    const namespace = await cluster.freshNamespace("going");
    await cluster.run(["create", "secret", "generic", "inside", "--namespace", namespace]);
    await cluster.run(["delete", "namespace", namespace, "--timeout", "20s"]);
    expect((await cluster.kubectl(["get", "namespace", namespace])).stderr).toContain("NotFound");
  });

  test("counts requests by verb, resource and user in its audit log", async () => {
    const namespace = await cluster.freshNamespace("audit");
    const audit = await AuditReader.from(cluster.auditLogPath);
    await cluster.run(["create", "secret", "generic", "one", "--namespace", namespace]);
    await cluster.run(["create", "secret", "generic", "two", "--namespace", namespace]);
    await cluster.run(["get", "secrets", "--namespace", namespace]);
    await cluster.run(["create", "token", "default", "--namespace", namespace]);

    const requests = (await audit.take()).filter(
      (request) => request.namespace === namespace && request.user === "admin",
    );
    expect(countRequests(requests)).toEqual({
      "create secrets": 2,
      "list secrets": 1,
      "create serviceaccounts/token": 1,
    });
    expect(requests[0]).toMatchObject({
      name: "one",
      code: 201,
      userAgent: expect.stringMatching(/^kubectl\/v1\.\d+\./),
    });
    const again = await audit.take();
    expect(again.filter((request) => request.namespace === namespace && request.user === "admin")).toEqual([]);
  });
});

test("counts a watch at its start, and not again at its end", async () => {
  const namespace = await cluster.freshNamespace("watch");
  const audit = await AuditReader.from(cluster.auditLogPath);
  const take = async () =>
    countRequests(
      (await audit.take()).filter((request) => request.namespace === namespace && request.user === "admin"),
    );
  const args = ["get", "secrets", "--namespace", namespace, "--watch-only", "--request-timeout", "4s"];
  const watching = cluster.kubectl(args);
  await expect.poll(take, { timeout: 15_000 }).toHaveProperty("watch secrets", 1);
  await watching;
  expect(await take()).toEqual({});
});

describe("a dedicated cluster", () => {
  let own: Cluster;
  let scratch: string;
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), "keyferry-crds-"));
    await writeFile(join(scratch, "widgets.yaml"), JSON.stringify(WIDGETS));
    own = await startCluster({ crds: scratch });
  });
  afterAll(async () => {
    await own?.stop();
    await rm(scratch, { recursive: true });
  });

  test("garbage-collects dependents of the kinds that it was started with", async () => {
    await own.run(
      ["create", "-f", "-"],
      JSON.stringify({ apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "owner" } }),
    );
    const uid = await own.run(["get", "widget", "owner", "--output", "jsonpath={.metadata.uid}"]);
    const ownerReferences = [{ apiVersion: "example.com/v1", kind: "Widget", name: "owner", uid }];
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "owned", ownerReferences } };
    await own.run(["create", "-f", "-"], JSON.stringify(secret));
    await own.run(["delete", "widget", "owner"]);
    await expect
      .poll(async () => (await own.kubectl(["get", "secret", "owned"])).stderr, { timeout: 10_000 })
      .toContain("NotFound");
  });

  test("keeps data, port and certificate over a restart of a killed API server", async () => {
    expect(own.url).not.toBe(cluster.url);
    await own.run(["create", "configmap", "kept"]);
    const before = own.pids.apiserver;

    await own.stopApiServer();
    const { stderr, code } = await own.kubectl(["get", "configmap", "kept"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("refused");

    await own.startApiServer();
    expect(own.pids.apiserver).not.toBe(before);
    expect((await own.kubectl(["get", "configmap", "kept"])).code).toBe(0);
    expect(() => own.auditLogPath).toThrow("without { audit: true }");
  });
});

describe("starting a cluster", () => {
  let assets: string;
  beforeEach(async () => {
    const real = await ensureControlPlane();
    assets = await mkdtemp(join(tmpdir(), "keyferry-assets-"));
    for (const path of Object.values(real)) await symlink(path, join(assets, basename(path)));
    await rename(join(assets, "etcd"), join(assets, "real-etcd"));
    vi.stubEnv("KUBEBUILDER_ASSETS", assets);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(assets, { recursive: true });
  });

  test("fails with the last log lines of a program that cannot start", async () => {
    await writeFile(join(assets, "etcd"), "#!/bin/sh\necho 'disk full' >&2; exit 1\n", { mode: 0o755 });
    await expect(startCluster()).rejects.toThrow(/^etcd ended before it was ready\. Its last lines:\ndisk full$/);
  });

  test("is retried on other ports if a port is in use", async () => {
    const script = `#!/bin/sh
if mkdir ${assets}/first 2>/dev/null; then echo 'listen tcp: bind: address already in use'; exit 1; fi
exec ${assets}/real-etcd "$@"
`;
    await writeFile(join(assets, "etcd"), script, { mode: 0o755 });
    const started = await startCluster();
    expect((await started.kubectl(["get", "namespaces"])).code).toBe(0);
    await started.stop();
    expect(existsSync(started.dir)).toBe(false);
  });
});

/** A kind to own things. */
const WIDGETS = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "widgets.example.com" },
  spec: {
    group: "example.com",
    scope: "Namespaced",
    names: { kind: "Widget", plural: "widgets", singular: "widget" },
    versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
  },
};
