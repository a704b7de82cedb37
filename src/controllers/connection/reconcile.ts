import { fieldManager } from "../../api/annotations.ts";
import type { Condition } from "../../api/conditions.ts";
import type { Identities, Identity } from "../../aws/identity.ts";
import type { KubeClient } from "../../kube/client.ts";
import { KubeError } from "../../kube/errors.ts";
import type { EventRecorder } from "../../kube/recorder.ts";
import { awsConnections, clusterAWSConnections, type KubeObject, secrets } from "../../kube/resource.ts";
import { announcedFactor } from "../../parameters/intervals.ts";
import type { Outages } from "../../parameters/outages.ts";
import type { Claim, QuotaRegistry } from "../../parameters/quota-registry.ts";
import type { Clock } from "../../runtime/clock.ts";
import { formatDuration, parseDuration } from "../../runtime/duration.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Log } from "../../runtime/log.ts";
import { type Asked, conditionsAfter, isSame } from "../conditions.ts";
import { conditionWithout } from "../events/condition.ts";
import type { EventHub } from "../events/hub.ts";
import { unseenMessage } from "../syncedsecret/expiry-conditions.ts";
import { failedOver } from "../syncedsecret/failover.ts";
import type { Connections, Resolved } from "./connections.ts";
import { ConnectionIdentities } from "./identities.ts";
import { type AnyConnection, credentialsSecret, type SecretData } from "./resolve.ts";

export interface ConnectionReconcilerOptions {
  /** The connection under a key, as the cluster has it. */
  find: (key: string) => AnyConnection | undefined;
  connections: Connections;
  quotas: QuotaRegistry;
  /** By how much the polls of an identity are stretched, for want of quota. */
  stretch: (identityKey: string) => number;
  /** What is known of whether an identity may see the policies of parameters; see `Expiries.visibilityOf`. */
  visibilityOf: (identityKey: string) => Failure | "seen" | undefined;
  /** Called when the limits of an account and region may have changed. */
  limited: (account: string, region: string) => void;
  /** Is told of each connection, and says what becomes of its queue. */
  events: Pick<EventHub, "resolved" | "joined" | "left" | "removed" | "condition" | "isProved">;
  /** Watches the identities that have regions to stand in for their own. */
  outages: Pick<Outages, "watch" | "unwatch" | "isDown">;
  /** The namespaces whose SyncedSecrets name a connection. */
  usedFrom: (key: string) => ReadonlySet<string>;
  /** Of another operator, which writes, no status is touched. */
  readOnly: boolean;
  /** Aborted when nothing may be begun any more: what fails from there on is not reported. */
  stopping: AbortSignal;
  identities: Identities;
  /** The operator's `--cluster-name`; empty where it has none. */
  clusterName: string;
  client: KubeClient;
  recorder: EventRecorder;
  clock: Clock;
  log: Log;
  /** Called with a connection's key when what it grants may have changed. */
  changed: (key: string) => void;
}

type Ready = Extract<Resolved, { state: "ready" }>;

/** When a connection is looked at again. */
export interface Again {
  retry: boolean;
  /** Milliseconds. */
  afterMs: number;
}

/** Milliseconds between polls where neither connection nor resource says so. */
export const defaultPollIntervalMs = 300_000;
/** The condition that says that the expiry of parameters is not seen; there only while True, and no part of Ready. */
const expiryUnknown = "ExpiryUnknown";
/** Milliseconds until the Secret with a connection's credentials is looked at again. */
const credentialsAgainMs = 60_000;

/**
 * Reconciles both kinds of connection: credentials to an identity, the identity to an account. A connection that was
 * ready stays so while AWS cannot be reached.
 */
export class ConnectionReconciler {
  readonly #options: ConnectionReconcilerOptions;
  /** What each connection stands for, also while it is not ready: what is under way goes on counting. */
  readonly #current = new Map<string, ConnectionIdentities>();
  /** With read-only: the Ready that was last written here. */
  readonly #own = new Map<string, Asked>();

  constructor(options: ConnectionReconcilerOptions) {
    this.#options = options;
  }

