import type { SyncedSecret } from "./types.ts";

type Status = NonNullable<SyncedSecret["status"]>;

/** The condition that tells whether the workloads run with the current bytes. */
export const rolledOut = "RolledOut";

/** Since when every workload runs with a restart revision, as a status says; undefined if it does not. */
export function rolledOutSince({ conditions, rolledOutRevision }: Status, revision: string): string | undefined {
  const condition = conditions?.find(({ type, status }) => type === rolledOut && status === "True");
  return rolledOutRevision === revision ? condition?.lastTransitionTime : undefined;
}

/** A status without what the rollouts' field manager owns. */
export function withoutRollout(status: Status): Status {
  const { conditions, rolledOutRevision: _revision, workloads: _workloads, failedRollout: _failed, ...rest } = status;
  return { ...rest, ...(conditions ? { conditions: conditions.filter(({ type }) => type !== rolledOut) } : {}) };
}

/** The part of a status that the rollouts' field manager owns; its conditions are empty if there is none. */
export function rolloutOf({ conditions = [], rolledOutRevision, workloads, failedRollout }: Status) {
  const ofRollout = conditions.filter(({ type }) => type === rolledOut);
  return { conditions: ofRollout, rolledOutRevision, workloads, failedRollout };
}

/** A status without a rollout, with what another one says of the rollout. */
export function withRolloutOf(status: Status, other: Status | undefined): Status {
  const { conditions, rolledOutRevision, workloads, failedRollout } = rolloutOf(other ?? {});
  return {
    ...status,
    ...(conditions.length > 0 ? { conditions: [...(status.conditions ?? []), ...conditions] } : {}),
    ...(rolledOutRevision === undefined ? {} : { rolledOutRevision }),
    ...(workloads ? { workloads } : {}),
    ...(failedRollout ? { failedRollout } : {}),
  };
}
