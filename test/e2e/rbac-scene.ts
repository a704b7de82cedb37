import type { RolloutKind } from "../../src/api/rollout-kinds.ts";
import { until } from "../support/operator.ts";
import { cleanRollouts, playRollouts, prepareRollouts, restarting } from "./rbac-rollouts.ts";
import { documents, keysOf, readyCount, type Stage, synced } from "./stage.ts";

/** What an operator with certain values is made to do. */
export interface Scene {
  /** The namespace of its SyncedSecrets. */
  namespace: string;
  /** The connection of SyncedSecrets that name none. */
  connection: { kind: "AWSConnection" | "ClusterAWSConnection"; namespace: string; name: string };
  /** Whether it may write Secrets. */
  writes: boolean;
  /** Whether it may use ServiceAccounts. */
  tokens: boolean;
  /** The kinds of workload that it may restart. */
  rollouts: readonly RolloutKind[];
}

/** The namespace with more SyncedSecrets than its share of the watch cache holds. */
export const largeNamespace = "large";
/** The account of the ServiceAccounts' roles. */
const account = "222222222222";
/** The Secret with the credentials of a namespace's connections. */
const credentials = "keys";
const apiVersion = "keyferry.io/v1alpha1";

/** The Secrets that an operator may read: targets, merge targets and credentials. */
export function readable({ connection, namespace }: Scene): Set<string> {
  const synced = ["follow", "renamed", "once", "orphan", "own", "token", "missing", "paused", restarting];
  const targets = [...synced, "shared", "adopted"];
  const large = largeObjects().map(({ metadata }) => `${largeNamespace}/${metadata.name}`);
  const ofConnections = [`connections/${credentials}`, "default/aws", `${connection.namespace || "default"}/gone`];
  return new Set([...[...targets, credentials].map((name) => `${namespace}/${name}`), ...large, ...ofConnections]);
}

interface Large {
  apiVersion: string;
  kind: string;
  metadata: { namespace: string; name: string };
  spec: object;
}

/** Suspended SyncedSecrets of over 16 MiB in all. */
function largeObjects(): Large[] {
  const ciphertext = Buffer.alloc(975_000).toString("base64");
  const spec = { suspend: true, data: [{ key: "A", encryptionSDK: { ciphertext, keyIds: [keyId] } }] };
  return Array.from({ length: 14 }, (_, index) => ({
    apiVersion,
    kind: "SyncedSecret",
    metadata: { namespace: largeNamespace, name: `large-${index}` },
    spec,
  }));
}

const keyId = "arn:aws:kms:eu-west-1:111111111111:key/11111111-1111-1111-1111-111111111111";

/** Creates the namespace whose SyncedSecrets do not fit in the watch cache. */
export async function prepareLarge({ cluster }: Stage): Promise<void> {
  await cluster.run(["create", "namespace", largeNamespace]);
  await cluster.run(["create", "-f", "-"], documents(largeObjects()));
}

/** Creates what the operator of a scene works with: one SyncedSecret of each kind, and the connections. */
export async function prepare(stage: Stage, scene: Scene): Promise<void> {
  const { cluster, aws } = stage;
  const { namespace, tokens, rollouts } = scene;
  await cluster.run(["create", "namespace", namespace]);
  const parameters = ["a", "b"].map((key) => `/${namespace}/${key}`);
  for (const name of parameters) await aws.putParameter({ name, value: "value" });
  const spec = keysOf(parameters);
  const metadata = (name: string, annotations = {}) => ({ namespace, name, annotations });
  const secret = (name: string, annotations: Record<string, string>) => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: metadata(name, annotations),
    stringData: { theirs: "x" },
  });
  const connectionRef = (name: string) => ({ connectionRef: { kind: "AWSConnection", name } as const });
  await cluster.run(
    ["create", "-f", "-"],
    documents([
      ...connectionIn(namespace, "own"),
      // Nobody asks for it, so that nobody may read it.
      secret("unrelated", {}),
      secret("shared", { "keyferry.io/allow-merge": "merge" }),
      secret("adopted", { "keyferry.io/adopt": "adopt" }),
      synced(namespace, "follow", spec),
      synced(namespace, "once", { ...spec, refresh: { policy: "Once" } }),
      synced(namespace, "orphan", { ...spec, target: { creationPolicy: "Orphan" } }),
      synced(namespace, "merge", { ...spec, target: { name: "shared", creationPolicy: "Merge" } }),
      synced(namespace, "adopt", { ...spec, target: { name: "adopted" } }),
      synced(namespace, "own", { ...spec, ...connectionRef("own") }),
      synced(namespace, "paused", { ...spec, suspend: true }),
      synced(namespace, "missing", keysOf([`/${namespace}/none`])),
    ]),
  );
  if (tokens) await prepareTokens(stage, namespace);
  if (rollouts.length > 0) await prepareRollouts(stage, scene);
}

/** The number of SyncedSecrets. Two never become Ready: one is suspended, and the parameter of another is missing. */
function countOf({ tokens, rollouts }: Scene): number {
  return 8 + Number(tokens) + Number(rollouts.length > 0);
}

/** An AWSConnection with its credentials, of which a namespace has one. */
export function connectionIn(namespace: string, name: string): object[] {
  return [
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: credentials, namespace },
      stringData: { AWS_ACCESS_KEY_ID: "AKIAKEYFERRYTEST", AWS_SECRET_ACCESS_KEY: "any" },
    },
    {
      apiVersion,
      kind: "AWSConnection",
      metadata: { name, namespace },
      spec: {
        region: "eu-west-1",
        auth: { secretRef: { name: credentials } },
        allow: { parameters: ["/{namespace}/*"] },
      },
    },
  ];
}