  /** Brings what is known of the connection `key` (see `connectionKey`) up to date, and its status. */
  async reconcile(key: string): Promise<Again> {
    const { connections, events, changed, find } = this.#options;
    const connection = find(key);
    const before = connections.get(key);
    if (!connection || connection.metadata.deletionTimestamp) {
      connections.remove(key);
      this.#current.get(key)?.end();
      this.#current.delete(key);
      this.#own.delete(key);
      events.removed(key);
      // Also where nothing was known of it: its users may have waited for it.
      changed(key);
      return { retry: false, afterMs: Infinity };
    }
    const resolved = await this.#resolve(key, connection, before);
    // What has changed meanwhile is in the queue again: the older spec must not come back.
    const isOver = this.#options.stopping.aborted || !isSameState(connection, find(key));
    if (isOver) return { retry: false, afterMs: Infinity };
    connections.set(key, resolved);
    if (resolved.state === "ready") this.#begin(key, resolved);
    if (isDifferent(before, resolved)) changed(key);
    if (resolved.state === "ready") await this.#receive(key, resolved);
    else events.removed(key);
    await this.#report(key, connection, resolved);
    if (resolved.state === "failed") return { retry: resolved.failure.next === "retry", afterMs: 60_000 };
    // However seldom parameters are looked at: a Secret that is not ours is not watched, and its keys are replaced.
    const afterMs = credentialsSecret(connection) ? credentialsAgainMs : defaultPollIntervalMs;
    return { retry: false, afterMs: Math.min(resolved.pollIntervalMs, afterMs) };
  }

  /** Says of a connection why it could not be reconciled. One that was ready stays so for its users. */
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
    const interval = connection.spec.pollInterval;
    const pollIntervalMs = (interval === undefined ? undefined : parseDuration(interval)) ?? defaultPollIntervalMs;
    try {
      checkBinding(connection, this.#options.clusterName);
      const data = await this.#credentials(connection);
      const made = new ConnectionIdentities({ connection, data, identities: this.#options.identities });
      // Other credentials: what was granted by the old ones is not granted while AWS is asked for the new.
      if (before?.state === "ready" && !isOfSameIdentity(before.identities, made)) {
        this.#options.connections.remove(key);
        this.#options.changed(key);
      }
      const known = before?.state === "ready" && before.identities.digest === made.digest ? before : undefined;
      const common = { state: "ready", connection, pollIntervalMs } as const;
      const identities = known?.identities ?? made;
      // Where each namespace is an identity of its own, its SyncedSecrets say how that fares.
      if (made.isOfNamespaces) return { ...common, identities, account: made.account! };
      try {
        const { account } = await identities.of("").caller();
        return { ...common, identities: account === known?.account ? identities : made, account };
      } catch (error) {
        const isSilence = error instanceof Failure && error.next === "retry";
        if (isSilence && known) return { ...known, connection, pollIntervalMs };
        const account = isSilence ? await accountElsewhere(identities, connection) : undefined;
        if (account === undefined) throw error;
        return { ...common, identities, account };
      }
    } catch (error) {
      if (error instanceof Failure) return { state: "failed", connection, failure: error };
      throw error;
    }
  }

  /** Has a connection's identities count against its quotas, and hear of its events. */
  #begin(key: string, resolved: Ready): void {
    const { quotas, events, limited, usedFrom, outages } = this.#options;
    const { identities, account, connection } = resolved;
    const before = this.#current.get(key);
    if (before !== identities) {
      this.#current.set(key, identities);
      const joined = (identity: Identity) => {
        if (quotas.set(claimName(key, identity.key), claimOf(resolved, identity))) limited(account, identity.region);
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
  }

  /** Has the connection's queue received from, where it names one. */
  async #receive(key: string, { connection, identities, account }: Ready): Promise<void> {
    const { events } = this.#options;
    const receiver = connection.spec.events ? identities.receiver : undefined;
    if (!receiver) return events.removed(key);
    // Where it cannot be told, receiving says why.
    const caller = identities.isOfNamespaces ? await receiver.caller().catch(() => undefined) : { account };
    events.resolved(key, connection, {
      receiver,
      receiverAccount: caller?.account ?? account,
      account,
      readers: identities.atHome,
    });
  }

  async #credentials(connection: AnyConnection): Promise<SecretData | undefined> {
    const ref = credentialsSecret(connection);
    if (!ref) return undefined;
    const where = `${ref.namespace}/${ref.name}`;
    try {
      const secret = await this.#options.client.get<KubeObject & { data?: SecretData }>(
        secrets,
        ref.namespace,
        ref.name,
      );
      return secret.data ?? {};
    } catch (error) {
      if (error instanceof KubeError && error.kind === "notFound") {
        const message = `Secret ${where}, which spec.auth.secretRef names, does not exist: create it with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`;
        throw new Failure("ConnectionNotReady", "wait", message);
      }
      if (error instanceof KubeError && error.kind === "forbidden") {
        throw new Failure("AccessDenied", "wait", `the operator may not get Secret ${where}: allow it by a Role`);
      }
      throw error;
    }
  }

