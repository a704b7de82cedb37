import { KubeConfig } from "@kubernetes/client-node";
import { KubeClient } from "../../../src/kube/client/client.ts";
import { PooledConnection } from "../../../src/kube/client/pooled-connection.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { silent } from "../../../src/runtime/log.ts";
import type { ClusterHandle } from "../../cluster/handle.ts";

/** A client of a cluster, as its administrator or as the user of the kubeconfig. */
export function connect(cluster: ClusterHandle, kubeconfigPath = cluster.kubeconfigPath) {
  const metrics = new Metrics();
  const load = () => {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfigPath);
    return config;
  };
  const connection = new PooledConnection({ load, clock: systemClock, log: silent });
  const client = new KubeClient({ connection, metrics, clock: systemClock, log: silent, userAgent: "keyferry-test" });
  return { client, connection, metrics };
}
