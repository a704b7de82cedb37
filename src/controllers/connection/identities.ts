import { createHash } from "node:crypto";
import type { AnyConnection } from "../../api/any-connection.ts";
import type { Identities, Identity } from "../../aws/identity.ts";
import { accountOfRole, type IdentityFor, identitySpec, isOfNamespaces, type SecretData } from "./resolve.ts";

export interface ConnectionIdentitiesOptions {
  connection: AnyConnection;
  /** Data of the Secret with the connection's static keys; undefined if the connection names none. */
  data: SecretData | undefined;
  identities: Pick<Identities, "get">;
}

/** Receives changes in the set of identities that read for a connection. */
export interface Told {
  /** Called with each identity before it reads. */
  joined: (identity: Identity) => void;
  /** Called with the key of each identity that no longer reads. */
  left: (identityKey: string) => void;
}

/** One namespace's identities by region: the connection's own region and its failover regions. */
type Reading = Map<string, Identity>;

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
  #told: Told | undefined;

  constructor(options: ConnectionIdentitiesOptions) {
    this.#options = options;
    this.digest = digestOf(options.connection, options.data);
    this.isOfNamespaces = isOfNamespaces(options.connection);
  }

  /** The AWS account, if it is known without a call to AWS. */
  get account(): string | undefined {
    return accountOfRole(this.#options.connection);
  }

  /**
   * The identity that reads for a namespace.
   *
   * @param region default: the connection's own region
   * @throws Failure if the connection has no identity for this namespace
   */
  of(namespace: string, region = this.#options.connection.spec.region): Identity {
    const key = this.isOfNamespaces ? namespace : "";
    const reading: Reading = this.#readings.get(key) ?? new Map();
    let identity = reading.get(region);
    if (!identity) {
      identity = this.#get({ region, ...(this.isOfNamespaces ? { namespace } : {}) });
      this.#readings.set(key, reading.set(region, identity));
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
    return [...this.#readings.values()].flatMap((reading) => reading.get(region) ?? []);
  }

  /** All requested identities. */
  get all(): Identity[] {
    return [...this.#readings.values()].flatMap((reading) => [...reading.values()]);
  }

  /** Releases the identities of all other namespaces. */
  keepOnly(namespaces: ReadonlySet<string>): void {
    for (const namespace of this.namespaces) {
      if (namespaces.has(namespace)) continue;
      const reading = this.#readings.get(namespace)!;
      this.#readings.delete(namespace);
      for (const { key } of reading.values()) this.#told?.left(key);
    }
  }

  /**
   * Makes these the connection's current identities. From here on, `told` receives each change.
   *
   * @param before the previous identities: their namespaces keep reading, and `told` already knows them
   */
  begin(told: Told, before?: ConnectionIdentities): void {
    this.#told = told;
    for (const identity of this.all) told.joined(identity);
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
  }

  #get(whom: IdentityFor): Identity {
    const { identities, connection, data } = this.#options;
    return identities.get(identitySpec(connection, data, whom));
  }
}

function digestOf({ spec, metadata }: AnyConnection, data: SecretData | undefined): string {
  const { allow: _allow, pollInterval: _pollInterval, ...rest } = spec;
  return createHash("sha256")
    .update(JSON.stringify([rest, metadata.namespace ?? "", data ?? null]))
    .digest("hex");
}