  /** What there is to say of the connection's queue: what was said before, while nothing else is known. */
  #eventsCondition(key: string, connection: AnyConnection): Asked[] {
    if (!connection.spec.events) return [];
    const { connections, events } = this.#options;
    const known = events.condition(key) ?? conditionWithout(connections.get(key)?.state === "ready", connection);
    return known ? [known] : [];
  }

  /** What there is to say while the connection's region is down, and others stand in. */
  #failedOver({ connection, identities }: Ready): Asked[] {
    const { outages } = this.#options;
    const { region, failoverRegions = [] } = connection.spec;
    const services = { ssm: "AWS Systems Manager", kms: "AWS KMS" };
    const down = (["ssm", "kms"] as const).filter((service) =>
      identities.atHome.some(({ key }) => outages.isDown(key, service)),
    );
    if (down.length === 0) return [];
    const what = down.map((service) => services[service]).join(" and ");
    const message = `${what} in ${region} ${down.length > 1 ? "do" : "does"} not answer: ${failoverRegions.join(", ")} ${failoverRegions.length > 1 ? "stand" : "stands"} in for blobs under multi-Region keys and for SyncedSecrets that have no Secret yet`;
    return [{ type: failedOver, status: "True", reason: "Unreachable", message }];
  }

  /** That expiries are not seen, and why; what was said before, while nobody has tried. */
  #expiryCondition({ metadata, status }: AnyConnection, resolved: Resolved): Asked[] {
    if (resolved.state === "failed") return [];
    const stampsByName = resolved.identities.atHome.map(({ key }) => this.#options.visibilityOf(key));
    // Where each namespace is an identity, their roles differ in nothing but the namespace: what one lacks, all lack.
    const stamp = stampsByName.find((one) => one instanceof Failure);
    if (!stamp && stampsByName.includes("seen")) return [];
    if (stamp) return [{ type: expiryUnknown, status: "True", reason: stamp.reason, message: unseenMessage(stamp) }];
    const before = status?.conditions?.find(({ type }) => type === expiryUnknown);
    return before && before.observedGeneration === metadata.generation ? [before] : [];
  }

  async #report(key: string, connection: AnyConnection, resolved: Resolved): Promise<void> {
    const elsewhere = resolved.state === "ready" ? this.#failedOver(resolved) : [];
    const more = [
      ...elsewhere,
      ...this.#eventsCondition(key, connection),
      ...this.#expiryCondition(connection, resolved),
    ];
    const { client, clock, recorder } = this.#options;
    const generation = connection.metadata.generation ?? 1;
    const ready = resolved.state === "ready";
    const single = ready && !resolved.identities.isOfNamespaces ? resolved.identities.of("") : undefined;
    // Who it is has been asked just before, and where nobody answered, that is so still.
    const caller = single?.lastCaller;
    const condition = ready
      ? {
          type: "Ready",
          status: "True" as const,
          reason: "Synced",
          message: single ? `calls AWS account ${resolved.account} in ${single.region}` : namespacesIn(resolved),
        }
      : { type: "Ready", status: "False" as const, reason: resolved.failure.reason, message: resolved.failure.message };
    const stalled =
      !ready && resolved.failure.next === "stalled" ? [{ ...condition, type: "Stalled", status: "True" as const }] : [];
    const before = connection.status;
    const inEffect = ({ identities, pollIntervalMs }: Ready) => {
      const { stretch, events } = this.#options;
      // All of them share one quota.
      const [one] = identities.atHome;
      const ms = pollIntervalMs * (events.isProved(key) ? announcedFactor : 1) * (one ? stretch(one.key) : 1);
      return Math.ceil(ms / 1_000) * 1_000;
    };
    const status = {
      observedGeneration: generation,
      conditions: conditionsAfter(before?.conditions, [condition, ...stalled, ...more], generation, clock.now()),
      ...(ready ? { accountID: resolved.account, pollInterval: formatDuration(inEffect(resolved)) } : {}),
      ...(caller ? { callerARN: caller.arn } : {}),
    };
    if (isSame(before, status)) return;
    const { apiVersion, kind, metadata } = connection;
    const { name, namespace, uid } = metadata;
    const was = before?.conditions?.find(({ type }) => type === "Ready");
    const turn = turnOf(before?.conditions, elsewhere[0]);
    if (turn || (!ready && was?.reason !== condition.reason)) {
      const regarding = {
        apiVersion: apiVersion!,
        kind: kind!,
        name: name!,
        uid: uid!,
        ...(namespace ? { namespace } : {}),
      };
      const note = { type: "Warning", reason: condition.reason, note: condition.message } as const;
      recorder.record(regarding, { ...(turn ?? note), action: "Resolve" });
    }
    const own = this.#own.get(key);
    const isOwn = was === undefined || (was.message === own?.message && was.status === own.status);
    if (this.#options.readOnly && !isOwn) return;
    this.#own.set(key, condition);
    try {
      await client.apply(
        kind === "AWSConnection" ? awsConnections : clusterAWSConnections,
        { apiVersion, kind, metadata: { name, ...(namespace ? { namespace } : {}) }, status } as unknown as KubeObject,
        { fieldManager, force: true, subresource: "status" },
      );
    } catch (error) {
      // Deleted meanwhile: there is nobody to tell.
      if (!(error instanceof KubeError && error.kind === "notFound")) throw error;
    }
  }
}

