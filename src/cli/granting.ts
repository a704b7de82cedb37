import { apiVersion } from "../api/annotations.ts";
import type { AnyConnection } from "../api/any-connection.ts";
import type { ClusterAWSConnection, SyncedSecret } from "../api/types.ts";
import type { Identities } from "../aws/identity.ts";
import type { WebTokens } from "../aws/identity-spec.ts";
import { roleAnnotation } from "../aws/web-identity-denial.ts";
import { Connections, type ResolvedConnection } from "../controllers/connection/connections.ts";
import { ConnectionIdentities } from "../controllers/connection/identities.ts";
import { defaultPollIntervalMs } from "../controllers/connection/reconcile.ts";
import {
  connectionKey,
  credentialsSecret,
  isOfServiceAccounts,
  serviceAccountOf,
} from "../controllers/connection/resolve.ts";
import type { Granted } from "../controllers/grants.ts";
import type { ServiceAccountName } from "../kube/service-account-tokens.ts";
import { durationOr } from "../runtime/duration.ts";
import { Failure } from "../runtime/failure.ts";
import { type Manifests, nameOf } from "./manifests.ts";

export interface GrantingOptions {
  manifests: Manifests;
  /** The operator's `--cluster-name`; empty if not set. */
  clusterName: string;
  identities: Pick<Identities, "get">;
  /** The AWS account of a connection. @throws Failure */
  account: (connection: AnyConnection, identities: ConnectionIdentities) => Promise<string>;
  /** The region for SyncedSecrets whose connection is not among the manifests; undefined if there is none. */
  region: () => Promise<string | undefined>;
  /** What stands in for a connection that is not among the manifests, for messages. Default: a region with --region. */
  standIn?: string;
}

/**
 * Applies the operator's access rules to connections from manifests, without a cluster. A connection that is not among
 * the manifests is replaced by one that allows everything.
 */
export class Granting {
  readonly #options: GrantingOptions;
  readonly #connections: Connections;
  readonly #given = new Map<string, AnyConnection>();
  readonly #resolved = new Map<string, ResolvedConnection | Failure>();

  constructor(options: GrantingOptions) {
    this.#options = options;
    const { clusterName, manifests } = options;
    this.#connections = new Connections({ namespaceLabels: () => undefined, exists: () => false, clusterName });
    for (const connection of manifests.connections) {
      const { namespace = "", name } = connection.metadata;
      this.#given.set(connectionKey(connection.kind, namespace, name!), connection);
    }
  }

  /**
   * What a SyncedSecret may request from AWS, and through which connection.
   *
   * @throws Failure if it may not, or if the manifests do not tell
   */
  async of(resource: SyncedSecret): Promise<{ granted: Granted; connected: ResolvedConnection }> {
    const key = this.#connections.keyFor(resource);
    const given = this.#given.get(key);
    let connected = this.#resolved.get(key);
    if (!connected) {
      connected = await this.#resolve(given ?? (await this.#standIn(key))).catch((error: unknown) => {
        if (!(error instanceof Failure)) throw error;
        return error;
      });
      this.#resolved.set(key, connected);
    }
    if (connected instanceof Failure) throw connected;
    const { connection } = connected;
    this.#connections.set(key, { state: "ready", ...connected, connection: asKnown(connection, resource) });
    const grant = this.#connections.grant(resource);
    if (grant.state === "refused") throw grant.failure;
    if (grant.state === "pending") throw new Error("a connection that is resolved is pending");
    const { granted } = grant;
    return {
      granted: given ? granted : { ...granted, parameters: undefined, keyIds: undefined, closed: false },
      connected,
    };
  }

  /**
   * Visits the SyncedSecrets of the manifests.
   *
   * @param add takes a SyncedSecret with its grant, and returns its problems
   * @param problems receives a line for each problem
   */
  async each(
    add: (resource: SyncedSecret, granted: Granted, connected: ResolvedConnection) => Iterable<{ message: string }>,
    problems: Set<string>,
  ): Promise<void> {
    for (const resource of this.#options.manifests.syncedSecrets) {
      try {
        const { granted, connected } = await this.of(resource);
        for (const { message } of add(resource, granted, connected)) problems.add(`${nameOf(resource)}: ${message}`);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        problems.add(`${nameOf(resource)}: ${error.message}`);
      }
    }
  }

  async #resolve(connection: AnyConnection): Promise<ResolvedConnection> {
    const { clusterName, account, identities: all } = this.#options;
    const { kind, metadata, spec } = connection;
    const scope = spec.binding?.scope ?? "None";
    if (scope !== "None" && clusterName === "") {
      const message = `${kind} ${metadata.name} has binding.scope ${scope}, which puts the operator's --cluster-name into every context: give --cluster-name`;
      throw new Failure("ConnectionNotReady", "wait", message);
    }
    const secret = credentialsSecret(connection);
    const data = secret && {
      AWS_ACCESS_KEY_ID: base64(`${secret.namespace}/${secret.name}`),
      AWS_SECRET_ACCESS_KEY: base64("-"),
    };
    const single = serviceAccountOf(connection);
    const role = single && this.#roleOf(single);
    if (role instanceof Failure) throw role;
    const accounts = { roleOf: (one: ServiceAccountName) => this.#roleOf(one), tokensOf: () => noTokens };
    const identities = new ConnectionIdentities({ connection, data, identities: all, accounts, role });
    return {
      connection,
      identities,
      account:
        identities.account ?? (isOfServiceAccounts(connection) ? undefined : await account(connection, identities)),
      pollIntervalMs: durationOr(spec.pollInterval, defaultPollIntervalMs),
    };
  }

  /** The role of a ServiceAccount, from its manifest. */
  #roleOf({ namespace, name }: ServiceAccountName): string | Failure {
    const role = this.#options.manifests.roles.get(`${namespace}/${name}`);
    if (role !== undefined) return role;
    const message = `the role of ServiceAccount ${namespace}/${name} is not known: give its manifest with the annotation ${roleAnnotation}`;
    return new Failure("ConnectionNotReady", "wait", message);
  }

  async #standIn(key: string): Promise<ClusterAWSConnection> {
    const [kind, , name] = key.split("/") as [string, string, string];
    const { standIn = "a region with --region" } = this.#options;
    const region = await this.#options.region();
    if (region === undefined) {
      const message = `${kind} ${name} is not among the manifests: give it with --connection, or ${standIn}`;
      throw new Failure("ConnectionNotReady", "wait", message);
    }
    return {
      apiVersion,
      kind: "ClusterAWSConnection",
      metadata: { name },
      spec: { region, allow: { namespaces: { names: [] } } },
    };
  }
}

/** No command requests a token. */
const noTokens: WebTokens = { token: () => Promise.reject(new Error("no tokens")), refused: () => {} };

/** The connection, with access for a namespace that only its labels, known to a cluster, could allow. */
function asKnown(connection: AnyConnection, { metadata }: SyncedSecret): AnyConnection {
  if (connection.kind === "AWSConnection") return connection;
  const { spec } = connection as ClusterAWSConnection;
  const { names } = spec.allow?.namespaces ?? {};
  if (!spec.allow?.namespaces || (names && names.length > 0)) return connection;
  const allow = { ...spec.allow, namespaces: { names: [metadata.namespace!] } };
  return { ...connection, spec: { ...spec, allow } } as ClusterAWSConnection;
}

const base64 = (text: string) => Buffer.from(text, "utf8").toString("base64");
