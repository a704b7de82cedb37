import { fieldManager } from "../../api/annotations.ts";
import type { Identities } from "../../aws/identity.ts";
import type { KubeClient } from "../../kube/client.ts";
import { KubeError } from "../../kube/errors.ts";
import type { EventRecorder } from "../../kube/recorder.ts";
import { awsConnections, clusterAWSConnections, type KubeObject, secrets } from "../../kube/resource.ts";
import { announcedFactor } from "../../parameters/intervals.ts";
import type { Claim, Quotas } from "../../parameters/quotas.ts";
import type { Clock } from "../../runtime/clock.ts";
import { formatDuration, parseDuration } from "../../runtime/duration.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Log } from "../../runtime/log.ts";
import { type Asked, conditionsAfter, isSame } from "../conditions.ts";
import { conditionWithout } from "../events/condition.ts";
import type { EventHub } from "../events/hub.ts";
import { unseenMessage } from "../syncedsecret/notes.ts";
import type { Connections, Resolved } from "./connections.ts";
import { type AnyConnection, credentialsSecret, identitySpec, type SecretData } from "./resolve.ts";

export interface ConnectionReconcilerOptions {
  /** The connection under a key, as the cluster has it. */
  find: (key: string) => AnyConnection | undefined;
  connections: Connections;
  quotas: Quotas;
  /** By how much the polls of an identity are stretched, for want of quota. */
  stretch: (identityKey: string) => number;
  /** What is known of whether an identity may see the policies of parameters; see `Expiries.sightOf`. */
  sightOf: (identityKey: string) => Failure | "seen" | undefined;
  /** Called when the limits of an account and region may have changed. */
  limited: (account: string, region: string) => void;
  /** Is told of each connection, and says what becomes of its queue. */
  events: Pick<EventHub, "resolved" | "removed" | "condition" | "isProved">;
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
const expiryUnseen = "ExpiryUnseen";
/** Milliseconds until the Secret with a connection's credentials is looked at again. */
const credentialsAgainMs = 60_000;

/**
 * Reconciles both kinds of connection: credentials to an identity, the identity to an account. A connection that was
 * ready stays so while AWS cannot be reached.
 */
export class ConnectionReconciler {
  readonly #options: ConnectionReconcilerOptions;

  constructor(options: ConnectionReconcilerOptions) {
    this.#options = options;
  }

  /** Brings what is known of the connection `key` (see `connectionKey`) up to date, and its status. */
  async reconcile(key: string): Promise<Again> {
    const { connections, quotas, events, changed, find } = this.#options;
    const connection = find(key);
    const before = connections.get(key);
    if (!connection || connection.metadata.deletionTimestamp) {
      connections.remove(key);
      quotas.remove(key);
      events.removed(key);
      // Also where nothing was known of it: its users may have waited for it.
      changed(key);
      return { retry: false, afterMs: Infinity };
    }
    const resolved = await this.#resolve(connection, before);
    connections.set(key, resolved);
    if (resolved.state === "ready" && quotas.set(key, claimOf(resolved))) {
      this.#options.limited(resolved.account, resolved.identity.region);
    }
    if (isDifferent(before, resolved)) changed(key);
    if (resolved.state === "ready") events.resolved(key, connection, resolved.identity, resolved.account);
    else events.removed(key);
    await this.#report(key, connection, resolved);
    if (resolved.state === "failed") return { retry: resolved.failure.next === "retry", afterMs: 60_000 };
    // However seldom parameters are looked at: a Secret that is not ours is not watched, and its keys are replaced.
    const afterMs = credentialsSecret(connection) ? credentialsAgainMs : defaultPollIntervalMs;
    return { retry: false, afterMs: Math.min(resolved.pollIntervalMs, afterMs) };
  }

