import type { ClusterHandle } from "../cluster/handle.ts";
import { synced } from "../e2e/stage.ts";
import type { Emulator } from "../emulator/emulator.ts";
import { BUSYBOX_IMAGE } from "./images.ts";

/** What a workload does with the key of its Secret. */
export interface Workload {
  namespace: string;
  name: string;
  secret: string;
  key: string;
}

const FOLDER = "/secret";
/** How long a rollout may make no progress. */
export const DEADLINE_S = 20;

/** Seconds that a slow machine may add to times; none in `make test-node`, which measures them. */
export const SLACK_S = process.env.STRICT_TIMES ? 0 : 20;

/** The namespace, the Secret and its key of the tests of a node. */
export const shop = { namespace: "shop", secret: "db", key: "DB" };

/** Creates the namespace and the parameter, `one`. @returns the SyncedSecret, which restarts what uses its Secret */
export async function prepareShop(cluster: ClusterHandle, aws: Pick<Emulator, "putParameter">): Promise<object> {
  const { namespace, secret, key } = shop;
  await cluster.run(["create", "namespace", namespace]);
  await aws.putParameter({ name: "/shop/db", type: "SecureString", value: "one" });
  const data = [{ key, parameter: { name: "/shop/db" } }];
  return synced(namespace, secret, { data, refresh: { pollInterval: "10s" }, rollout: { mode: "Auto" } });
}

/**
 * A pod's template. The container logs `env <value>` at its start, and `file <value>` whenever the file differs. It
 * crashes if the variable is `bad`.
 */
function template({ name, secret, key }: Workload) {
  const script = `echo "env $VALUE"
[ "$VALUE" != bad ] || exit 1
trap 'exit 0' TERM
while true; do
  now=$(cat ${FOLDER}/${key})
  [ "$now" = "$last" ] || echo "file $now"
  last=$now
  touch /tmp/ready
  sleep 1
done`;
  const container = {
    name: "app",
    image: BUSYBOX_IMAGE,
    command: ["sh", "-c", script],
    env: [{ name: "VALUE", valueFrom: { secretKeyRef: { name: secret, key } } }],
    volumeMounts: [{ name: "secret", mountPath: FOLDER }],
    readinessProbe: { exec: { command: ["test", "-f", "/tmp/ready"] }, periodSeconds: 1 },
  };
  return {
    metadata: { labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 5,
      containers: [container],
      volumes: [{ name: "secret", secret: { secretName: secret } }],
    },
  };
}

/**
 * A Deployment of two replicas that read a Secret by variable and by file, none of which may be missing.
 *
 * @param more of its spec
 */
export function deployment(workload: Workload, more: object = {}): object {
  const { namespace, name } = workload;
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace, name },
    spec: {
      replicas: 2,
      progressDeadlineSeconds: DEADLINE_S,
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      selector: { matchLabels: { app: name } },
      template: template(workload),
      ...more,
    },
  };
}

/** A pod that reads a Secret in the same ways, and that nobody restarts. */
export function pod(workload: Workload): object {
  const { metadata, spec } = template(workload);
  const { namespace, name } = workload;
  return { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, namespace, name }, spec };
}
