import { isDeepStrictEqual } from "node:util";
import type { AnyConnection } from "../../api/any-connection.ts";
import type { ClusterAWSConnection, SyncedSecret } from "../../api/types.ts";
import type { Identity } from "../../aws/identity.ts";
import { partitionOf } from "../../aws/names.ts";
import { Failure } from "../../runtime/failure.ts";
import type { GrantAnswer, Granted } from "../grants.ts";
import type { ConnectionIdentities } from "./identities.ts";
import { allowsNamespace, connectionKey, connectionKeyFor, connectionNamedBy } from "./resolve.ts";

/** A connection that works. */
export interface ResolvedConnection {
  connection: AnyConnection;
  identities: ConnectionIdentities;
  /** The AWS account that its identities call; undefined if each namespace's ServiceAccount has its own. */
  account: string | undefined;
  /** The minimum and the default of poll intervals, in milliseconds. */
  pollIntervalMs: number;
  /** Since when AWS has not answered the check of the credentials, in milliseconds since the epoch, and why. */
  unanswered?: { since: number; failure: Failure };
}

/** The result of a connection's reconcile. */
export type Resolved =
  | ({ state: "ready" } & ResolvedConnection)
  | { state: "failed"; connection: AnyConnection; failure: Failure };

/** The resolved connections and their access rules. */
export class Connections {
  readonly #resolved = new Map<string, Resolved>();
  /** The last grant to each namespace: it is compared before each read and each write, and equal grants are the same object. */
  readonly #granted = new WeakMap<Resolved, Map<string, Granted>>();
  readonly #namespaceLabels: (namespace: string) => Readonly<Record<string, string>> | undefined;
  readonly #exists: (key: string) => boolean;
  readonly #clusterName: string;
  readonly #isNamespaced: boolean;
  readonly #fallback: { namespace: string; name: string } | undefined;

  /**
   * @param options.namespaceLabels returns a namespace's labels, or undefined if they are unknown
   * @param options.exists whether the cluster has the connection under a key, resolved or not
   * @param options.clusterName the operator's `--cluster-name`, which bound ciphertexts carry
   * @param options.fallback the AWSConnection that replaces the default ClusterAWSConnection, which a namespaced
   *   operator cannot see: `--default-connection`
   * @param options.isNamespaced whether the operator works in some namespaces only, and sees no ClusterAWSConnection
   */
  constructor(options: {
    namespaceLabels: (namespace: string) => Readonly<Record<string, string>> | undefined;
    exists: (key: string) => boolean;
    clusterName: string;
    fallback?: { namespace: string; name: string };
    isNamespaced?: boolean;
  }) {
    this.#namespaceLabels = options.namespaceLabels;
    this.#exists = options.exists;
    this.#clusterName = options.clusterName;
    this.#isNamespaced = options.isNamespaced ?? false;
    this.#fallback = options.fallback;
  }

  set(key: string, resolved: Resolved): void {
    this.#resolved.set(key, resolved);
  }

  get(key: string): Resolved | undefined {
    return this.#resolved.get(key);
  }

  /** The keys of all connections that have been resolved, or tried. */
  keys(): Iterable<string> {
    return this.#resolved.keys();
  }

  remove(key: string): void {
    this.#resolved.delete(key);
  }

  /**
   * Takes a connection from the watch. Its `allow` rules apply immediately. If its identity changes, the connection
   * grants nothing until it is resolved again.
   *
   * @returns whether its grants may have changed
   */
  shown(key: string, connection: AnyConnection | undefined): boolean {
    const resolved = this.#resolved.get(key);
    if (!resolved) return false;
    const before = resolved.connection;
    if (!connection || before.metadata.uid !== connection.metadata.uid || !isSameIdentity(before, connection)) {
      this.#resolved.delete(key);
      return true;
    }
    this.#resolved.set(key, { ...resolved, connection });
    return !isDeepStrictEqual(before.spec, connection.spec);
  }

  /** Keys of the connections to an account and region. */
  *leadingTo(account: string, region: string): Iterable<string> {
    for (const [key, resolved] of this.#resolved) {
      if (resolved.state !== "ready") continue;
      const { identities, account: of } = resolved;
      if (of !== account && !(of === undefined && identities.all.some((one) => one.account === account))) continue;
      if (resolved.connection.spec.region === region) yield key;
    }
  }

  /** Keys of the connections that use an identity. */
  *of(identityKey: string): Iterable<string> {
    for (const [key, resolved] of this.#resolved) {
      if (resolved.state === "ready" && resolved.identities.all.some((one) => one.key === identityKey)) yield key;
    }
  }