/** @throws Failure where ciphertexts are to carry the cluster's name, and it has none */
function checkBinding({ spec }: AnyConnection, clusterName: string): void {
  const scope = spec.binding?.scope ?? "None";
  if (scope === "None" || clusterName !== "") return;
  const message = `spec.binding.scope ${scope} needs a name for this cluster, which every ciphertext then carries: start the operator with --cluster-name (the chart's clusterName)`;
  throw new Failure("ConnectionNotReady", "wait", message);
}

/**
 * The account, as the region says that stands in and answers first; undefined where none does. All are asked at once: one
 * that hangs keeps a place that other connections wait for.
 */
async function accountElsewhere(
  identities: ConnectionIdentities,
  { spec }: AnyConnection,
): Promise<string | undefined> {
  const asked = (spec.failoverRegions ?? []).map(async (region) => identities.of("", region).caller());
  const caller = await Promise.any(asked).catch(() => undefined);
  return caller?.account;
}

/** What is to be said of a connection whose namespaces are identities of their own. */
function namespacesIn({ connection, identities, account }: Ready): string {
  const all = identities.atHome;
  const refused = all.filter(({ refusal }) => refusal !== undefined).length;
  const use = all.length === 1 ? "1 namespace uses it" : `${all.length} namespaces use it`;
  const how = refused === 0 ? "" : `, ${refused} of which cannot be assumed: their SyncedSecrets say why`;
  return `each namespace calls AWS account ${account} in ${connection.spec.region} by a role of its own; ${use}${how}`;
}

/** The event where a connection's region is down for the first time, or answers again. */
function turnOf(before: readonly Condition[] | undefined, now: Asked | undefined) {
  const was = before?.find(({ type }) => type === failedOver);
  if (now && !was) return { type: "Warning", reason: "Unreachable", note: now.message } as const;
  if (!was || now) return undefined;
  return { type: "Normal", reason: "Synced", note: "the connection's own region answers again" } as const;
}

/** What a connection's claim for one of its identities is called. */
function claimName(key: string, identityKey: string): string {
  return `${key} ${identityKey}`;
}

/** What a connection says of the quota that an identity of its uses. */
/** What a connection claims of the quota that an identity of its own uses. */
export function claimOf({ connection, account }: Pick<Ready, "connection" | "account">, identity: Identity): Claim {
  const { ssmRequestsPerSecond: ssm, kmsRequestsPerSecond: kms } = connection.spec.limits ?? {};
  return {
    identityKey: identity.key,
    account,
    region: identity.region,
    isCluster: connection.kind === "ClusterAWSConnection",
    limits: { ...(ssm === undefined ? {} : { ssm }), ...(kms === undefined ? {} : { kms }) },
  };
}

/** Whether a connection is still what it was when its reconcile began. */
function isSameState({ metadata: before }: AnyConnection, now: AnyConnection | undefined): boolean {
  return (
    before.uid === now?.metadata.uid &&
    before.generation === now?.metadata.generation &&
    now?.metadata.deletionTimestamp === undefined
  );
}

/** @throws Failure where the connection makes no identity */
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
