import type { AnyConnection } from "../../api/any-connection.ts";
import type { Identities, Identity } from "../../aws/identity.ts";
import type { Outages } from "../../aws/ratelimit/outages.ts";
import type { Claim, QuotaRegistry } from "../../aws/ratelimit/quota-registry.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import type { EventRecorder } from "../../kube/events/recorder.ts";
import type { LeaderView } from "../../kube/leases/lease-observer.ts";
import { announcedFactor } from "../../parameters/schedule/intervals.ts";
import type { Clock } from "../../runtime/clock.ts";
import { durationOr } from "../../runtime/duration.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Log } from "../../runtime/log.ts";
import { type Asked, isSame } from "../conditions.ts";
import { conditionWithout } from "../events/condition.ts";
import type { EventHub } from "../events/hub.ts";
import type { Placement } from "../placement.ts";
import type { Connections, Resolved } from "./connections.ts";
import { ConnectionIdentities } from "./identities.ts";
import { credentialsSecret } from "./resolve.ts";
import type { ServiceAccounts } from "./service-accounts.ts";
import { startOf } from "./start.ts";
import { ConnectionStatuses } from "./statuses.ts";
import { type ConnectionSnapshot, summarizeConnection } from "./summarize.ts";
import { logTurn } from "./trouble.ts";

export interface ConnectionReconcilerOptions {
  /** The connection under a key, from the watch cache. */
  find: (key: string) => AnyConnection | undefined;
  connections: Connections;
  quotas: QuotaRegistry;
  /** The factor by which an identity's polls are stretched for lack of quota. */
  stretch: (identityKey: string) => number;
  /** Whether an identity may see the policies of parameters; see `Expiries.visibilityOf`. */
  visibilityOf: (identityKey: string) => Failure | "seen" | undefined;
  /** Called when the limits of an account and region may have changed. */
  limited: (account: string, region: string) => void;
  /** Receives each connection, and reports the state of its queue. */
  events: Pick<EventHub, "resolved" | "joined" | "left" | "removed" | "condition" | "isProved">;
  /** Watches the identities that have failover regions. */
  outages: Pick<Outages, "watch" | "unwatch" | "isDown">;
  /** The namespaces whose SyncedSecrets name a connection. */
  usedFrom: (key: string) => ReadonlySet<string>;
  /** If true, another operator writes, and this one updates no status. */
  readOnly: boolean;
  /** With `readOnly`: whether another operator leads. */
  leader: LeaderView | undefined;
  /** Aborted when the operator stops. Later errors are not reported. */
  stopping: AbortSignal;
  identities: Identities;
  serviceAccounts: ServiceAccounts;
  /** The operator's `--cluster-name`; empty if not set. */
  clusterName: string;
  client: KubeClient;
  recorder: EventRecorder;
  clock: Clock;
  log: Log;
  /** Called with a connection's key when its grants may have changed. */
  changed: (key: string) => void;
  /** Undefined if the work is not split into shards. */
  placement?: Placement | undefined;
}

type Ready = Extract<Resolved, { state: "ready" }>;

/** When to reconcile a connection again. */
export interface Again {
  retry: boolean;
  /** Milliseconds. */
  afterMs: number;
}

/** Default milliseconds between polls, if neither the connection nor the SyncedSecret sets an interval. */
export const defaultPollIntervalMs = 300_000;
/** Milliseconds until the Secret or the ServiceAccount with a connection's credentials is read again. */
const credentialsAgainMs = 60_000;

/**
 * Reconciles both kinds of connection: resolves credentials to an identity, and the identity to an account. A ready
 * connection stays ready while AWS is unreachable.
 */
export class ConnectionReconciler {
  readonly #options: ConnectionReconcilerOptions;
  /**
   * Each connection's identities. They stay registered while the connection is not ready, because calls in flight use
   * quota.
   */
  readonly #current = new Map<string, ConnectionIdentities>();
  readonly #statuses: ConnectionStatuses;

