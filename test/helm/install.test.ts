import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster } from "../cluster/cluster.ts";
import { type Deployment, deploymentOf, type Rendered } from "./chart.ts";
import { definitions, Release, rightsOf } from "./release.ts";

// One of its own: what is cluster-wide in the chart would fight with the shared one's definitions.
const cluster = await startCluster();
afterAll(() => cluster.stop());
// A service account without any binding has these too.
const nobody = await rightsOf(cluster, "system:serviceaccount:default:default", "default");

const namespace = await cluster.freshNamespace("ops");
await Promise.all(["shop", "team-a", "team-b"].map((name) => cluster.run(["create", "namespace", name])));
const release = new Release(cluster, namespace);

const inNamespace = [
  "core/secrets: create, delete, get, list, patch, watch",
  "events.k8s.io/events: create, patch",
  "keyferry.io/awsconnections/status: patch",
  "keyferry.io/awsconnections: list, watch",
  "keyferry.io/syncedsecrets/status: patch",
  "keyferry.io/syncedsecrets: get, list, watch",
];
const inCluster = [
  ...inNamespace,
  "core/namespaces: list, watch",
  "keyferry.io/clusterawsconnections/status: patch",
  "keyferry.io/clusterawsconnections: list, watch",
].sort();

/** In its own namespace the operator has its Lease besides. A create has no resource name. */
const leases = ["coordination.k8s.io/leases keyferry: get, list, update, watch", "coordination.k8s.io/leases: create"];

const own = [
  "Deployment/keyferry",
  "PodDisruptionBudget/keyferry",
  "Role/keyferry-leader-election",
  "RoleBinding/keyferry-leader-election",
  "Service/keyferry-metrics",
  "ServiceAccount/keyferry",
].map((name) => `${namespace}/${name}`);
/** Those of people: they are included in the cluster's own. */
const aggregated = ["admin", "edit", "view"].map((role) => `<none>/ClusterRole/keyferry-${role}`);
const clusterWide = [...own, ...aggregated, "<none>/ClusterRole/keyferry", "<none>/ClusterRoleBinding/keyferry"].sort();

async function rights(where: string): Promise<string[]> {
  const all = await rightsOf(cluster, release.user, where);
  return all.filter((right) => !nobody.includes(right));
}

/** What `kubectl auth can-i` answers for the operator's ServiceAccount. */
async function can(...question: string[]): Promise<string> {
  return (await cluster.kubectl(["auth", "can-i", "--as", release.user, ...question])).stdout.trim();
}

async function deployed(): Promise<Deployment> {
  const args = ["get", "deployment", release.name, "--namespace", namespace, "--output", "json"];
  return deploymentOf([JSON.parse(await cluster.run(args)) as Rendered]);
}

/** The manifests that the notes hand to kubectl apply. */
function manifestsIn(notes: string): string[] {
  return [...notes.matchAll(/kubectl apply -f - <<EOF\n([\s\S]*?)\nEOF\n/g)].map((match) => match[1]!);
}

