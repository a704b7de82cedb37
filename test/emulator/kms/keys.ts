import { randomBytes, randomUUID } from "node:crypto";
import type { Clock } from "../../../src/runtime/clock.ts";
import { partitionOf, type Scope } from "../call.ts";
import { type Json, ServiceError } from "../http.ts";
import { type Material, makeKey } from "./material.ts";
import type { KeyStores } from "./stores.ts";

/** A KMS key of one account and region. */
export interface Key extends Scope {
  id: string;
  arn: string;
  spec: string;
  usage: string;
  origin: "AWS_KMS" | "EXTERNAL" | "AWS_CLOUDHSM";
  /** The custom key store that it is in; undefined for a key of KMS's own. */
  storeId?: string | undefined;
  manager: "AWS" | "CUSTOMER";
  description: string;
  /** Milliseconds since the epoch, as every instant here. */
  created: number;
  enabled: boolean;
  /** When it is to be deleted; undefined where no deletion is scheduled. */
  deletionAt?: number | undefined;
  /** When imported material expires; undefined where it does not. */
  validTo?: number | undefined;
  rotating: boolean;
  tags: Map<string, string>;
  material: Material;
  /** The key that a multi-Region key was first made as; itself for that one. */
  primary?: Key;
}

export type KeyState = "Enabled" | "Disabled" | "PendingDeletion" | "PendingImport" | "Unavailable";

/** All keys and aliases. Ids are looked up in the caller's account, ARNs anywhere in the caller's region. */
export class Keys {
  #keys = new Map<string, Key>();
  #aliases = new Map<string, { key: Key; created: number }>();
  #clock: Clock;
  #stores: Pick<KeyStores, "isConnected">;

  constructor(clock: Clock, stores: Pick<KeyStores, "isConnected">) {
    this.#clock = clock;
    this.#stores = stores;
  }

  /** A key that is not kept yet: with an id, enabled. */
  draft(scope: Scope, multiRegion: boolean): Omit<Key, "material" | "spec" | "usage" | "origin" | "description"> {
    const id = multiRegion ? `mrk-${randomBytes(16).toString("hex")}` : randomUUID();
    return {
      account: scope.account,
      region: scope.region,
      id,
      arn: keyArn(scope, id),
      manager: "CUSTOMER",
      created: this.#clock.now(),
      enabled: true,
      rotating: false,
      tags: new Map(),
    };
  }

  add(key: Key): void {
    this.#keys.set(key.arn, key);
  }

  /** The keys of a scope, in the order of their making. */
  in(scope: Scope): Key[] {
    return [...this.#keys.values()].filter(
      (key) => key.account === scope.account && key.region === scope.region && !this.#gone(key),
    );
  }