  constructor(options: ConnectionReconcilerOptions) {
    this.#options = options;
    this.#statuses = new ConnectionStatuses(options);
  }

  /** Updates the state and the status of the connection `key` (see `connectionKey`). */
  async reconcile(key: string): Promise<Again> {
    const { connections, events, changed, find } = this.#options;
    const connection = find(key);
    const before = connections.get(key);
    if (!connection || connection.metadata.deletionTimestamp) {
      connections.remove(key);
      this.#current.get(key)?.end();
      this.#current.delete(key);
      this.#statuses.forget(key);
      this.#options.serviceAccounts.keepFor(key, []);
      events.removed(key);
      // Also if the connection was unknown: its SyncedSecrets may have waited for it.
      changed(key);
      return { retry: false, afterMs: Infinity };
    }
    const resolved = await this.#resolve(key, connection, before);
    // A connection that changed meanwhile is queued again. Do not store the result of the older spec.
    const isOver = this.#options.stopping.aborted || !isSameState(connection, find(key));
    if (isOver) return { retry: false, afterMs: Infinity };
    if (resolved.state === "ready" && !this.#isPlacedHere(key, resolved)) {
      connections.remove(key);
      changed(key);
      return { retry: false, afterMs: Infinity };
    }
    connections.set(key, resolved);
    logTurn(this.#options.log, key, { before, now: resolved });
    if (resolved.state === "ready") this.#begin(key, resolved);
    if (isDifferent(before, resolved)) changed(key);
    if (resolved.state === "ready") await this.#receive(key, resolved);
    else events.removed(key);
    if (!(await this.#report(key, connection, resolved))) return { retry: true, afterMs: Infinity };
    if (resolved.state === "failed") return { retry: resolved.failure.next === "retry", afterMs: 60_000 };
    // Independent of the poll interval: a Secret without our label is not watched, and its keys may be rotated.
    const isOutside = credentialsSecret(connection) ?? connection.spec.auth?.serviceAccountRef;
    const afterMs = isOutside ? credentialsAgainMs : defaultPollIntervalMs;
    return { retry: false, afterMs: Math.min(resolved.pollIntervalMs, afterMs) };
  }

  /** Whether this engine may work on a connection. If another shard may have to, it grants nothing until that is known. */
  #isPlacedHere(key: string, { account, connection }: Ready): boolean {
    const { placement } = this.#options;
    return placement?.settle(key, { account, region: connection.spec.region }) ?? true;
  }

  /** Reports why a connection could not be reconciled. A ready connection stays ready for its SyncedSecrets. */
  async failed(key: string, failure: Failure): Promise<void> {
    const { connections, changed, find } = this.#options;
    const connection = find(key);
    if (!connection) return;
    const failed: Resolved = { state: "failed", connection, failure };
    if (!connections.get(key)) {
      connections.set(key, failed);
      changed(key);
    }
    await this.#report(key, connection, failed);
  }

  async #resolve(key: string, connection: AnyConnection, before: Resolved | undefined): Promise<Resolved> {
    const pollIntervalMs = durationOr(connection.spec.pollInterval, defaultPollIntervalMs);
    try {
      checkBinding(connection, this.#options.clusterName);
      const { client, identities: all, serviceAccounts: accounts } = this.#options;
      const start = await startOf(connection, client, accounts);
      const made = new ConnectionIdentities({ connection, ...start, identities: all, accounts });
      // The credentials have changed: revoke the old grants while AWS resolves the new identity.
      if (before?.state === "ready" && !isOfSameIdentity(before.identities, made)) {
        this.#options.connections.remove(key);
        this.#options.changed(key);
      }
      const known = before?.state === "ready" && before.identities.digest === made.digest ? before : undefined;
      const common = { state: "ready", connection, pollIntervalMs } as const;
      const identities = known?.identities ?? made;
      // If each namespace has its own identity, the SyncedSecrets report its errors.
      if (made.isOfNamespaces) return { ...common, identities, account: made.account };
      try {
        const { account } = await identities.of("").caller();
        return { ...common, identities: account === known?.account ? identities : made, account };
      } catch (error) {
        const isSilence = error instanceof Failure && error.next === "retry";
        if (isSilence && known) {
          const since = known.unanswered?.since ?? this.#options.clock.now();
          return { ...known, connection, pollIntervalMs, unanswered: { since, failure: error } };
        }
        const account = isSilence ? await accountElsewhere(identities, connection) : undefined;
        if (account === undefined) throw error;
        return { ...common, identities, account };
      }
    } catch (error) {
      if (error instanceof Failure) return { state: "failed", connection, failure: error };
      throw error;
    }
  }

  /** Registers a connection's identities with the quota registry, the event hub and the outage detection. */
  #begin(key: string, resolved: Ready): void {
    const { quotas, events, limited, usedFrom, outages, serviceAccounts } = this.#options;
    const { identities, connection } = resolved;
    const before = this.#current.get(key);
    if (before !== identities) {
      this.#current.set(key, identities);
      const joined = (identity: Identity) => {
        const claim = claimOf(resolved, identity);
        if (quotas.set(claimName(key, identity.key), claim)) limited(claim.account, identity.region);
        events.joined(key, identity);
        if (connection.spec.failoverRegions?.length) outages.watch(key, identity);
        else outages.unwatch(key, identity.key);
      };
      const left = (identityKey: string) => {
        quotas.remove(claimName(key, identityKey));
        events.left(key, identityKey);
        outages.unwatch(key, identityKey);
      };
      identities.begin({ joined, left }, before);
    }
    identities.keepOnly(usedFrom(key));
    serviceAccounts.keepFor(key, identities.refreshAccounts());
  }

  /** Starts to receive from the connection's queue, if it names one. */
  async #receive(key: string, { connection, identities, account }: Ready): Promise<void> {
    const { events } = this.#options;
    const receiver = connection.spec.events ? identities.receiver : undefined;
    if (!receiver) return events.removed(key);
    // If the account is unknown, the error of ReceiveMessage tells why.
    const caller = identities.isOfNamespaces ? await receiver.caller().catch(() => undefined) : undefined;
    const receiverAccount = caller?.account ?? account ?? "";
    events.resolved(key, connection, {
      receiver,
      receiverAccount,
      // Events are of the account of the queue's rule; ServiceAccounts of other accounts are polled.
      account: account ?? receiverAccount,
      readers: identities.atHome,
    });
  }

