import type { Clock } from "../../runtime/clock.ts";
import { Quota } from "./quota.ts";

/** The services with a quota. DescribeParameters has a quota of its own, which AWS does not publish. */
export type Service = "ssm" | "describe" | "kms";

const services = ["ssm", "describe", "kms"] as const;

/** Default requests a second: half of Parameter Store's default quota, and a small part of KMS's. */
const defaults: Readonly<Record<Service, number>> = { ssm: 20, describe: 3, kms: 100 };

/** Milliseconds without a call after which a quota without connections is dropped. */
const keptMs = 600_000;

/** Identities without a connection whose limits are remembered, at most; the oldest is dropped first. */
const formerAtMost = 1_000;

/** The quota scope and limits of one connection. */
export interface Claim {
  /** The identity that the connection resolves to. */
  identityKey: string;
  account: string;
  region: string;
  /** Whether the limits apply to the whole quota scope: a namespaced connection can only lower its own use. */
  isCluster: boolean;
  limits: Partial<Record<Service, number>>;
}

/** One quota, and the account, region and service that it applies to. */
export interface QuotaScope {
  readonly account: string;
  readonly region: string;
  readonly service: Service;
  /** Whether the account is known; otherwise `account` is a placeholder. */
  readonly isKnown: boolean;
  readonly quota: Quota;
}

/**
 * The quotas by account, region and service, shared by all connections to that scope. If several connections set a
 * limit, the lowest applies.
 */
export class QuotaRegistry {
  readonly #clock: Clock;
  readonly #defaults: Readonly<Record<Service, number>>;
  readonly #claims = new Map<string, Claim>();
  readonly #scopes = new Map<string, QuotaScope>();
  /** The last claim of an identity without connections: its remaining calls keep these limits. */
  readonly #former = new Map<string, { claim: Claim; at: number }>();
  /** Limits of identities of namespaced connections, and of identities without connections. */
  readonly #own = new Map<string, Quota>();
  /** The account and region of each identity. */
  readonly #home = new Map<string, { account: string; region: string }>();

  /** @param limits requests a second without a connection's limit */
  constructor(clock: Clock, limits: Partial<Record<Service, number>> = {}) {
    this.#clock = clock;
    this.#defaults = { ...defaults, ...limits };
  }

  /**
   * Sets a connection's claim.
   *
   * @returns whether a limit may have changed, also for other connections
   */
  set(connection: string, claim: Claim): boolean {
    const before = this.#claims.get(connection);
    this.#claims.set(connection, claim);
    if (before) this.#leave(before);
    this.#former.delete(claim.identityKey);
    this.#home.set(claim.identityKey, { account: claim.account, region: claim.region });
    this.#update(claim);
    return JSON.stringify(before?.limits ?? {}) !== JSON.stringify(claim.limits);
  }

  /**
   * Removes a connection's claim. Its limits remain for the remaining calls of its identity, so that deleting or
   * recreating a connection does not evade them.
   */
  remove(connection: string): void {
    const claim = this.#claims.get(connection);
    if (!claim) return;
    this.#claims.delete(connection);
    this.#leave(claim);
  }

  /** The quota scope of an identity's calls. An identity of an unknown account has its own. */
  scopeOf(identityKey: string, service: Service): QuotaScope {
    const home = this.#home.get(identityKey);
    const { account, region } = home ?? { account: `of ${identityKey}`, region: "" };
    const key = `${account}/${region}/${service}`;
    let scope = this.#scopes.get(key);
    if (!scope) {
      this.#dropUnused();
      const quota = new Quota(this.#clock, this.#limit(account, region, service));
      scope = { account, region, service, isKnown: home !== undefined, quota };
      this.#scopes.set(key, scope);
    }
    return scope;
  }

  /** The identity's own limit, below the quota; undefined without one. */
  own(identityKey: string, service: Service): Quota | undefined {
    return this.#own.get(`${identityKey}/${service}`);
  }

  /** Every quota that is in use. */
  scopes(): Iterable<QuotaScope> {
    return this.#scopes.values();
  }

  /** Drops quotas and limits without connections that have been idle for `keptMs`. */
  #dropUnused(): void {
    const claimed = new Set([...this.#claims.values()].map(({ account, region }) => `${account}/${region}`));
    for (const [key, { account, region, quota }] of this.#scopes) {
      if (!claimed.has(`${account}/${region}`) && quota.idleMs > keptMs) this.#scopes.delete(key);
    }
    const now = this.#clock.monotonic();
    for (const [identityKey, { at }] of this.#former) {
      const isIdle = services.every((service) => (this.own(identityKey, service)?.idleMs ?? keptMs) >= keptMs);
      const isOver = now - at >= keptMs && isIdle;
      if (!isOver && this.#former.size <= formerAtMost) continue;
      this.#former.delete(identityKey);
      this.#home.delete(identityKey);
      for (const service of services) this.#own.delete(`${identityKey}/${service}`);
    }
  }

  #leave(claim: Claim): void {
    const user = [...this.#claims.values()].findLast(({ identityKey }) => identityKey === claim.identityKey);
    if (user) this.#home.set(user.identityKey, { account: user.account, region: user.region });
    else this.#former.set(claim.identityKey, { claim, at: this.#clock.monotonic() });
    this.#update(claim);
    this.#dropUnused();
  }

  #update({ account, region, identityKey }: Claim): void {
    const isClaimed = [...this.#claims.values()].some((one) => one.account === account && one.region === region);
    for (const service of services) {
      const scope = this.#scopes.get(`${account}/${region}/${service}`);
      // After the last connection is gone, its limit remains.
      if (scope && isClaimed) scope.quota.limit = this.#limit(account, region, service);
      this.#updateOwn(identityKey, service);
    }
  }

  #limit(account: string, region: string, service: Service): number {
    const set = [...this.#claims.values()]
      .filter((claim) => claim.isCluster && claim.account === account && claim.region === region)
      .flatMap(({ limits }) => limits[service] ?? []);
    return set.length > 0 ? Math.min(...set) : this.#defaults[service];
  }

  #updateOwn(identityKey: string, service: Service): void {
    const key = `${identityKey}/${service}`;
    const users = [...this.#claims.values()].filter((claim) => claim.identityKey === identityKey);
    // Connections with the same identity must not slow each other down: the highest limit applies, or none if one of
    // them sets none. A cluster connection limits the whole quota scope instead.
    const set = users.map(({ isCluster, limits }) => (isCluster ? undefined : limits[service]) ?? Infinity);
    const left = this.#former.get(identityKey)?.claim.limits[service] ?? Infinity;
    const limit = users.length === 0 ? left : Math.max(...set);
    if (limit === Infinity) {
      this.#own.delete(key);
      return;
    }
    const own = this.#own.get(key);
    if (own) own.limit = limit;
    else this.#own.set(key, new Quota(this.#clock, limit));
  }
}