  async #resolve(connection: AnyConnection, before: Resolved | undefined): Promise<Resolved> {
    const interval = connection.spec.pollInterval;
    const pollIntervalMs = (interval === undefined ? undefined : parseDuration(interval)) ?? defaultPollIntervalMs;
    try {
      checkBinding(connection, this.#options.clusterName);
      const identity = this.#options.identities.get(identitySpec(connection, await this.#credentials(connection)));
      try {
        const { account } = await identity.caller();
        return { state: "ready", connection, identity, account, pollIntervalMs };
      } catch (error) {
        const isSilence = error instanceof Failure && error.next === "retry";
        if (isSilence && before?.state === "ready" && before.identity.key === identity.key) {
          return { ...before, connection, pollIntervalMs };
        }
        throw error;
      }
    } catch (error) {
      if (error instanceof Failure) return { state: "failed", connection, failure: error };
      throw error;
    }
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

  /** That expiries are not seen, and why; what was said before, while nobody has tried. */
  #expiryCondition({ metadata, status }: AnyConnection, resolved: Resolved): Asked[] {
    if (resolved.state === "failed") return [];
    const sight = this.#options.sightOf(resolved.identity.key);
    if (sight === "seen") return [];
    if (sight) return [{ type: expiryUnseen, status: "True", reason: sight.reason, message: unseenMessage(sight) }];
    const before = status?.conditions?.find(({ type }) => type === expiryUnseen);
    return before && before.observedGeneration === metadata.generation ? [before] : [];
  }

  async #report(key: string, connection: AnyConnection, resolved: Resolved): Promise<void> {
    const more = [...this.#eventsCondition(key, connection), ...this.#expiryCondition(connection, resolved)];
    const { client, clock, recorder } = this.#options;
    const generation = connection.metadata.generation ?? 1;
    const ready = resolved.state === "ready";
    const caller = ready ? await resolved.identity.caller().catch(() => undefined) : undefined;
    const condition = ready
      ? {
          type: "Ready",
          status: "True" as const,
          reason: "Synced",
          message: `calls AWS account ${resolved.account} in ${resolved.identity.region}`,
        }
      : { type: "Ready", status: "False" as const, reason: resolved.failure.reason, message: resolved.failure.message };
    const stalled =
      !ready && resolved.failure.next === "stalled" ? [{ ...condition, type: "Stalled", status: "True" as const }] : [];
    const before = connection.status;
    const inEffect = ({ identity, pollIntervalMs }: Ready) => {
      const { stretch, events } = this.#options;
      const ms = pollIntervalMs * (events.isProved(key) ? announcedFactor : 1) * stretch(identity.key);
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
    if (!ready && was?.reason !== condition.reason) {
      const regarding = {
        apiVersion: apiVersion!,
        kind: kind!,
        name: name!,
        uid: uid!,
        ...(namespace ? { namespace } : {}),
      };
      recorder.record(regarding, {
        type: "Warning",
        reason: condition.reason,
        action: "Resolve",
        note: condition.message,
      });
    }
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

/** What a connection says of the quota that it uses. */
function claimOf({ connection, identity, account }: Ready): Claim {
  const { ssmRequestsPerSecond: ssm, kmsRequestsPerSecond: kms } = connection.spec.limits ?? {};
  return {
    identityKey: identity.key,
    account,
    region: identity.region,
    isCluster: connection.kind === "ClusterAWSConnection",
    limits: { ...(ssm === undefined ? {} : { ssm }), ...(kms === undefined ? {} : { kms }) },
  };
}

function isDifferent(before: Resolved | undefined, after: Resolved): boolean {
  if (before?.state !== after.state) return true;
  if (before.state === "failed" || after.state === "failed") {
    return !(before.state === "failed" && after.state === "failed" && before.failure.message === after.failure.message);
  }
  const same =
    before.identity.key === after.identity.key &&
    before.account === after.account &&
    before.pollIntervalMs === after.pollIntervalMs &&
    isSame(before.connection.spec, after.connection.spec);
  return !same;
}