  /** Every key of the multi-Region family of `key`, itself included. */
  family(key: Key): Key[] {
    return [...this.#keys.values()].filter((other) => other.id === key.id && !this.#gone(other));
  }

  state(key: Key): KeyState {
    if (key.deletionAt !== undefined) return "PendingDeletion";
    if (key.storeId !== undefined && !this.#stores.isConnected(key.storeId)) return "Unavailable";
    if (key.material.kind === "symmetric" && key.validTo !== undefined && this.#clock.now() >= key.validTo) {
      key.material.keys = [];
      key.validTo = undefined;
    }
    if (key.material.kind === "symmetric" && key.material.keys.length === 0) return "PendingImport";
    return key.enabled ? "Enabled" : "Disabled";
  }

  /** @throws ServiceError DisabledException, KMSInvalidStateException where the key cannot be used now */
  usable(key: Key): void {
    const state = this.state(key);
    if (state === "Disabled") throw new ServiceError("DisabledException", `${key.arn} is disabled.`);
    if (state === "PendingDeletion") throw badState(key, "pending deletion");
    if (state === "PendingImport") throw badState(key, "pending import");
    if (state === "Unavailable") throw badState(key, "unavailable");
  }

  /**
   * @param name a key id, a key ARN, an alias name or an alias ARN
   * @throws ServiceError NotFoundException
   */
  find(scope: Scope, name: string): Key {
    if (name.startsWith("alias/") || /^arn:[^:]+:kms:[^:]+:[^:]+:alias\//.test(name)) return this.#byAlias(scope, name);
    if (name.startsWith("arn:")) {
      if (name.split(":")[3] !== scope.region) throw notFound(`Invalid arn ${name.split(":")[3] ?? ""}`);
      const key = this.#keys.get(name);
      if (!key || this.#gone(key)) throw notFound(`Key '${name}' does not exist`);
      return key;
    }
    const arn = keyArn(scope, name);
    const key = this.#keys.get(arn);
    if (!key || this.#gone(key)) throw notFound(`Key '${arn}' does not exist`);
    return key;
  }

  /** The key of any account that made a blob, in the caller's region; for a multi-Region key, the replica there. */
  maker(scope: Scope, id: string): Key | undefined {
    for (const key of this.#keys.values()) {
      if (key.id === id && key.region === scope.region && !this.#gone(key)) return key;
    }
    return undefined;
  }

  #byAlias(scope: Scope, name: string): Key {
    const arn = name.startsWith("alias/") ? aliasArn(scope, name) : name;
    if (arn.split(":")[3] !== scope.region) throw notFound(`Invalid arn ${arn.split(":")[3] ?? ""}`);
    const own = name === ssmAlias || arn === aliasArn(scope, ssmAlias);
    const found = this.#aliases.get(arn) ?? (own ? this.#managed(scope, arn) : undefined);
    if (!found || this.#gone(found.key)) throw notFound(`Alias ${arn} is not found.`);
    return found.key;
  }

  /** The key that AWS makes for Parameter Store in every account at its first use. */
  #managed(scope: Scope, arn: string): { key: Key; created: number } {
    const key: Key = {
      ...this.draft(scope, false),
      manager: "AWS",
      spec: "SYMMETRIC_DEFAULT",
      usage: "ENCRYPT_DECRYPT",
      origin: "AWS_KMS",
      description: "Default key that protects my SSM parameters when no other key is defined",
      material: { kind: "symmetric", keys: [makeKey()] },
    };
    this.add(key);
    const alias = { key, created: this.#clock.now() };
    this.#aliases.set(arn, alias);
    return alias;
  }

  /** @throws ServiceError AlreadyExistsException, ValidationException */
  addAlias(scope: Scope, name: string, key: Key): void {
    if (!/^alias\/[a-zA-Z0-9/_-]{1,250}$/.test(name) || name.startsWith("alias/aws/")) {
      throw new ServiceError("ValidationException", `Alias ${name} is not a valid name of your own`);
    }
    const arn = aliasArn(scope, name);
    if (this.#aliases.has(arn)) {
      throw new ServiceError("AlreadyExistsException", `An alias with the name ${arn} already exists`);
    }
    this.#aliases.set(arn, { key, created: this.#clock.now() });
  }

  /** Takes an alias away; the key stays. @throws ServiceError NotFoundException */
  removeAlias(scope: Scope, name: string): void {
    const arn = aliasArn(scope, name);
    if (!this.#aliases.delete(arn)) throw notFound(`Alias ${arn} is not found.`);
  }

  /** The aliases of a scope in their wire form, of one key or of all. */
  aliases(scope: Scope, key?: Key): Json[] {
    this.find(scope, ssmAlias);
    return [...this.#aliases]
      .filter(([arn, alias]) => arn.startsWith(aliasArn(scope, "alias/")) && (!key || alias.key === key))
      .map(([arn, { key, created }]) => ({
        AliasArn: arn,
        AliasName: arn.slice(arn.indexOf("alias/")),
        TargetKeyId: key.id,
        CreationDate: created / 1000,
      }));
  }

  #gone(key: Key): boolean {
    return key.deletionAt !== undefined && this.#clock.now() >= key.deletionAt;
  }
}

const ssmAlias = "alias/aws/ssm";

export function keyArn({ account, region }: Scope, id: string): string {
  return `arn:${partitionOf(region)}:kms:${region}:${account}:key/${id}`;
}

function aliasArn({ account, region }: Scope, name: string): string {
  return `arn:${partitionOf(region)}:kms:${region}:${account}:${name}`;
}

function notFound(message: string): ServiceError {
  return new ServiceError("NotFoundException", message);
}

function badState(key: Key, what: string): ServiceError {
  return new ServiceError("KMSInvalidStateException", `${key.arn} is ${what}.`);
}
