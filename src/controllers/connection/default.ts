import { apiVersion, fieldManager } from "../../api/annotations.ts";
import type { ClusterAWSConnection } from "../../api/types.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { KubeError } from "../../kube/errors.ts";
import { clusterAWSConnections, type KubeObject } from "../../kube/resource.ts";
import { type Clock, sleep } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";

const retryMs = 2_000;

/**
 * Creates the ClusterAWSConnection `default` if it does not exist: a Helm chart cannot install a custom resource
 * together with its CRD. An existing connection is not changed. Retries until it succeeds or `signal` aborts; never
 * rejects.
 */
export async function ensureDefaultConnection(
  region: string,
  { client, clock, log }: { client: KubeClient; clock: Clock; log: Log },
  signal: AbortSignal,
): Promise<void> {
  const connection: ClusterAWSConnection = {
    apiVersion,
    kind: "ClusterAWSConnection",
    metadata: { name: "default" },
    spec: { region, allow: { namespaces: { selector: {} }, parameters: ["/{namespace}/*"] } },
  };
  while (!signal.aborted) {
    try {
      await client.create(clusterAWSConnections, connection as unknown as KubeObject, { fieldManager });
      log.info({ region }, "created ClusterAWSConnection default");
      return;
    } catch (error) {
      if (!(error instanceof KubeError)) {
        log.error({}, "failed to create ClusterAWSConnection default");
        return;
      }
      if (error.kind === "alreadyExists" || error.kind === "conflict") return;
      log.warn({ error: error.message }, "failed to create ClusterAWSConnection default, retrying");
    }
    await sleep(clock, retryMs, signal);
  }
}
