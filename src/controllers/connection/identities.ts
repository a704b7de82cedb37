import { createHash } from "node:crypto";
import type { AnyConnection } from "../../api/any-connection.ts";
import type { Identities, Identity } from "../../aws/identity.ts";
import type { WebIdentity } from "../../aws/identity-spec.ts";
import { accountOfArn } from "../../aws/names.ts";
import type { ServiceAccountName } from "../../kube/service-account-tokens.ts";
import { Failure } from "../../runtime/failure.ts";
import {
  accountOfRole,
  type IdentityFor,
  identitySpec,
  isOfNamespaces,
  type SecretData,
  serviceAccountOf,
} from "./resolve.ts";
import type { RoleAnswer, ServiceAccounts } from "./service-accounts.ts";

export interface ConnectionIdentitiesOptions {
  connection: AnyConnection;
  /** Data of the Secret with the connection's static keys; undefined if the connection names none. */
  data: SecretData | undefined;
  identities: Pick<Identities, "get">;
  /** The roles and tokens of ServiceAccounts; required if the connection names one. */
  accounts?: Pick<ServiceAccounts, "roleOf" | "tokensOf">;
  /** The role of the connection's single ServiceAccount; undefined if each namespace has its own, or none is named. */
  role?: string | undefined;
}

/** Receives changes in the set of identities that read for a connection. */
export interface Told {
  /** Called with each identity before it reads. */
  joined: (identity: Identity) => void;
  /** Called with the key of each identity that no longer reads. */
  left: (identityKey: string) => void;
}

/** One namespace's identities. */
interface Reading {
  /** By region: the connection's own region and its failover regions. */
  byRegion: Map<string, Identity>;
  /** The role of the namespace's ServiceAccount, if each namespace has its own. */
  role: string | undefined;
}

/**
 * The identities of a connection: one, or one for each namespace that uses it, in each of its regions. They are created
 * on first use.
 */
export class ConnectionIdentities {
  /** A digest of the inputs of the identities; equal digests mean equal identities. */
  readonly digest: string;
  readonly isOfNamespaces: boolean;
  readonly #options: ConnectionIdentitiesOptions;
  /** By namespace, then by region. A single identity is stored under "". */
  readonly #readings = new Map<string, Reading>();
  /** The namespaces that asked for an identity, also in vain, if each has its own ServiceAccount. */
  readonly #asked = new Set<string>();
  #told: Told | undefined;

  constructor(options: ConnectionIdentitiesOptions) {
    this.#options = options;
    this.digest = digestOf(options);
    this.isOfNamespaces = isOfNamespaces(options.connection);
  }

  /** The AWS account of all identities, if it is known without a call to AWS. */
  get account(): string | undefined {
    const { connection, role } = this.#options;
    return accountOfRole(connection) ?? (role === undefined ? undefined : accountOfArn(role));
  }

  /** Reports whether the role of a namespace's ServiceAccount is not known yet; `of` then throws. */
  isPending(namespace: string): boolean {
    return this.#roleFor(namespace) === "pending";
  }

  /**
   * The identity that reads for a namespace.
   *
   * @param region default: the connection's own region
   * @throws Failure if the connection has no identity for this namespace
   */
  of(namespace: string, region = this.#options.connection.spec.region): Identity {
    const key = this.isOfNamespaces ? namespace : "";
    const role = this.#roleFor(namespace);
    if (role instanceof Failure) throw role;
    if (role === "pending") throw new Failure("ConnectionNotReady", "retry", "the ServiceAccount is being read");
    const before = this.#readings.get(key);
    // Another role is another identity: what the old one has read is not the new one's.
    if (before && before.role !== role) this.#release(key);
    const reading: Reading = this.#readings.get(key) ?? { byRegion: new Map(), role };
    let identity = reading.byRegion.get(region);
    if (!identity) {
      identity = this.#get({ region, ...(this.isOfNamespaces ? { namespace } : {}) });
      reading.byRegion.set(region, identity);
      this.#readings.set(key, reading);
      this.#told?.joined(identity);
    }
    return identity;
  }

  /**
   * The identity that receives from the connection's queue: the single identity, or the identity without a namespace.
   */
  get receiver(): Identity {
    return this.isOfNamespaces ? this.#get({ forQueue: true }) : this.of("");
  }

