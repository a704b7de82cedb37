import { createHash } from "node:crypto";
import type { Identities, Identity } from "../../aws/identity.ts";
import {
  type AnyConnection,
  accountOfRole,
  type IdentityFor,
  identitySpec,
  isOfNamespaces,
  type SecretData,
} from "./resolve.ts";

export interface ConnectionIdentitiesOptions {
  connection: AnyConnection;
  /** Of the Secret that holds the connection's static keys; undefined where it names none. */
  data: SecretData | undefined;
  identities: Pick<Identities, "get">;
}

/** Who is told of the identities that read for a connection. */
export interface Told {
  /** Called with each identity before it reads. */
  joined: (identity: Identity) => void;
  /** Called with the key of each that reads no more. */
  left: (identityKey: string) => void;
}

/** The identity of a namespace in the connection's region, and those in the regions that stand in. */
type Reading = Map<string, Identity>;

/**
 * The identities that a connection stands for: one, or one for each namespace that uses it, made when it is first asked
 * for; and the same in each region that stands in.
 */
export class ConnectionIdentities {
  /** A digest of what the identities are made from; two that are equal have the same. */
  readonly digest: string;
  readonly isOfNamespaces: boolean;
  readonly #options: ConnectionIdentitiesOptions;
  /** By namespace, then region; all under "" where there is one identity. */
  readonly #readings = new Map<string, Reading>();
  #told: Told | undefined;

  constructor(options: ConnectionIdentitiesOptions) {
    this.#options = options;
    this.digest = digestOf(options.connection, options.data);
    this.isOfNamespaces = isOfNamespaces(options.connection);
  }

  /** The AWS account, where it is known without asking AWS. */
  get account(): string | undefined {
    return accountOfRole(this.#options.connection);
  }

  /**
   * The identity that reads for a namespace.
   *
   * @param region the connection's own when left out
   * @throws Failure where the connection makes none for this namespace
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

  /** Who receives from the connection's queue: the one identity, or the one that has no namespace. */
  get receiver(): Identity {
    return this.isOfNamespaces ? this.#get({ forQueue: true }) : this.of("");
  }

  /** The namespaces that were asked for, where each is an identity of its own. */
  get namespaces(): string[] {
    return this.isOfNamespaces ? [...this.#readings.keys()] : [];
  }

  /** Those of the connection's own region that were asked for. */
  get atHome(): Identity[] {
    const { region } = this.#options.connection.spec;
    return [...this.#readings.values()].flatMap((reading) => reading.get(region) ?? []);
  }

  /** Every identity that was asked for. */
  get all(): Identity[] {
    return [...this.#readings.values()].flatMap((reading) => [...reading.values()]);
  }

  /** Lets go of the identities of all namespaces but these. */
  keepOnly(namespaces: ReadonlySet<string>): void {
    for (const namespace of this.namespaces) {
      if (namespaces.has(namespace)) continue;
      const reading = this.#readings.get(namespace)!;
      this.#readings.delete(namespace);
      for (const { key } of reading.values()) this.#told?.left(key);
    }
  }

  /**
   * Makes this what the connection stands for: from here on `told` hears of who reads.
   *
   * @param before what it stood for: whose namespaces read on, and of whom `told` has heard
   */
  begin(told: Told, before?: ConnectionIdentities): void {
    this.#told = told;
    for (const identity of this.all) told.joined(identity);
    for (const namespace of before?.namespaces ?? []) {
      try {
        this.of(namespace);
      } catch {
        // Its SyncedSecrets are told when they ask.
      }
    }
    const taken = new Set(this.all.map(({ key }) => key));
    for (const { key } of before?.all ?? []) if (!taken.has(key)) told.left(key);
    // What a reconcile that is under way still asks it for counts nowhere, and so stays behind nowhere.
    if (before) before.#told = undefined;
  }

  /** Makes the connection stand for nobody. */
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
