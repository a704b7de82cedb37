import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, type TestContext } from "vitest";
import { type Emulator, startEmulator } from "../emulator/emulator.ts";
import { Release } from "../helm/release.ts";
import { until } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { buildOperator } from "./images.ts";
import { NodeCluster } from "./node.ts";

const own = "keyferry-system";
const role = "arn:aws:iam::123456789012:role/keyferry";

/** The chart's operator in pods of a real node, with a role and a queue of events of an emulated AWS. */
export class ChartScene {
  readonly node: NodeCluster;
  readonly aws: Emulator;

  private constructor(node: NodeCluster, aws: Emulator) {
    [this.node, this.aws] = [node, aws];
  }

  /** Installs the operator. Everything ends with this process. */
  static async start(options: { maxConcurrent: number }): Promise<ChartScene> {
    const folder = await mkdtemp(join(tmpdir(), "keyferry-image-"));
    removeAtEnd(folder);
    const image = { repository: "localhost/keyferry", tag: `node-${process.pid}` };
    const [node, archive] = await Promise.all([NodeCluster.start({ crds: "crds" }), buildOperator(folder, image.tag)]);
    await node.importImage(archive, image.repository);
    const aws = await startEmulator({ reads: "memory", quota: "none", address: node.sandbox.hostAddress });
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
      rbac: { rollouts: { enabled: true, ...options } },
      extraEnv: [
        { name: "AWS_ENDPOINT_URL", value: aws.url },
        { name: "AWS_ROLE_ARN", value: role },
        { name: "AWS_WEB_IDENTITY_TOKEN_FILE", value: "/var/run/secrets/aws/token" },
      ],
      extraVolumes: [{ name: "aws-token", projected: { sources: [{ serviceAccountToken: token }] } }],
      extraVolumeMounts: [{ name: "aws-token", mountPath: "/var/run/secrets/aws", readOnly: true }],
    });
    return new ChartScene(node, aws);
  }

  async stop(): Promise<void> {
    await this.node.stop();
    await this.aws.stop();
  }

  /** Waits until both replicas are ready, one leads, and the connection receives each change's event. */
  async ready(): Promise<void> {
    const { cluster } = this.node;
    await this.settled();
    await until(async () => (await this.leader()).startsWith("keyferry-"), 30_000, "a leader");
    const exists = async () => (await cluster.kubectl(["get", "clusterawsconnection", "default"])).code === 0;
    await until(exists, 30_000, "the connection");
    this.aws.eventsTo(await this.aws.createQueue("keyferry"));
    // As AWS names the queue: the calls go to AWS_ENDPOINT_URL.
    const queueUrl = "https://sqs.eu-west-1.amazonaws.com/123456789012/keyferry";
    const often = JSON.stringify({ spec: { pollInterval: "10s", events: { queueUrl } } });
    await cluster.run(["patch", "clusterawsconnection", "default", "--type=merge", "--patch", often]);
    await cluster.run(["wait", "--for=condition=EventsReady", "clusterawsconnection/default", "--timeout=60s"]);
  }

  /** Waits until both replicas are ready. */
  async settled(): Promise<void> {
    await this.node.cluster.run(["rollout", "status", "deployment/keyferry", "-n", own, "--timeout=60s"]);
  }

  /** The name of the leader's pod. */
  async leader(): Promise<string> {
    const path = "jsonpath={.spec.holderIdentity}";
    return (await this.node.cluster.run(["get", "lease", "keyferry", "-n", own, "--output", path])).replace(/_.*/, "");
  }

  /** Kills the leader's process. @returns its pod */
  async crashLeader(): Promise<string> {
    const killed = await this.leader();
    await this.node.crash(own, killed);
    return killed;
  }

  /** Removes the pod of a killed leader, and waits until another pod leads. */
  async nextLeader(killed: string): Promise<void> {
    await this.node.cluster.run(["delete", "pod", killed, "-n", own, "--force", "--grace-period=0"]);
    await until(async () => (await this.leader()) !== killed, 60_000, "the next leader");
  }

  /** Waits until an app has only its two pods that started with a value. */
  async untilCurrent(namespace: string, app: string, value: string): Promise<void> {
    const logs = async () => [...(await this.node.logs(namespace, `app=${app}`)).values()];
    await until(async () => (await logs()).length === 2, 30_000, `the end of the old pods of ${app}`);
    const lines = [`env ${value}`, `file ${value}`];
    expect(await logs()).toEqual([lines, lines]);
  }

  /** Every call to AWS must have been made with the role of the pods' projected token. */
  expectRole(): void {
    const calls = [...this.aws.log({ service: "ssm" }), ...this.aws.log({ service: "sqs" })];
    const keys = calls.map(({ accessKeyId }) => accessKeyId.slice(0, 4));
    // Keys of a session begin so; those of a user begin with AKIA.
    expect(new Set(keys)).toEqual(new Set(["ASIA"]));
    const sessions = this.aws.sessions().map(({ by, roleArn }) => ({ by, roleArn }));
    expect(sessions.length).toBeGreaterThan(1);
    for (const session of sessions)
      expect(session).toEqual({ by: `system:serviceaccount:${own}:keyferry`, roleArn: role });
  }

  /** Prints pods, events and the operator's logs if a test fails. */
  logsOnFailure({ onTestFailed }: Pick<TestContext, "onTestFailed">): void {
    onTestFailed(async () => {
      const { cluster } = this.node;
      const pods = await cluster.kubectl(["get", "pods,events", "--all-namespaces"]);
      const ours = ["-n", own, "-l", "app.kubernetes.io/name=keyferry"];
      const logs = await cluster.kubectl(["logs", ...ours, "--prefix", "--tail=60"]);
      process.stderr.write(`${pods.stdout}\n${logs.stdout}${logs.stderr}\n`);
    });
  }
}