  /** The condition of the connection's queue. The previous condition is kept until the state is known. */
  #queueCondition(key: string, connection: AnyConnection): Asked | undefined {
    if (!connection.spec.events) return undefined;
    const { connections, events } = this.#options;
    return events.condition(key) ?? conditionWithout(connections.get(key)?.state === "ready", connection);
  }

  /** What the status of the connection is computed from. */
  #snapshot(key: string, connection: AnyConnection, resolved: Resolved): ConnectionSnapshot {
    const { outages, visibilityOf, stretch, events, clock, placement } = this.#options;
    const atHome = resolved.state === "ready" ? resolved.identities.atHome : [];
    // All identities share one quota.
    const factor = (events.isProved(key) ? announcedFactor : 1) * (atHome[0] ? stretch(atHome[0].key) : 1);
    const isDown = (service: "ssm" | "kms") => atHome.some((one) => outages.isDown(one.key, service));
    return {
      connection,
      resolved,
      queue: this.#queueCondition(key, connection),
      isTied: placement?.isTied(key) ?? false,
      down: (["ssm", "kms"] as const).filter(isDown),
      visibility: atHome.map((one) => visibilityOf(one.key)),
      pollIntervalMs: resolved.state === "ready" ? resolved.pollIntervalMs * factor : defaultPollIntervalMs,
      now: clock.now(),
    };
  }

  /** @returns false if the status must be decided again, on a newer version of the connection */
  async #report(key: string, reconciled: AnyConnection, resolved: Resolved): Promise<boolean> {
    const shown = this.#options.find(key);
    // A connection that has changed is queued again.
    if (!shown || !isSameState(reconciled, shown)) return true;
    const connection = this.#statuses.latest(key, shown);
    const { status, event } = summarizeConnection(this.#snapshot(key, connection, resolved));
    if (isSame(connection.status, status)) return true;
    const { apiVersion, kind, metadata } = connection;
    const name = { name: metadata.name!, ...(metadata.namespace ? { namespace: metadata.namespace } : {}) };
    if (event) {
      const regarding = { apiVersion: apiVersion!, kind: kind!, uid: metadata.uid!, ...name };
      this.#options.recorder.record(regarding, { ...event, action: "Resolve" });
    }
    return this.#statuses.write(key, connection, status);
  }
}

