import type { AnyConnection } from "../api/any-connection.ts";
import type { RolloutKind } from "../api/rollout-kinds.ts";
import type { SyncedSecret } from "../api/types.ts";
import type { Identities } from "../aws/identity.ts";
import type { KubeClient } from "../kube/client/client.ts";
import type { View } from "../kube/informer/store.ts";
import type { LeaderView } from "../kube/leases/lease-observer.ts";
import type { KubeObject } from "../kube/resource.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Audit } from "../runtime/audit.ts";
import type { Clock, Random } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import type { Tracer } from "../runtime/tracing.ts";
import type { Placement } from "./placement.ts";
import type { Revisions } from "./syncedsecret/trust/revision.ts";

export interface Settings {
  /** Namespaces to work in; empty for all, which requires a ClusterRole. */
  namespaces: readonly string[];
  /**
   * The AWSConnection that replaces the default ClusterAWSConnection if the operator cannot see cluster connections.
   */
  defaultConnection?: { namespace: string; name: string };
  /** The region for which ClusterAWSConnection default is created if it does not exist; undefined to create none. */
  defaultConnectionRegion?: string | undefined;
  /** If true, everything is checked and reported, and no Secret is written. */
  readOnly: boolean;
  /** Namespaces in which no Secret is written, whatever their SyncedSecrets request. */
  protectedNamespaces: ReadonlySet<string>;
  /** Domains of labels and annotations that targets may have although other programs act on them. */
  allowedTargetMetadata: readonly string[];
  /** Milliseconds between the two looks that confirm a deletion. */
  missingGraceMs: number;
  /** Whether each SyncedSecret has its own time series. */
  perObjectMetrics: boolean;
  /** The cluster's name in queue tags and bound ciphertexts; empty if not set. */
  clusterName: string;
  /** Workloads that are restarted at the same time, in all namespaces; 0 stops all rollouts. */
  maxConcurrentRollouts: number;
  /** Kinds of workloads that may be restarted; empty to restart nothing. */
  rolloutKinds: readonly RolloutKind[];
  /** This process's name in Events. */
  instance: string;
}

/** The engine's dependencies: Kubernetes, AWS, clock and randomness. */
export interface Worlds {
  client: KubeClient;
  identities: Identities;
  metrics: Metrics;
  clock: Clock;
  random: Random;
  log: Log;
  settings: Settings;
  /** With `readOnly`: whether another operator leads, to which all statuses then belong. Default: unknown. */
  leader?: LeaderView | undefined;
  /** Records every decryption. Default: none. */
  audit?: Audit;
  /** Undefined if the work is not split into shards. */
  placement?: Placement | undefined;
  /** Records each reconcile of a SyncedSecret. Default: none. */
  tracer?: Tracer;
  /** Formats of revisions. Default: the formats of this release. */
  revisions?: Revisions;
}

/** The watch caches. The caller passes each change to the engine. */
export interface Views {
  syncedSecrets: View<SyncedSecret & KubeObject>;
  /** Metadata of the Secrets that carry our label. */
  secrets: View<KubeObject>;
  connections: View<AnyConnection & KubeObject>;
  clusterConnections: View<AnyConnection & KubeObject>;
  /** Metadata. */
  namespaces: View<KubeObject>;
}