describe("installed with its defaults", () => {
  let notes: string;
  beforeAll(async () => {
    notes = await release.install();
  });

  test("every object and every kind exists", async () => {
    expect(await release.objects()).toEqual(clusterWide);
    expect(await release.definitions()).toEqual(definitions);
  });

  test("the operator has exactly the permissions that it uses, in any namespace", async () => {
    expect(await rights("shop")).toEqual(inCluster);
    expect(await rights(namespace)).toEqual([...inCluster, ...leases].sort());
  });

  test.each([
    ["list secrets --all-namespaces", "yes"],
    ["patch syncedsecrets.keyferry.io --subresource=status -n shop", "yes"],
    ["patch syncedsecrets.keyferry.io -n shop", "no"],
    ["update secrets -n shop", "no"],
    ["deletecollection secrets -n shop", "no"],
    ["create clusterawsconnections.keyferry.io", "no"],
    ["get namespaces", "no"],
    ["create serviceaccounts --subresource=token -n shop", "no"],
    ["create events -n shop", "no"],
    ["create events.events.k8s.io -n shop", "yes"],
    ["patch deployments.apps -n shop", "no"],
    ["update syncedsecrets.keyferry.io --subresource=finalizers -n shop", "no"],
  ])("kubectl auth can-i %s returns %s", async (question, answer) => {
    expect(await can(...question.split(" "))).toBe(answer);
  });

  test("the pod is admitted under the restricted Pod Security Standard", async () => {
    await cluster.run(["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"]);
    const { spec, metadata } = (await deployed()).spec.template;
    const pod = (changes: object) =>
      JSON.stringify({
        apiVersion: "v1",
        kind: "Pod",
        metadata: { ...metadata, name: "operator", namespace },
        spec: { ...spec, ...changes },
      });
    const admit = ["create", "--dry-run=server", "--filename", "-"];
    expect(await cluster.kubectl(admit, pod({}))).toMatchObject({ code: 0, stderr: "" });
    // The standard is really enforced here.
    expect((await cluster.kubectl(admit, pod({ securityContext: {} }))).stderr).toContain("violates PodSecurity");
  });

  test("the pod mounts a ServiceAccount token although the account disables automounting", async () => {
    const { spec, metadata } = (await deployed()).spec.template;
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, name: "operator", namespace }, spec };
    const args = ["create", "--dry-run=server", "--output", "json", "--filename", "-"];
    const admitted = await cluster.run(args, JSON.stringify(pod));
    expect(admitted).toContain("/var/run/secrets/kubernetes.io/serviceaccount");
    expect(admitted).toContain('"serviceAccountName": "keyferry"');
  });

  test("the API server accepts the manifests of the notes: a connection, and the first Secret", async () => {
    const manifests = manifestsIn(notes);
    expect(manifests.map((text) => /kind: (\w+)/.exec(text)![1])).toEqual(["ClusterAWSConnection", "SyncedSecret"]);
    for (const manifest of manifests) {
      await cluster.run(["apply", "--dry-run=server", "--validate=strict", "--filename", "-"], manifest);
    }
  });
});

test("with aws.region the operator may also create the default connection, and has the flag for it", async () => {
  const notes = await release.install({ aws: { region: "eu-west-1" } });
  const withCreate = inCluster.map((right) =>
    right.replace("keyferry.io/clusterawsconnections: list", "keyferry.io/clusterawsconnections: create, list"),
  );
  expect(await rights("shop")).toEqual(withCreate);
  const { args } = (await deployed()).spec.template.spec.containers[0]!;
  expect(args).toContain("--default-connection-region=eu-west-1");
  const [manifest, ...more] = manifestsIn(notes);
  expect(more).toEqual([]);
  await cluster.run(["apply", "--dry-run=server", "--validate=strict", "--filename", "-"], manifest);
});

test("in read-only mode the operator may not write a Secret", async () => {
  await release.install({ readOnly: true });
  const withoutWrites = inCluster.map((right) =>
    right.startsWith("core/secrets") ? "core/secrets: get, list, watch" : right,
  );
  expect(await rights("shop")).toEqual(withoutWrites);
  // It looks at the Lease of the operator that writes.
  const looks = "coordination.k8s.io/leases keyferry: get";
  expect(await rights(namespace)).toEqual([...withoutWrites, looks].sort());
});

test("a feature has its rights in the namespaces that are asked for, and nowhere else", async () => {
  const tokens = ["core/serviceaccounts/token: create", "core/serviceaccounts: get"];
  await release.install({ rbac: { serviceAccountTokens: { enabled: true, namespaces: ["team-a"] } } });
  expect(await rights("shop")).toEqual(inCluster);
  expect(await rights("team-a")).toEqual([...inCluster, ...tokens].sort());
  expect(await rights("team-b")).toEqual(inCluster);
  await release.install({ rbac: { serviceAccountTokens: { enabled: true } } });
  expect(await rights("shop")).toEqual([...inCluster, ...tokens].sort());
  expect(await rights("team-b")).toEqual([...inCluster, ...tokens].sort());
});

test("restarts of workloads have their rights by kind, in the namespaces that are asked for, and nowhere else", async () => {
  const always = ["core/pods: list", "batch/cronjobs: list"];
  const rollouts = { enabled: true, namespaces: ["team-a"], kinds: ["StatefulSet", "Rollout"] };
  await release.install({ rbac: { rollouts } });
  const some = [...always, "apps/statefulsets: list, patch", "argoproj.io/rollouts: list, patch"];
  expect(await rights("team-a")).toEqual([...inCluster, ...some].sort());
  expect(await rights("team-b")).toEqual(inCluster);
  await release.install({ rbac: { rollouts: { enabled: true } } });
  const all = ["deployments", "statefulsets", "daemonsets"].map((plural) => `apps/${plural}: list, patch`);
  expect(await rights("shop")).toEqual([...inCluster, ...always, ...all].sort());
});

