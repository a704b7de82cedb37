import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Election } from "../controllers/operator.ts";
import type { KubeClient } from "../kube/client/client.ts";
import { LeaderElector, type LeaseTiming } from "../kube/leases/leader-elector.ts";
import { LeaseAccess } from "../kube/leases/lease-access.ts";
import { LeaseObserver } from "../kube/leases/lease-observer.ts";
import { ShardLeases, shardsAnnotation } from "../kube/leases/shard-leases.ts";
import type { Clock, Random } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The flags that decide about leader election. */
export interface ElectionSettings extends LeaseTiming {
  leaderElect: boolean;
  leaseName: string;
  /** At least 1. */
  shards: number;
  readOnly: boolean;
}

/** The operator's own namespace: POD_NAMESPACE, or the ServiceAccount's; undefined outside a cluster. */
export function ownNamespace(env: Environment): string | undefined {
  if (env.POD_NAMESPACE) return env.POD_NAMESPACE;
  try {
    return readFileSync("/var/run/secrets/kubernetes.io/serviceaccount/namespace", "utf8").trim();
  } catch {
    return undefined;
  }
}

/**
 * The namespace of the Lease; undefined if this process works without leader election. With `--read-only` it does: it
 * writes no Secret.
 *
 * @throws Error if leader election is requested and no namespace is known
 */
export function electionNamespace(settings: ElectionSettings, namespace: string | undefined): string | undefined {
  if (settings.readOnly || !settings.leaderElect) return undefined;
  if (namespace === undefined) {
    throw new Error("--leader-elect needs the namespace of its Lease: set POD_NAMESPACE, or run in a pod");
  }
  return namespace;
}

/** Makes the election of this process. Its identity is the pod's name and a random UUID, as in controller-runtime. */
export function makeElection(
  settings: ElectionSettings,
  namespace: string,
  worlds: { client: KubeClient; clock: Clock; random: Random; log: Log; env: Environment },
): Election {
  const { client, clock, random, log, env } = worlds;
  const identity = `${env.POD_NAME || hostname()}_${randomUUID()}`;
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs, leaseName: name, shards } = settings;
  const timing = { leaseDurationMs, renewDeadlineMs, retryPeriodMs };
  const common = { namespace, name, identity, timing, clock, random, log };
  if (shards > 1) return { shards: new ShardLeases({ client, shards, ...common }) };
  const access = new LeaseAccess({ client, clock, namespace, name });
  const elector = new LeaderElector({
    ...common,
    access,
    isForeign: ({ metadata }) => metadata.annotations?.[shardsAnnotation] !== undefined,
    annotations: () => ({ [shardsAnnotation]: undefined }),
  });
  return { elector, lease: { namespace, name } };
}

/**
 * Makes the observer of the Lease by which the operators that write elect their leader; undefined if this process
 * writes itself, or does not know its namespace.
 */
export function observeLease(
  settings: ElectionSettings,
  namespace: string | undefined,
  worlds: { client: KubeClient; clock: Clock; log: Log },
): LeaseObserver | undefined {
  if (!settings.readOnly || namespace === undefined) return undefined;
  const { leaseName: name, leaseDurationMs, retryPeriodMs: everyMs } = settings;
  const access = new LeaseAccess({ ...worlds, namespace, name });
  return new LeaseObserver({ access, leaseDurationMs, everyMs, ...worlds });
}
