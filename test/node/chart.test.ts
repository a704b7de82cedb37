import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from "vitest";
import { openClient } from "../../bench/kubernetes.ts";
import { RolloutOracle } from "../e2e/rollouts/oracle.ts";
import { documents, synced } from "../e2e/stage.ts";
import { type Emulator, startEmulator } from "../emulator/emulator.ts";
import { Release } from "../helm/release.ts";
import { until } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { buildOperator } from "./images.ts";
import { NodeCluster } from "./node.ts";
import { whyNoNode } from "./requirements.ts";
import { deployment, prepareShop, shop } from "./workload.ts";

const why = await whyNoNode();
if (why) process.stderr.write(`No real node: ${why}.\n`);

const own = "keyferry-system";
const role = "arn:aws:iam::123456789012:role/keyferry";
const names = ["a", "b", "c"];

describe.skipIf(why)("installed by the chart on a real node", () => {
  let node: NodeCluster;
  let aws: Emulator;
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), "keyferry-image-"));
    removeAtEnd(folder);
    const image = { repository: "localhost/keyferry", tag: `node-${process.pid}` };
    const [started, archive] = await Promise.all([
      NodeCluster.start({ crds: "crds" }),
      buildOperator(folder, image.tag),
    ]);
    node = started;
    await node.importImage(archive, image.repository);
    aws = await startEmulator({ reads: "memory", quota: "none", address: node.sandbox.hostAddress });
    aws.role(role, { webIdentity: { subjects: [`system:serviceaccount:${own}:keyferry`] } });
    await node.cluster.run(["create", "namespace", own]);
    await node.cluster.run(["label", "namespace", own, "pod-security.kubernetes.io/enforce=restricted"]);
    const token = { audience: "sts.amazonaws.com", expirationSeconds: 3600, path: "token" };
    await new Release(node.cluster, own).install({
      clusterName: "node",
      aws: { region: "eu-west-1" },
      allowInsecureEndpoints: true,
      crds: { install: false },
      image: { ...image, pullPolicy: "Never" },
      rbac: { rollouts: { enabled: true, maxConcurrent: 1 } },
      extraEnv: [
        { name: "AWS_ENDPOINT_URL", value: aws.url },
        { name: "AWS_ROLE_ARN", value: role },
        { name: "AWS_WEB_IDENTITY_TOKEN_FILE", value: "/var/run/secrets/aws/token" },
      ],
      extraVolumes: [{ name: "aws-token", projected: { sources: [{ serviceAccountToken: token }] } }],
      extraVolumeMounts: [{ name: "aws-token", mountPath: "/var/run/secrets/aws", readOnly: true }],
    });
  }, 1_200_000);
  afterAll(async () => {
    await node?.stop();
    await aws?.stop();
  });

  const logsOnFailure = () =>
    onTestFailed(async () => {
      const pods = await node.cluster.kubectl(["get", "pods,events", "--all-namespaces"]);
      const logs = await node.cluster.kubectl([
        "logs",
        "-n",
        own,
        "-l",
        "app.kubernetes.io/name=keyferry",
        "--prefix",
        "--tail=60",
      ]);
      process.stderr.write(`${pods.stdout}\n${logs.stdout}${logs.stderr}\n`);
    });

  test("both replicas become ready, and one leads", async () => {
    logsOnFailure();
    await node.cluster.run(["rollout", "status", "deployment/keyferry", "-n", own, "--timeout=60s"]);
    await until(async () => (await leader()).startsWith("keyferry-"), 30_000, "a leader");
    const often = JSON.stringify({ spec: { pollInterval: "10s" } });
    const exists = async () => (await node.cluster.kubectl(["get", "clusterawsconnection", "default"])).code === 0;
    await until(exists, 30_000, "the connection");
    await node.cluster.run(["patch", "clusterawsconnection", "default", "--type=merge", "--patch", often]);
  });

  test("a killed leader's successor restarts each Deployment once, one at a time and always with all replicas", async () => {
    logsOnFailure();
    const { cluster } = node;
    const { namespace } = shop;
    const secret = await prepareShop(cluster, aws);
    const apps = names.map((name) => deployment({ ...shop, name }));
    await cluster.run(["apply", "-f", "-"], documents([secret, ...apps]));
    await cluster.run(["wait", "--for=condition=Available", "deployment", "--all", "-n", namespace, "--timeout=90s"]);
    const { client, close } = openClient(cluster.kubeconfigPath);
    const oracle = new RolloutOracle(client, namespace);
    await oracle.synced;

    await aws.putParameter({ name: "/shop/db", type: "SecureString", value: "two" });
    await until(() => oracle.restarts.size === 1, 60_000, "the first restart");
    const killed = await leader();
    await node.crash(own, killed);
    expect(oracle.restarts.size).toBeLessThan(names.length);
    await cluster.run(["delete", "pod", killed, "-n", own, "--force", "--grace-period=0"]);
    await until(async () => (await leader()) !== killed, 60_000, "the next leader");
    await until(() => oracle.restarts.size === names.length && oracle.inProgress === 0, 120_000, "all rollouts");
    await cluster.run(["wait", "--for=condition=RolledOut", "kss/db", "-n", namespace, "--timeout=60s"]);
    for (const name of names) await untilCurrent(namespace, name, "two");
    await cluster.run(["rollout", "status", "deployment/keyferry", "-n", own, "--timeout=60s"]);
    await oracle.stop();
    await close();
    expect([...oracle.restarts.values()].map((revisions) => revisions.length)).toEqual([1, 1, 1]);
    expect(oracle.missing, "replicas that were missing").toBe(0);
    expect(oracle.most, "rollouts at the same time").toBe(1);
  });

  test("a value that makes new pods crash stops the rollout with the old pods in place, and a good value resumes it", async () => {
    logsOnFailure();
    const { cluster } = node;
    const namespace = "bad";
    await cluster.run(["create", "namespace", namespace]);
    await aws.putParameter({ name: "/bad/db", type: "SecureString", value: "one" });
    const data = [{ key: "DB", parameter: { name: "/bad/db" } }];
    const rollout = { mode: "Auto", minInterval: "0s" } as const;
    const secret = synced(namespace, "db", { data, refresh: { pollInterval: "10s" }, rollout });
    const app = deployment({ namespace, secret: "db", key: "DB", name: "app" });
    await cluster.run(["apply", "-f", "-"], documents([secret, app]));
    await cluster.run(["wait", "--for=condition=Available", "deployment/app", "-n", namespace, "--timeout=90s"]);
    const before = [...(await node.logs(namespace, "app=app")).keys()];
    const { client, close } = openClient(cluster.kubeconfigPath);
    const oracle = new RolloutOracle(client, namespace);
    await oracle.synced;

    await aws.putParameter({ name: "/bad/db", type: "SecureString", value: "bad" });
    const reason = 'jsonpath={.status.conditions[?(@.type=="RolledOut")].reason}';
    const hasFailed = async () =>
      (await cluster.run(["get", "kss", "db", "-n", namespace, "--output", reason])) === "DeadlineExceeded";
    await until(hasFailed, 90_000, "DeadlineExceeded");
    const during = await node.logs(namespace, "app=app");
    expect([...during.keys()]).toEqual(expect.arrayContaining(before));
    expect([...during.values()]).toContainEqual(["env bad"]);

    await aws.putParameter({ name: "/bad/db", type: "SecureString", value: "two" });
    await until(
      () => oracle.restarts.get(`${namespace}/app`)?.length === 2 && oracle.inProgress === 0,
      90_000,
      "recovery",
    );
    await cluster.run(["wait", "--for=condition=RolledOut", "kss/db", "-n", namespace, "--timeout=60s"]);
    await untilCurrent(namespace, "app", "two");
    await oracle.stop();
    await close();
    expect(oracle.missing, "replicas that were missing").toBe(0);
  });

  test("every call to AWS is made with the role of the pods' projected token", () => {
    const keys = aws.log({ service: "ssm" }).map(({ accessKeyId }) => accessKeyId.slice(0, 4));
    // Keys of a session begin so; those of a user begin with AKIA.
    expect(new Set(keys)).toEqual(new Set(["ASIA"]));
    const sessions = aws.sessions().map(({ by, roleArn }) => ({ by, roleArn }));
    expect(sessions.length).toBeGreaterThan(1);
    for (const session of sessions)
      expect(session).toEqual({ by: `system:serviceaccount:${own}:keyferry`, roleArn: role });
  });

  /** Waits until an app has only its two pods that started with a value. */
  async function untilCurrent(namespace: string, app: string, value: string): Promise<void> {
    const logs = async () => [...(await node.logs(namespace, `app=${app}`)).values()];
    await until(async () => (await logs()).length === 2, 30_000, `the end of the old pods of ${app}`);
    const lines = [`env ${value}`, `file ${value}`];
    expect(await logs()).toEqual([lines, lines]);
  }

  /** The name of the leader's pod. */
  async function leader(): Promise<string> {
    const path = "jsonpath={.spec.holderIdentity}";
    return (await node.cluster.run(["get", "lease", "keyferry", "-n", own, "--output", path])).replace(/_.*/, "");
  }
});
