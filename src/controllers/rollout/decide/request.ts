import { rolledOutSince } from "../../../api/rollout-status.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import type { ObjectMeta } from "../../../kube/resource.ts";
import { durationOr } from "../../../runtime/duration.ts";
import { standing } from "../../syncedsecret/decide/ownership.ts";
import { presentAnnotation, presentRestartRevision } from "../../syncedsecret/decide/restart-revision.ts";
import { parseHeld } from "../../syncedsecret/decide/revert-records.ts";
import { targetOf } from "../../syncedsecret/plan/target.ts";
import { entryOf } from "../../syncedsecret/trust/applied.ts";
import { markOf } from "./mark.ts";
import type { Request, RestartRecord, State } from "./snapshot.ts";
import { idOf } from "./workload.ts";

const defaults = { minIntervalMs: 60_000, bakeMs: 600_000, progressDeadlineMs: 600_000 };

/** Whether a SyncedSecret asks for rollouts. */
export function asksForRollout({ spec }: SyncedSecret): boolean {
  return (spec.rollout?.mode ?? "None") !== "None";
}

/** What is known of the Secret of a SyncedSecret that asks for rollouts. */
export interface RolloutSource {
  /** The request; `seenAt`, `opening` and `bake` are left to the caller, who knows the time. */
  request: Omit<Request, "seenAt" | "opening" | "bake"> & { bakeMs: number };
  /** The Secret's revision; undefined while there is no Secret of this SyncedSecret. */
  written: string | undefined;
}

/**
 * Reads what a SyncedSecret asks for.
 *
 * @param metadata of the Secret with the target's name
 */
export function sourceOf(resource: SyncedSecret, metadata: ObjectMeta | undefined): RolloutSource {
  const target = targetOf(resource);
  const found = standing(resource, target, metadata);
  const present = found.state === "ours" ? found.metadata : undefined;
  const { mode, targets = [], first = [], bake, order, onFailure, ...times } = resource.spec.rollout!;
  const time = present && entryOf(target, present)?.time;
  const revision = present && presentRestartRevision({ present, target });
  const since = revision === undefined ? undefined : rolledOutSince(resource.status ?? {}, revision);
  return {
    request: {
      key: `${resource.metadata.namespace}/${resource.metadata.name}`,
      secret: target.name,
      mark: markOf(target, resource.metadata.uid!),
      revision,
      // Without a time every pod counts as older.
      changedAt: time === undefined ? Number.POSITIVE_INFINITY : Date.parse(time),
      targets: mode === "Listed" ? targets.map(idOf) : undefined,
      first: first.map(idOf),
      bakeMs: durationOr(bake, defaults.bakeMs),
      isOneByOne: order === "OneByOne",
      pausesOnFailure: onFailure !== "Continue",
      rolledOutAt: since === undefined ? undefined : Date.parse(since),
      revertsOnFailure: onFailure === "Revert",
      isSettled: isSettled(resource, present && { present, target }),
      heldBack: present && heldBackIn({ present, target }, time),
      minIntervalMs: durationOr(times.minInterval, defaults.minIntervalMs),
      progressDeadlineMs: durationOr(times.progressDeadline, defaults.progressDeadlineMs),
      records: recordsOf(resource),
      current: currentOf(resource, revision),
      completed: restartedAs("Current", resource, revision),
      failed: restartedAs("Failed", resource, revision),
    },
    written: present?.annotations?.[target.revisionAnnotation],
  };
}

/** Whether the Secret stays as it is although a rollout fails. */
function isSettled(
  { status }: SyncedSecret,
  secret: Parameters<typeof presentRestartRevision>[0] | undefined,
): boolean {
  if (status?.heldBack?.problem !== undefined) return true;
  const held = secret && parseHeld(presentAnnotation(secret, secret.target.heldBackAnnotation));
  return held !== undefined && held.restartRevision === undefined;
}

/** The bytes that are held back; undefined if the Secret has them after all. */
function heldBackIn(
  secret: Parameters<typeof presentRestartRevision>[0],
  written: string | undefined,
): Request["heldBack"] {
  const {
    restartRevision,
    since,
    until = written,
  } = parseHeld(presentAnnotation(secret, secret.target.heldBackAnnotation)) ?? {};
  if (restartRevision === undefined || restartRevision === presentRestartRevision(secret)) return undefined;
  // Without a time no pod counts as started with them.
  return { revision: restartRevision, since: Date.parse(since ?? ""), until: Date.parse(until ?? "") };
}

/** The workloads that the status calls Current, if it was written for this restart revision. */
function currentOf({ status }: SyncedSecret, revision: string | undefined): ReadonlySet<string> {
  if (revision === undefined || status?.rolledOutRevision !== revision) return new Set();
  return new Set((status.workloads ?? []).filter(({ state }) => state === "Current").map(idOf));
}

/** The workloads that were restarted for this restart revision, and have this state in the status. */
function restartedAs(wanted: State, { status }: SyncedSecret, revision: string | undefined): ReadonlySet<string> {
  const all = status?.workloads ?? [];
  return new Set(all.filter(({ restartedFor, state }) => restartedFor === revision && state === wanted).map(idOf));
}

function recordsOf({ status }: SyncedSecret): ReadonlyMap<string, RestartRecord> {
  const records = new Map<string, RestartRecord>();
  for (const workload of status?.workloads ?? []) {
    const { restartedFor: revision, putBack = false, availableWith } = workload;
    if (revision !== undefined) records.set(idOf(workload), { revision, putBack, availableWith });
  }
  return records;
}