  /** The key of the connection that a SyncedSecret names, or of the default connection. */
  keyFor(resource: SyncedSecret): string {
    return connectionKeyFor(resource, this.#fallback);
  }

  /** What a SyncedSecret may request from AWS, or why it may not. The fallback connection allows only what it lists. */
  grant(resource: SyncedSecret): GrantAnswer {
    const namespace = resource.metadata.namespace!;
    const { kind, namespace: of, name } = connectionNamedBy(resource, this.#fallback);
    const key = connectionKey(kind, of, name);
    const resolved = this.#resolved.get(key);
    // The connection's first reconcile is queued, and enqueues its SyncedSecrets.
    if (!resolved && this.#exists(key)) return { state: "pending" };
    if (!resolved && kind === "AWSConnection") {
      const message = `there is no AWSConnection ${name} in namespace ${of}: create it, or correct spec.connectionRef`;
      return { state: "refused", failure: new Failure("ConnectionNotReady", "wait", message) };
    }
    if (!resolved && this.#isNamespaced) {
      const message = `the operator works in some namespaces only, and sees no ${kind}: create an AWSConnection in namespace ${namespace}, and name it in spec.connectionRef`;
      return { state: "refused", failure: new Failure("ConnectionNotReady", "wait", message) };
    }
    const standsIn = this.#fallback !== undefined && !resource.spec.connectionRef;
    const isAllowed =
      resolved && (standsIn || allowsNamespace(resolved.connection, namespace, this.#namespaceLabels(namespace)));
    if (!resolved || !isAllowed) {
      // One message for both cases: a namespace must not learn about connections that do not allow it.
      const message = `${kind} ${name} does not exist, or does not allow namespace ${namespace}: correct spec.connectionRef, or ask the cluster's administrator to create it or to add the namespace to its spec.allow.namespaces`;
      return { state: "refused", failure: new Failure("NotAllowed", "wait", message) };
    }
    if (resolved.state === "failed") {
      const message = `${kind} ${name} is not ready: ${resolved.failure.message}`;
      return { state: "refused", failure: new Failure("ConnectionNotReady", resolved.failure.next, message) };
    }
    const { identities } = resolved;
    // The answer enqueues the SyncedSecrets of the namespace.
    if (identities.isPending(namespace)) return { state: "pending" };
    try {
      return { state: "granted", granted: this.#grantedTo(namespace, resolved, standsIn) };
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      return { state: "refused", failure };
    }
  }

  /** The grant of a connection that works to a namespace that it allows. @throws Failure without an identity */
  #grantedTo(namespace: string, resolved: Extract<Resolved, { state: "ready" }>, standsIn: boolean): Granted {
    const identity = resolved.identities.of(namespace);
    const account = resolved.account ?? identity.account!;
    let ofConnection = this.#granted.get(resolved);
    if (!ofConnection) {
      ofConnection = new Map();
      this.#granted.set(resolved, ofConnection);
    }
    const key = `${namespace} ${standsIn}`;
    const before = ofConnection.get(key);
    if (before?.identity === identity && before.account === account) return before;
    const granted = this.#newGrant(namespace, resolved, { identity, account, standsIn });
    ofConnection.set(key, granted);
    return granted;
  }

  #newGrant(
    namespace: string,
    { connection, identities, pollIntervalMs }: ResolvedConnection,
    { identity, account, standsIn }: { identity: Identity; account: string; standsIn: boolean },
  ): Granted {
    const { allow, binding, failoverRegions = [] } = connection.spec;
    const closed = standsIn || connection.kind === "ClusterAWSConnection";
    const isBound = (binding?.scope ?? "None") !== "None";
    return {
      identity,
      standIns: failoverRegions.map((region) => ({
        region,
        get identity() {
          return identities.of(namespace, region);
        },
      })),
      account,
      parameters: allow?.parameters,
      keyIds: allow?.keyIds ?? (closed && !isBound ? [] : undefined),
      // Also with scope None: error messages for bound ciphertexts name the cluster.
      binding: {
        scope: binding?.scope ?? "None",
        cluster: this.#clusterName,
        allowUnbound: binding?.allowUnbound ?? false,
      },
      discovery: allow?.discovery && {
        partition: allow.discovery.partition ?? partitionOf(identity.region),
        accounts: allow.discovery.accounts.length > 0 ? allow.discovery.accounts : [account],
      },
      closed,
      pollIntervalMs,
    };
  }
}

/** Reports whether two versions of a connection have the same identity, judged by their specs. */
function isSameIdentity({ spec: before }: AnyConnection, { spec: after }: AnyConnection): boolean {
  const whoAndWhere = (spec: AnyConnection["spec"]) => {
    const { endpoints, useFIPS, useDualStack } = spec as ClusterAWSConnection["spec"];
    return [spec.region, spec.auth, endpoints, useFIPS, useDualStack];
  };
  return isDeepStrictEqual(whoAndWhere(before), whoAndWhere(after));
}
