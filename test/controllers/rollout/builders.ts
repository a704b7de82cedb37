import type { Pod } from "../../../src/controllers/rollout/decide/pods.ts";
import type { NamespaceSnapshot, Request } from "../../../src/controllers/rollout/decide/snapshot.ts";
import { idOf, type Workload } from "../../../src/controllers/rollout/decide/workload.ts";

/** The time of a snapshot, in milliseconds since the epoch. */
export const now = Date.UTC(2026, 0, 1, 12);
/** The same by the monotonic clock. */
export const monotonic = 10_000_000;
/** When the Secret's bytes changed. */
export const changedAt = now - 60_000;

/** A request of the SyncedSecret `shop/db`, whose bytes changed a minute ago to revision `r2`. */
export function aRequest(more: Partial<Request> = {}): Request {
  return {
    ...{ key: "shop/db", secret: "db", mark: "restart.keyferry.io/db", revision: "r2", changedAt },
    ...{ seenAt: monotonic - 60_000, targets: undefined, minIntervalMs: 60_000, progressDeadlineMs: 600_000 },
    opening: { state: "open", until: Number.POSITIVE_INFINITY },
    ...{
      first: [],
      bake: { ms: 600_000, since: undefined },
      isOneByOne: false,
      pausesOnFailure: true,
    },
    ...{ rolledOutAt: undefined, isSettled: false, revertsOnFailure: false, heldBack: undefined },
    ...{ records: new Map(), current: new Set<string>() },
    ...{ completed: new Set<string>(), failed: new Set<string>() },
    ...more,
  };
}

/** A Deployment `app` that uses the Secret `db` by env, and whose last rollout is complete. */
export function aWorkload(more: Partial<Workload> = {}): Workload {
  const name = more.name ?? "app";
  return {
    ...{ kind: "Deployment", name, uid: `uid-${name}`, resourceVersion: "1", generation: 1 },
    ...{ uses: new Map([["db", ["Env"]]]), marks: new Map(), owner: undefined, isPaused: false },
    template: "t1",
    ...{ isManual: false, wanted: 1, progress: "complete", createdAt: changedAt - 3_600_000 },
    ...{ isAvailable: (more.progress ?? "complete") === "complete", isReplacing: more.progress === "progressing" },
    ...more,
  };
}

/** A pod of a workload that was created before the bytes changed. */
export function aPod(of: { kind: string; name: string }, more: Partial<Pod> = {}): Pod {
  return { name: `${of.name}-1`, workload: idOf(of), createdAt: changedAt - 60_000, annotations: {}, ...more };
}

/** A namespace with these workloads, each with one old pod unless `pods` says otherwise. */
export function aSnapshot(more: Partial<NamespaceSnapshot> = {}): NamespaceSnapshot {
  const { workloads = [aWorkload()] } = more;
  return {
    ...{ now, monotonic, requests: [aRequest()], workloads, pods: workloads.map((workload) => aPod(workload)) },
    ...{ restarts: new Map(), refusals: new Map(), slots: 5 },
    ...more,
  };
}

/** The marks of a template that has the restart revision of `aRequest`. */
export const marked = (revision = "r2") => new Map([["restart.keyferry.io/db", revision]]);
