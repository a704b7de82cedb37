import type { Clock } from "../runtime/clock.ts";
import { Quota } from "./quota.ts";

/** What has a quota of its own. DescribeParameters is counted by itself, at a rate that AWS does not publish. */
export type Service = "ssm" | "describe" | "kms";

const services = ["ssm", "describe", "kms"] as const;

/** Requests a second where no cluster connection says otherwise: half of Parameter Store's default, and a bit of KMS's. */
const defaults: Readonly<Record<Service, number>> = { ssm: 20, describe: 3, kms: 100 };

/** Milliseconds without a call after which a quota is let go of that no connection leads to. */
const keptMs = 600_000;

/** Identities without a connection whose bounds are remembered, at most; the first that were left go first. */
const formerAtMost = 1_000;

/** What a connection says of the quota that it uses. */
export interface Claim {
  /** The identity that the connection has come to. */
  identityKey: string;
  account: string;
  region: string;
  /** Whether it may speak for everybody: a namespaced connection can only lower its own use. */
  isCluster: boolean;
  limits: Partial<Record<Service, number>>;
}

/** One quota, and where it holds. */
export interface QuotaScope {
  readonly account: string;
  readonly region: string;
  readonly service: Service;
  /** Whether the account is known; else `account` is made up. */
  readonly isKnown: boolean;
  readonly quota: Quota;
}

/**
 * The quotas by account, region and service, shared by all connections that lead there. Of limits that disagree the
 * lowest holds.
 */
export class QuotaRegistry {
  readonly #clock: Clock;
  readonly #defaults: Readonly<Record<Service, number>>;
  readonly #claims = new Map<string, Claim>();
  readonly #scopes = new Map<string, QuotaScope>();
  /** What the last connection of an identity claimed: what is still asked as that identity stays within it. */
  readonly #former = new Map<string, { claim: Claim; at: number }>();
  /** Bounds of the identities of namespaced connections, and of those that no connection has any more. */
  readonly #own = new Map<string, Quota>();
  /** Where each identity leads. */
  readonly #home = new Map<string, { account: string; region: string }>();

  /** @param limits requests a second where no connection says otherwise */
  constructor(clock: Clock, limits: Partial<Record<Service, number>> = {}) {
    this.#clock = clock;
    this.#defaults = { ...defaults, ...limits };
  }

  /**
   * Sets what a connection claims.
   *
   * @returns whether a limit may be another now, for others too
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
   * Takes back what a connection claimed. Its limits hold on for what is still asked as its identity, so that deleting a
   * connection, or making it anew, wins nothing.
   */
  remove(connection: string): void {
    const claim = this.#claims.get(connection);
    if (!claim) return;
    this.#claims.delete(connection);
    this.#leave(claim);
  }

  /** The quota that an identity's calls are counted against. One of an unknown account has its own. */
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

  /** A bound of the identity's own, below the quota; undefined where it has none. */
  own(identityKey: string, service: Service): Quota | undefined {
    return this.#own.get(`${identityKey}/${service}`);
  }

  /** Every quota that is in use. */
  scopes(): Iterable<QuotaScope> {
    return this.#scopes.values();
  }

  /** Lets go of quotas that no connection leads to any more, once what was sent under them is long past. */
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
      // Where the last connection has gone, its limit holds on.
      if (scope && isClaimed) scope.quota.limit = this.#limit(account, region, service);
      this.#updateOwn(identityKey, service);
    }
  }

  #limit(account: string, region: string, service: Service): number {
    const said = [...this.#claims.values()]
      .filter((claim) => claim.isCluster && claim.account === account && claim.region === region)
      .flatMap(({ limits }) => limits[service] ?? []);
    return said.length > 0 ? Math.min(...said) : this.#defaults[service];
  }

  #updateOwn(identityKey: string, service: Service): void {
    const key = `${identityKey}/${service}`;
    const users = [...this.#claims.values()].filter((claim) => claim.identityKey === identityKey);
    // None may slow down others that came to the same identity: where one of them sets no bound, there is none, and of
    // several the highest holds. What a cluster connection says holds for the whole place.
    const said = users.map(({ isCluster, limits }) => (isCluster ? undefined : limits[service]) ?? Infinity);
    const left = this.#former.get(identityKey)?.claim.limits[service] ?? Infinity;
    const limit = users.length === 0 ? left : Math.max(...said);
    if (limit === Infinity) {
      this.#own.delete(key);
      return;
    }
    const own = this.#own.get(key);
    if (own) own.limit = limit;
    else this.#own.set(key, new Quota(this.#clock, limit));
  }
}