test("the cluster's roles view, edit and admin include the rights of people", async () => {
  await release.install();
  const bindings = ["view", "edit", "admin"].map((role) =>
    cluster.run(["create", "rolebinding", role, `--clusterrole=${role}`, `--user=${role}`, "--namespace", "shop"]),
  );
  await Promise.all(bindings);
  const may = async (user: string, verb: string, plural: string) => {
    const question = ["auth", "can-i", verb, `${plural}.keyferry.io`, "--as", user, "--namespace", "shop"];
    return (await cluster.kubectl(question)).stdout.trim();
  };
  // A controller of the control plane puts the rules together.
  await expect.poll(() => may("admin", "create", "awsconnections"), { timeout: 20_000 }).toBe("yes");
  await expect.poll(() => may("edit", "create", "syncedsecrets"), { timeout: 20_000 }).toBe("yes");
  await expect.poll(() => may("view", "list", "syncedsecrets"), { timeout: 20_000 }).toBe("yes");
  expect(await may("view", "create", "syncedsecrets")).toBe("no");
  expect(await may("edit", "create", "awsconnections")).toBe("no");
});

describe("installed for some namespaces", () => {
  let notes: string;
  beforeAll(async () => {
    // From what was installed before: an upgrade takes the ClusterRole away.
    notes = await release.install({ namespaces: ["team-a", "team-b"], defaultConnection: "team-b/aws" });
  });

  test("these have Roles, and the cluster has no objects", async () => {
    const roles = ["team-a", "team-b"].flatMap((name) => [`${name}/Role/keyferry`, `${name}/RoleBinding/keyferry`]);
    expect(await release.objects()).toEqual([...own, ...roles].sort());
  });

  test("the operator has its permissions only in these, and none in its own namespace", async () => {
    expect(await rights("team-a")).toEqual(inNamespace);
    expect(await rights("team-b")).toEqual(inNamespace);
    expect(await rights("shop")).toEqual([]);
    expect(await rights(namespace)).toEqual(leases);
    expect(await can("list", "secrets", "--all-namespaces")).toBe("no");
    expect(await can("list", "clusterawsconnections.keyferry.io")).toBe("no");
  });

  test("the API server accepts the manifests of the notes, with and without a default connection", async () => {
    const bare = await release.install({ namespaces: ["team-a"] });
    for (const manifests of [notes, bare].map(manifestsIn)) {
      expect(manifests.map((text) => /kind: (\w+)/.exec(text)![1])).toEqual(["AWSConnection", "SyncedSecret"]);
      for (const manifest of manifests) {
        await cluster.run(["apply", "--dry-run=server", "--validate=strict", "--filename", "-"], manifest);
      }
    }
  });
});

describe("uninstalling", () => {
  const resource = JSON.stringify({
    apiVersion: "keyferry.io/v1alpha1",
    kind: "SyncedSecret",
    metadata: { name: "kept", namespace: "shop" },
    spec: { data: [{ key: "A", parameter: { name: "/shop/a" } }] },
  });

  test("keeps the kinds and their resources, deletes everything else, and allows reinstallation", async () => {
    await release.install();
    await cluster.run(["apply", "--filename", "-"], resource);
    await release.uninstall();
    expect(await release.objects()).toEqual([]);
    expect(await release.definitions()).toEqual(definitions);
    const kept = ["get", "syncedsecret", "kept", "--namespace", "shop", "--output", "name"];
    expect(await cluster.run(kept)).toBe("syncedsecret.keyferry.io/kept\n");
    const records = ["get", "secrets", "--namespace", namespace, "--selector", "owner=helm", "--output", "name"];
    expect(await cluster.run(records)).toBe("");
    expect(await rights("shop")).toEqual([]);
    await release.install();
    expect(await release.objects()).toEqual(clusterWide);
    expect(await cluster.run(kept)).toBe("syncedsecret.keyferry.io/kept\n");
  });

  test("deletes the kinds with crds.keep off", async () => {
    await release.install({ crds: { keep: false } });
    expect(await release.definitions()).toEqual(definitions);
    await release.uninstall();
    const gone = ["wait", "--for=delete", "--timeout=20s", ...definitions];
    await cluster.run(gone);
    expect(await release.definitions()).toEqual([]);
    expect(await release.objects()).toEqual([]);
  });

  test("installs no kinds with crds.install off", async () => {
    await release.install({ crds: { install: false } });
    expect(await release.definitions()).toEqual([]);
    expect(await release.objects()).toEqual(clusterWide);
    await release.uninstall();
  });
});
