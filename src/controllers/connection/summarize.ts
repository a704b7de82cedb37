import type { AnyConnection } from "../../api/any-connection.ts";
import { type Condition, readyOf } from "../../api/conditions.ts";
import type { Happening } from "../../kube/events/event-series.ts";
import { formatDuration } from "../../runtime/duration.ts";
import { Failure } from "../../runtime/failure.ts";
import { type Asked, conditionsAfter, failedOver, unseenMessage } from "../conditions.ts";
import type { Resolved } from "./connections.ts";
import { isOfServiceAccounts } from "./resolve.ts";
import { silenceOf } from "./trouble.ts";

/** The facts that a connection's status is computed from. */
export interface ConnectionSnapshot {
  connection: AnyConnection;
  resolved: Resolved;
  /** The condition of its queue; undefined if it names none, or if the queue's state is not known yet. */
  queue: Asked | undefined;
  /** Whether its queue keeps it on one shard with connections to other accounts. */
  isTied: boolean;
  /** The services that do not answer in its region. */
  down: readonly ("ssm" | "kms")[];
  /** For each of its identities: whether it may see the expiries of parameters; see `Expiries.visibilityOf`. */
  visibility: readonly (Failure | "seen" | undefined)[];
  /** Milliseconds between polls that are in effect. */
  pollIntervalMs: number;
  /** Wall time in milliseconds. */
  now: number;
}

/** What is reported about a connection. */
export interface ConnectionSummary {
  status: NonNullable<AnyConnection["status"]>;
  /** Undefined if nothing happened that an Event tells. */
  event: Pick<Happening, "type" | "reason" | "note"> | undefined;
}

type Ready = Extract<Resolved, { state: "ready" }>;

/**
 * This condition reports that the expiry of parameters is not visible. It exists only while True, and does not affect
 * Ready.
 */
const expiryUnknown = "ExpiryUnknown";

/** This condition reports that shards cannot be balanced. It exists only while True, and does not affect Ready. */
const tied: Asked = {
  type: "SharesShard",
  status: "True",
  reason: "SharedQueue",
  message:
    "the event queue is also that of connections to other AWS accounts, so one replica works on all of them: use one queue for each account and region",
};

/** Computes a connection's status and the Event of its change. */
export function summarizeConnection(snapshot: ConnectionSnapshot): ConnectionSummary {
  const { connection, resolved, queue, now } = snapshot;
  const isReady = resolved.state === "ready";
  const generation = connection.metadata.generation ?? 1;
  const before = connection.status?.conditions;
  const ready = readyCondition(resolved);
  const isStalled = !isReady && resolved.failure.next === "stalled";
  const elsewhere = isReady ? failedOverCondition(snapshot) : undefined;
  const all = [
    ready,
    isStalled ? { ...ready, type: "Stalled", status: "True" as const } : undefined,
    elsewhere,
    queue,
    isReady ? expiryCondition(snapshot) : undefined,
    snapshot.isTied ? tied : undefined,
  ];
  // caller() was called just before; if it failed, the last known caller is still correct.
  const caller = singleOf(resolved)?.lastCaller;
  return {
    status: {
      observedGeneration: generation,
      conditions: conditionsAfter(
        before,
        all.filter((one) => one !== undefined),
        generation,
        now,
      ),
      ...(isReady && resolved.account !== undefined ? { accountID: resolved.account } : {}),
      ...(isReady ? { pollInterval: formatDuration(Math.ceil(snapshot.pollIntervalMs / 1_000) * 1_000) } : {}),
      ...(caller ? { callerARN: caller.arn } : {}),
    },
    event: turnOf(before, elsewhere) ?? (isReady ? undefined : warningOf(before, ready)),
  };
}

/** The identity of a connection that has only one. */
function singleOf(resolved: Resolved) {
  return resolved.state === "ready" && !resolved.identities.isOfNamespaces ? resolved.identities.of("") : undefined;
}

function readyCondition(resolved: Resolved): Asked {
  if (resolved.state === "failed") {
    const { reason, message } = resolved.failure;
    return { type: "Ready", status: "False", reason, message };
  }
  const single = singleOf(resolved);
  const message = single
    ? `calls AWS account ${resolved.account} in ${single.region}${silenceOf(resolved)}`
    : namespacesIn(resolved);
  return { type: "Ready", status: "True", reason: "Synced", message };
}

/** The Ready message of a connection with one identity per namespace. */
function namespacesIn({ connection, identities, account }: Ready): string {
  const all = identities.atHome;
  const refused = all.filter(({ refusal }) => refusal !== undefined).length;
  const use = all.length === 1 ? "1 namespace uses it" : `${all.length} namespaces use it`;
  const how = refused === 0 ? "" : `, ${refused} of which cannot be assumed: their SyncedSecrets say why`;
  const { region } = connection.spec;
  if (isOfServiceAccounts(connection)) {
    const by = `by the role of its ServiceAccount ${connection.spec.auth!.serviceAccountRef!.name}`;
    return `each namespace calls AWS${account === undefined ? "" : ` account ${account}`} in ${region} ${by}; ${use}${how}`;
  }
  return `each namespace calls AWS account ${account} in ${region} by a role of its own; ${use}${how}`;
}

/** The condition while a service is down in the connection's region and failover regions are in use. */
function failedOverCondition({ connection, down }: ConnectionSnapshot): Asked | undefined {
  if (down.length === 0) return undefined;
  const { region, failoverRegions = [] } = connection.spec;
  const names = { ssm: "AWS Systems Manager", kms: "AWS KMS" };
  const what = down.map((service) => names[service]).join(" and ");
  const message = `${what} in ${region} ${down.length > 1 ? "do" : "does"} not answer: ${failoverRegions.join(", ")} ${failoverRegions.length > 1 ? "stand" : "stands"} in for blobs under multi-Region keys and for SyncedSecrets that have no Secret yet`;
  return { type: failedOver, status: "True", reason: "Unreachable", message };
}

/** The condition that expiries are not visible. The previous condition is kept until a call has shown the state. */
function expiryCondition({ connection, visibility }: ConnectionSnapshot): Asked | undefined {
  const { metadata, status } = connection;
  // The roles of the namespaces differ only in the namespace, so one missing permission concerns all.
  const failure = visibility.find((one) => one instanceof Failure);
  if (failure) return { type: expiryUnknown, status: "True", reason: failure.reason, message: unseenMessage(failure) };
  if (visibility.includes("seen")) return undefined;
  const before = status?.conditions?.find(({ type }) => type === expiryUnknown);
  return before?.observedGeneration === metadata.generation ? before : undefined;
}

/** The event when a connection's region goes down or recovers. */
function turnOf(before: readonly Condition[] | undefined, now: Asked | undefined): ConnectionSummary["event"] {
  const was = before?.find(({ type }) => type === failedOver);
  if (now && !was) return { type: "Warning", reason: "Unreachable", note: now.message };
  if (!was || now) return undefined;
  return { type: "Normal", reason: "Synced", note: "the connection's own region answers again" };
}

/** The event when a connection is not ready for another reason than before. */
function warningOf(before: readonly Condition[] | undefined, ready: Asked): ConnectionSummary["event"] {
  const was = readyOf({ conditions: before });
  if (was?.reason === ready.reason) return undefined;
  return { type: "Warning", reason: ready.reason, note: ready.message };
}