  /** The namespaces whose identities were requested, if each namespace has its own identity. */
  get namespaces(): string[] {
    return this.isOfNamespaces ? [...this.#readings.keys()] : [];
  }

  /** The requested identities in the connection's own region. */
  get atHome(): Identity[] {
    const { region } = this.#options.connection.spec;
    return [...this.#readings.values()].flatMap(({ byRegion }) => byRegion.get(region) ?? []);
  }

  /** All requested identities. */
  get all(): Identity[] {
    return [...this.#readings.values()].flatMap(({ byRegion }) => [...byRegion.values()]);
  }

  /** Releases the identities of all other namespaces. */
  keepOnly(namespaces: ReadonlySet<string>): void {
    for (const namespace of this.#asked) if (!namespaces.has(namespace)) this.#asked.delete(namespace);
    for (const namespace of this.namespaces) if (!namespaces.has(namespace)) this.#release(namespace);
  }

  /** The ServiceAccounts that the connection uses. Their roles are read again if that is due. */
  refreshAccounts(): ServiceAccountName[] {
    const { connection, accounts } = this.#options;
    const single = serviceAccountOf(connection);
    if (single) return [single];
    const used = [...this.#asked].flatMap((namespace) => serviceAccountOf(connection, namespace) ?? []);
    for (const account of used) accounts?.roleOf(account);
    return used;
  }

  /**
   * Makes these the connection's current identities. From here on, `told` receives each change.
   *
   * @param before the previous identities: their namespaces keep reading, and `told` already knows them
   */
  begin(told: Told, before?: ConnectionIdentities): void {
    this.#told = told;
    for (const identity of this.all) told.joined(identity);
    if (before) for (const namespace of before.#asked) this.#asked.add(namespace);
    for (const namespace of before?.namespaces ?? []) {
      try {
        this.of(namespace);
      } catch {
        // The SyncedSecrets of the namespace get this error from their own request.
      }
    }
    const taken = new Set(this.all.map(({ key }) => key));
    for (const { key } of before?.all ?? []) if (!taken.has(key)) told.left(key);
    // Identities that a reconcile in flight still requests from `before` are not registered, so they cannot leak.
    if (before) before.#told = undefined;
  }

  /** Releases all identities of the connection. */
  end(): void {
    for (const { key } of this.all) this.#told?.left(key);
    this.#told = undefined;
    this.#readings.clear();
    this.#asked.clear();
  }

  #release(namespace: string): void {
    const reading = this.#readings.get(namespace);
    this.#readings.delete(namespace);
    for (const { key } of reading?.byRegion.values() ?? []) this.#told?.left(key);
  }

  /** The role of the ServiceAccount that reads for a namespace; undefined if none does. */
  #roleFor(namespace: string): RoleAnswer | "pending" | undefined {
    const { connection, accounts, role } = this.#options;
    if (!connection.spec.auth?.serviceAccountRef || role !== undefined) return role;
    const account = serviceAccountOf(connection, namespace);
    if (!account || !accounts) return undefined;
    this.#asked.add(namespace);
    return accounts.roleOf(account) ?? "pending";
  }

  #get(whom: IdentityFor): Identity {
    const { identities, connection, data } = this.#options;
    return identities.get(identitySpec(connection, { data, webIdentity: this.#webIdentity(whom) }, whom));
  }

  #webIdentity({ namespace }: IdentityFor): WebIdentity | undefined {
    const { connection, accounts } = this.#options;
    const account = serviceAccountOf(connection, namespace);
    const roleArn = account && accounts && this.#roleFor(namespace ?? "");
    if (typeof roleArn !== "string") return undefined;
    const serviceAccount = `${account!.namespace}/${account!.name}`;
    return { serviceAccount, roleArn, tokens: accounts!.tokensOf(account!, roleArn) };
  }
}

function digestOf({ connection, data, role }: ConnectionIdentitiesOptions): string {
  const { spec, metadata } = connection;
  const { allow: _allow, pollInterval: _pollInterval, ...rest } = spec;
  return createHash("sha256")
    .update(JSON.stringify([rest, metadata.namespace ?? "", data ?? null, role ?? null]))
    .digest("hex");
}
