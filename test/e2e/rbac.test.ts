import { readFileSync } from "node:fs";
import { get } from "node:https";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Scope } from "../../scripts/rbac-features.ts";
import { compareRights, grantedTo, type Right, usedBy } from "../../scripts/rights-of.ts";
import { labels } from "../../src/api/annotations.ts";
import { type RolloutKind, rolloutKinds } from "../../src/api/rollout-kinds.ts";
import type { AuditedRequest } from "../cluster/audit.ts";
import { ensureHelm } from "../cluster/helm.ts";
import { deploymentOf, type Rendered } from "../helm/chart.ts";
import { Release } from "../helm/release.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import { changeSecret, prepareArgoRollouts, prepareRollouts, restarting, rolledOutOf } from "./rbac-rollouts.ts";
import {
  clean,
  connectionIn,
  largeNamespace,
  play,
  prepare,
  prepareLarge,
  readable,
  type Scene,
} from "./rbac-scene.ts";
import { documents, openStage } from "./stage.ts";

const stage = await openStage();
await ensureHelm();
const { cluster, aws, audit } = stage;
const release = new Release(cluster, "keyferry-system");
const running = new Set<RunningOperator>();

beforeAll(async () => {
  for (const name of [release.namespace, "connections"]) await cluster.run(["create", "namespace", name]);
  await cluster.run(["create", "serviceaccount", "reader", "-n", "connections"]);
  await Promise.all([prepareLarge(stage), prepareArgoRollouts(stage)]);
});
afterAll(() => stage.close());

/** An installation: its values for the namespace of its SyncedSecrets. */
interface Variant {
  values: (namespace: string) => object;
  /** Default: the ClusterAWSConnection. */
  connection?: (namespace: string) => Scene["connection"];
  readOnly?: boolean;
  tokens?: boolean;
  rollouts?: readonly RolloutKind[];
  secure?: boolean;
}

const all: Scene["connection"] = { kind: "ClusterAWSConnection", namespace: "", name: "default" };
const apart: Scene["connection"] = { kind: "AWSConnection", namespace: "connections", name: "default" };
const alone = { replicas: 1, strategy: { type: "Recreate" }, leaderElection: { enabled: false } };
const within = (namespace: string) => ({ scope: "namespaces", namespaces: [namespace, largeNamespace] });
const tokens = (namespaces: string[] = []) => ({ rbac: { serviceAccountTokens: { enabled: true, namespaces } } });
const rollouts = (kinds: readonly RolloutKind[], namespaces: string[] = []) => ({
  rbac: { rollouts: { enabled: true, kinds, namespaces } },
});
const managed = `${labels.managed}=${labels.managedValue}`;
const secure = {
  metrics: {
    secure: { enabled: true, readers: [{ kind: "ServiceAccount", name: "reader", namespace: "connections" }] },
  },
};
const withApart = (namespace: string) => ({ ...within(namespace), defaultConnection: "connections/default" });

/** Each scope with each switch of the values on and off. */
const variants: Record<string, Variant> = {
  "all namespaces": { values: () => ({ scope: "cluster" }) },
  "all namespaces, with two shards and restarts of every kind": {
    values: () => ({ scope: "cluster", leaderElection: { shards: 2 }, ...rollouts(rolloutKinds) }),
    rollouts: rolloutKinds,
  },
  "all namespaces, with restarts of every kind in one namespace": {
    values: (namespace) => ({ scope: "cluster", ...rollouts(rolloutKinds, [namespace]) }),
    rollouts: rolloutKinds,
  },
  "all namespaces, with a region, ServiceAccounts and secure metrics, without leader election": {
    values: () => ({ scope: "cluster", aws: { region: "eu-west-1" }, ...tokens(), ...secure, ...alone }),
    tokens: true,
    secure: true,
  },
  "all namespaces, read-only, with the ServiceAccounts of one namespace": {
    values: (namespace) => ({ scope: "cluster", readOnly: true, ...tokens([namespace]) }),
    readOnly: true,
    tokens: true,
  },
  "some namespaces, with a connection elsewhere and restarts of every kind": {
    values: (namespace) => ({ ...withApart(namespace), ...rollouts(rolloutKinds) }),
    connection: () => apart,
    rollouts: rolloutKinds,
  },
  "some namespaces, with ServiceAccounts, a connection in one of them, and secure metrics, without leader election": {
    values: (namespace) => ({
      ...within(namespace),
      defaultConnection: `${namespace}/own`,
      ...{ ...tokens([namespace]), ...secure, ...alone },
    }),
    connection: (namespace) => ({ kind: "AWSConnection", namespace, name: "own" }),
    tokens: true,
    secure: true,
  },
  "some namespaces, read-only": {
    values: (namespace) => ({ ...withApart(namespace), readOnly: true }),
    connection: () => apart,
    readOnly: true,
  },
};