/** @throws Failure if ciphertexts are bound to the cluster's name and the cluster has none */
function checkBinding({ spec }: AnyConnection, clusterName: string): void {
  const scope = spec.binding?.scope ?? "None";
  if (scope === "None" || clusterName !== "") return;
  const message = `spec.binding.scope ${scope} needs a name for this cluster, which every ciphertext then carries: start the operator with --cluster-name (the chart's clusterName)`;
  throw new Failure("ConnectionNotReady", "wait", message);
}

/**
 * The account, from the first failover region that answers; undefined if none does. All regions are asked in parallel:
 * a call that hangs occupies a slot that other connections wait for.
 */
async function accountElsewhere(
  identities: ConnectionIdentities,
  { spec }: AnyConnection,
): Promise<string | undefined> {
  const asked = (spec.failoverRegions ?? []).map(async (region) => identities.of("", region).caller());
  const caller = await Promise.any(asked).catch(() => undefined);
  return caller?.account;
}

/** The quota registry's name for a connection's claim. */
function claimName(key: string, identityKey: string): string {
  return `${key} ${identityKey}`;
}

/** A connection's claim on the quota of one of its identities. */
export function claimOf({ connection, account }: Pick<Ready, "connection" | "account">, identity: Identity): Claim {
  const { ssmRequestsPerSecond: ssm, kmsRequestsPerSecond: kms } = connection.spec.limits ?? {};
  return {
    identityKey: identity.key,
    account: account ?? identity.account!,
    region: identity.region,
    isCluster: connection.kind === "ClusterAWSConnection",
    limits: { ...(ssm === undefined ? {} : { ssm }), ...(kms === undefined ? {} : { kms }) },
  };
}

/** Reports whether a connection has the same uid and generation as when its reconcile began. */
function isSameState({ metadata: before }: AnyConnection, now: AnyConnection | undefined): boolean {
  return (
    before.uid === now?.metadata.uid &&
    before.generation === now?.metadata.generation &&
    now?.metadata.deletionTimestamp === undefined
  );
}

/** @throws Failure if the connection has no identity */
function isOfSameIdentity(before: ConnectionIdentities, after: ConnectionIdentities): boolean {
  if (before.digest === after.digest) return true;
  return !before.isOfNamespaces && !after.isOfNamespaces && before.of("").key === after.of("").key;
}

function isDifferent(before: Resolved | undefined, after: Resolved): boolean {
  if (before?.state !== after.state) return true;
  if (before.state === "failed" || after.state === "failed") {
    return !(before.state === "failed" && after.state === "failed" && before.failure.message === after.failure.message);
  }
  const same =
    before.identities === after.identities &&
    before.account === after.account &&
    before.pollIntervalMs === after.pollIntervalMs &&
    isSame(before.connection.spec, after.connection.spec);
  return !same;
}