/** A connection by a ServiceAccount with a role, and a SyncedSecret that uses it. */
async function prepareTokens({ cluster, aws }: Pick<Stage, "cluster" | "aws">, namespace: string): Promise<void> {
  const role = `arn:aws:iam::${account}:role/${namespace}`;
  aws.role(role, { webIdentity: { subjects: [`system:serviceaccount:${namespace}:reader`] } });
  await aws.putParameter({ name: `/${namespace}/token`, value: "value" }, { account });
  const metadata = { namespace, name: "reader", annotations: { "eks.amazonaws.com/role-arn": role } };
  await cluster.run(
    ["create", "-f", "-"],
    documents([
      { apiVersion: "v1", kind: "ServiceAccount", metadata },
      {
        apiVersion,
        kind: "AWSConnection",
        metadata: { namespace, name: "tokens" },
        spec: { region: "eu-west-1", auth: { serviceAccountRef: { name: "reader" } } },
      },
      synced(namespace, "token", {
        ...keysOf([`/${namespace}/token`]),
        connectionRef: { kind: "AWSConnection", name: "tokens" },
      }),
    ]),
  );
}

/** Deletes what `prepare` created, but for Secrets: the next operator has nothing to do there. */
export async function clean({ cluster }: Stage, { namespace, rollouts }: Scene): Promise<void> {
  await cluster.run(["delete", "syncedsecrets,awsconnections", "--all", "-n", namespace]);
  if (rollouts.length > 0) await cleanRollouts({ cluster }, namespace);
}

/** Makes the running operator use each right: sync, repair, rename, release, restart, failures and their events. */
export async function play(stage: Stage, scene: Scene): Promise<void> {
  const { cluster } = stage;
  const { namespace, writes, rollouts } = scene;
  await until(() => isSettled(stage, scene), 60_000, `the first syncs of ${namespace}`);
  await loseConnectionTwice(stage, scene);
  if (!writes) return;
  const ready = countOf(scene) - 2;
  await until(async () => (await readyCount(cluster, namespace)) === ready, 60_000, `${ready} Secrets`);
  await cluster.run(["patch", "secret", "follow", "-n", namespace, "-p", '{"data":{"K0":"eA=="}}']);
  const value = ["get", "secret", "follow", "-n", namespace, "-o", "jsonpath={.data.K0}"];
  await until(async () => (await cluster.run(value)) === Buffer.from("value").toString("base64"), 60_000, "the repair");
  const renamed = JSON.stringify({ spec: { target: { name: "renamed" } } });
  await cluster.run(["patch", "syncedsecret", "follow", "-n", namespace, "--type=merge", "-p", renamed]);
  await cluster.run(["delete", "syncedsecret", "merge", "-n", namespace]);
  const ended = async () => {
    const list = [
      "get",
      "secrets",
      "-n",
      namespace,
      "-o",
      'jsonpath={range .items[*]}{.metadata.name}:{.data}{"\\n"}{end}',
    ];
    const lines = (await cluster.run(list)).split("\n");
    const shared = lines.find((line) => line.startsWith("shared:"));
    return (
      !lines.some((line) => line.startsWith("follow:")) &&
      lines.some((line) => line.startsWith("renamed:")) &&
      shared?.includes("K0") === false
    );
  };
  await until(ended, 60_000, "the rename and the release of merged keys");
  if (rollouts.length > 0) await playRollouts(stage, scene);
}

/** Whether every SyncedSecret has a final status. */
async function isSettled({ cluster }: Stage, scene: Scene): Promise<boolean> {
  const ready = '.status.conditions[?(@.type=="Ready")]';
  const jsonpath = `{range .items[*]}{${ready}.reason}: {${ready}.message}{"\\n"}{end}`;
  const list = ["get", "syncedsecrets", "-n", scene.namespace, "-o", `jsonpath=${jsonpath}`];
  const lines = (await cluster.run(list)).split("\n");
  // Without its connection a SyncedSecret is not allowed to read.
  const early = /^(|: |Pending: waiting for AWS|ConnectionNotReady: .*|NotAllowed: .*)$/;
  return lines.filter((line) => !early.test(line)).length === countOf(scene);
}

/** Takes the default connection its credentials and gives them back, twice: the second time repeats the events. */
async function loseConnectionTwice({ cluster }: Stage, { namespace, connection }: Scene): Promise<void> {
  const { kind, name } = connection;
  const where = connection.namespace === "" ? [] : ["-n", connection.namespace];
  const read = ["get", kind, name, ...where, "-o", "json"];
  const { auth } = (JSON.parse(await cluster.run(read)) as { spec: { auth?: object } }).spec;
  const gone = { secretRef: { name: "gone", ...(connection.namespace === "" ? { namespace: "default" } : {}) } };
  const reasonsOf = async () => {
    const jsonpath = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].reason}{"\\n"}{end}';
    return cluster.run(["get", "syncedsecrets", "-n", namespace, "-o", `jsonpath=${jsonpath}`]);
  };
  for (const spec of [gone, auth ?? null, gone, auth ?? null]) {
    await cluster.run(["patch", kind, name, ...where, "--type=merge", "-p", JSON.stringify({ spec: { auth: spec } })]);
    const isGone = spec === gone;
    const holds = async () => (await reasonsOf()).includes("follow=ConnectionNotReady") === isGone;
    await until(holds, 60_000, `a connection ${isGone ? "without" : "with"} credentials`);
  }
}