/** The rights, with those in the namespaces of SyncedSecrets as one: the Roles there are equal. */
function merged(rights: readonly Right[], namespace: string): Right[] {
  return rights.map((right) => (right.namespace === largeNamespace ? { ...right, namespace } : right));
}

/** What the chart has installed. */
async function installed(): Promise<Rendered[]> {
  const kinds = "deployments,roles,rolebindings,clusterroles,clusterrolebindings";
  const args = ["get", kinds, "--all-namespaces", "-l", `app.kubernetes.io/instance=${release.name}`, "-o", "json"];
  return (JSON.parse(await cluster.run(args)) as { items: Rendered[] }).items;
}

/** Starts the Deployment's replicas, with its arguments, one after the other. */
async function startReplicas(objects: Rendered[], kubeconfig: string): Promise<RunningOperator[]> {
  const { replicas, template } = deploymentOf(objects).spec;
  const [, ...args] = template.spec.containers[0]!.args;
  // The test has ports of its own.
  const flags = args.filter((flag) => !/^--(metrics|health-probe)-bind-address=/.test(flag));
  const operators: RunningOperator[] = [];
  for (let index = 0; index < replicas; index++) {
    const env = {
      POD_NAMESPACE: release.namespace,
      POD_NAME: `keyferry-${index}`,
      // A namespaced connection cannot set endpoints: the environment points to the emulator, as for other SDK users.
      AWS_ENDPOINT_URL: aws.url,
      AWS_ACCESS_KEY_ID: "AKIAKEYFERRYTEST",
      AWS_SECRET_ACCESS_KEY: "any",
    };
    const operator = await stage.operator(flags, { kubeconfig, env });
    running.add(operator);
    operators.push(operator);
  }
  return operators;
}

const leads = async ({ probesUrl }: RunningOperator) =>
  /^ok(, shards [0-9 ]+)?$/.test((await (await fetch(`${probesUrl}/readyz`)).text()).trim());

/** Stops all, the leader first: the standby takes over. */
async function stopAll(operators: readonly RunningOperator[]): Promise<void> {
  for (const [index, operator] of operators.entries()) {
    await operator.stop();
    const next = operators[index + 1];
    if (next) await until(() => leads(next), 60_000, "the hand-over");
  }
}

/** The status with which the metrics answer a client with the token of a ServiceAccount, or without one. */
async function scrape({ metricsUrl }: RunningOperator, account?: string): Promise<number | undefined> {
  const headers: Record<string, string> =
    account === undefined ? {} : { authorization: `Bearer ${await cluster.tokenFor("connections", account)}` };
  return new Promise((resolve, reject) => {
    const url = metricsUrl.replace("http:", "https:");
    get(url, { headers, rejectUnauthorized: false, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).once("error", reject);
  });
}

/** A request for Secrets in one line, with what selects them. */
function readOf({ verb, resource, namespace, name, uri }: AuditedRequest): string | undefined {
  if (resource !== "secrets" || !["get", "list", "watch"].includes(verb)) return undefined;
  if (name !== "") return `${namespace}/${name}`;
  return new URL(uri, "https://server").searchParams.get("labelSelector") ?? `${verb} all`;
}

/** What the operators have used, by scope: `get secrets`. */
const usedIn: Record<Scope, Set<string>> = { cluster: new Set(), namespaces: new Set() };

/** The rights of docs/rbac.md in a scope: `get secrets`. */
function documented(scope: Scope): string[] {
  const rows = readFileSync("docs/rbac.md", "utf8").matchAll(
    /^\| `([a-z./0-9]+)`[^|]*\| ([^|]+) \| ([^|]+) \| ([^|]+) \|/gm,
  );
  return [...rows].flatMap(([, resource, verbs, cluster, namespaces]) => {
    const place = scope === "cluster" ? cluster : namespaces;
    return place === "no" ? [] : [...verbs!.matchAll(/`(\w+)`/g)].map(([, verb]) => `${verb} ${resource}`);
  });
}

describe.each(Object.entries(variants))("installed for %s, the operator", (title, variant) => {
  const namespace = `team-${Object.keys(variants).indexOf(title)}`;
  const connection = variant.connection?.(namespace) ?? all;
  const { readOnly = false, tokens: hasTokens = false, rollouts: restarted = [] } = variant;
  const scene: Scene = { namespace, connection, writes: !readOnly, tokens: hasTokens, rollouts: restarted };
  let objects: Rendered[];
  let requests: AuditedRequest[];
  let statuses: (number | undefined)[] = [];

  beforeAll(async () => {
    // Without the statuses of the operator before, which a read-only one leaves alone.
    await cluster.run(["delete", "clusterawsconnections", "--all"]);
    await cluster.run(["delete", "awsconnections", "--all", "-n", "connections"]);
    await cluster.run(["apply", "-f", "-"], documents(connectionIn("connections", "default")));
    await cluster.run(["delete", "leases", "--all", "-n", release.namespace]);
    await prepare(stage, scene);
    const values = variant.values(namespace);
    // With a region the operator creates the connection.
    if (connection === all && !("aws" in values))
      await stage.connect({ allow: { namespaces: { selector: {} }, parameters: ["/*"] } });
    await release.install({ crds: { install: false }, ...values });
    objects = await installed();
    const kubeconfig = await cluster.kubeconfigFor(release.namespace, release.name);
    await audit.take();
    const operators = await startReplicas(objects, kubeconfig);
    await play(stage, scene);
    if (variant.secure) {
      const accounts = ["reader", "default", undefined];
      statuses = await Promise.all(accounts.map((account) => scrape(operators[0]!, account)));
    }
    await stopAll(operators);
    requests = (await audit.take()).filter(({ user }) => user === release.user);
    const scope = title.startsWith("all") ? "cluster" : "namespaces";
    for (const { verb, resource } of usedBy(requests)) usedIn[scope].add(`${verb} ${resource}`);
  });

  afterAll(async () => {
    await Promise.all([...running].map((operator) => operator.kill().catch(() => {})));
    running.clear();
    await clean(stage, scene);
  });

  test("uses exactly the rights that it has", () => {
    const granted = grantedTo(objects, { namespace: release.namespace, name: release.name });
    expect(requests.filter(({ code }) => code === 403)).toEqual([]);
    const { unused, ungranted } = compareRights(merged(granted, namespace), merged(usedBy(requests), namespace));
    expect({ unused, ungranted }).toEqual({ unused: [], ungranted: [] });
    expect(compareRights(granted, []).repeated).toEqual([]);
  });

  test.runIf(variant.secure)("shows its metrics to who may get them", () => {
    expect(statuses).toEqual([200, 403, 401]);
  });

  test("reads no Secret that is not a target, a merge target or a credential", () => {
    const reads = new Set(requests.map(readOf).filter((read) => read !== undefined));
    const allowed = readable(scene).add(managed);
    expect([...reads].filter((read) => !allowed.has(read))).toEqual([]);
    expect(reads).toContain(managed);
  });
});

test("without the right to restart a workload, and then to list it, the condition RolledOut names the right", async () => {
  const namespace = "revoked";
  await cluster.run(["create", "namespace", namespace]);
  await stage.connect();
  await prepareRollouts(stage, { namespace, rollouts: ["Deployment"] });
  await release.install({ crds: { install: false }, scope: "cluster", ...alone, ...rollouts(["Deployment"]) });
  const [operator] = await startReplicas(
    await installed(),
    await cluster.kubeconfigFor(release.namespace, release.name),
  );
  const rolledOut = (words: RegExp) =>
    until(async () => words.test(await rolledOutOf(stage, namespace)), 60_000, `RolledOut ${words}`);
  await rolledOut(/^True /);
  const listOnly = [
    { apiGroups: ["", "batch", "apps"], resources: ["pods", "cronjobs", "deployments"], verbs: ["list"] },
  ];
  const patch = JSON.stringify({ rules: listOnly });
  await cluster.run(["patch", "clusterrole", "keyferry-rollouts", "--type=merge", "-p", patch]);
  await changeSecret(stage, namespace);
  await rolledOut(/^False NotAllowed: the ServiceAccount may not patch deployments\.apps in namespace revoked: /);
  await cluster.run(["delete", "clusterrolebinding", "keyferry-rollouts"]);
  const asked = JSON.stringify({ spec: { rollout: { minInterval: "2m" } } });
  await cluster.run(["patch", "syncedsecret", restarting, "-n", namespace, "--type=merge", "-p", asked]);
  await rolledOut(/^False NotAllowed: the ServiceAccount may not list pods in namespace revoked: /);
  await operator!.stop();
});

test.each(["cluster", "namespaces"] as const)("every right of docs/rbac.md in the scope %s was used", (scope) => {
  const rights = documented(scope);
  expect(rights.length).toBeGreaterThan(15);
  expect(rights.filter((right) => !usedIn[scope].has(right))).toEqual([]);
});
