import type { SyncedSecret } from "../../api/types.ts";
import type { KubeObject } from "../../kube/resource.ts";
import type { Clock } from "../../runtime/clock.ts";
import { openingOf } from "../windows.ts";
import type { NamespacePlan } from "./decide/decide.ts";
import type { Pod } from "./decide/pods.ts";
import type { RolloutSource } from "./decide/request.ts";
import type { Refusal, Request, Restart } from "./decide/snapshot.ts";
import type { RestartPlan } from "./decide/start.ts";
import { idOf, type Workload } from "./decide/workload.ts";
import type { Obstacle } from "./report/rollout-status.ts";

/** A SyncedSecret of the namespace in work. */
export interface Member {
  resource: SyncedSecret & KubeObject;
  source: RolloutSource;
}

/** The restart revision of a SyncedSecret as this process knows it; times in monotonic milliseconds. */
interface Seen {
  revision: string | undefined;
  at: number;
  /** Since when the workloads of `rollout.first` are available with it; undefined while they are not. */
  firstAvailableAt?: number;
  /** Since when they are no longer available, before `rollout.bake` was over. */
  brokenAt?: number | undefined;
  /** The workloads whose restart for it has ended well, or has failed and not ended well since. */
  completed: Set<string>;
  failed: Set<string>;
}

/** Milliseconds for which the statuses of pods are remembered. */
const statusesMs = 15_000;

interface Remembered {
  /** By the workload's uid. */
  restarts: Map<string, Restart>;
  /** By `idOf` of the workload. */
  refusals: Map<string, Refusal & { obstacle: Obstacle }>;
  /** When the pods' statuses were listed last, and the names of the pods that crashed then. */
  statuses?: { at: number; crashing: ReadonlySet<string> };
}

/** What this process remembers of rollouts. A new leader begins without it. */
export class Memory {
  readonly #clock: Clock;
  readonly #seen = new Map<string, Seen>();
  readonly #namespaces = new Map<string, Remembered>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds to what a SyncedSecret asks for what depends on the time. */
  requestOf({ resource, source }: Member): Request {
    const { bakeMs, ...request } = source.request;
    const { key, revision, completed, failed } = request;
    const before = this.#seen.get(key);
    const isSame = before && before.revision === revision;
    const at = this.#clock.monotonic();
    const seen = isSame ? before : { revision, at, completed: new Set(completed), failed: new Set(failed) };
    this.#seen.set(key, seen);
    return {
      ...request,
      ...{ seenAt: seen.at, completed: seen.completed, failed: seen.failed },
      bake: { ms: bakeMs, since: seen.firstAvailableAt, brokenSince: seen.brokenAt },
      opening: openingOf(resource.spec.rollout?.windows, this.#clock.now()),
    };
  }

  /** Records which restarts have ended, and since when the workloads of `rollout.first` are available. */
  note({ firstAvailable, firstBroken, findings }: NamespacePlan, requests: readonly Request[]): void {
    const now = this.#clock.monotonic();
    for (const { key, revision, bake } of requests) {
      const { firstAvailableAt, brokenAt, ...seen } = this.#seen.get(key)!;
      for (const finding of findings.get(key) ?? []) {
        const id = idOf(finding);
        if (finding.state === "Failed") seen.failed.add(id);
        if (finding.state === "Current") seen.failed.delete(id);
        if (finding.state === "Current" && finding.record?.revision === revision) seen.completed.add(id);
      }
      const isBaked = firstAvailableAt !== undefined && now - firstAvailableAt >= bake.ms;
      const isBroken = brokenAt !== undefined || (firstBroken.has(key) && !isBaked);
      this.#seen.set(key, {
        ...seen,
        ...(firstAvailable.has(key)
          ? { firstAvailableAt: firstAvailableAt ?? now }
          : isBroken && { brokenAt: brokenAt ?? now }),
      });
    }
  }

  /** What is remembered of a namespace, without workloads that are gone and refusals that are over. */
  of(namespace: string, workloads: readonly Workload[]): Readonly<Remembered> {
    const known = this.#in(namespace);
    const now = this.#clock.monotonic();
    for (const [id, { until }] of known.refusals) if (until <= now) known.refusals.delete(id);
    const uids = new Set(workloads.map(({ uid }) => uid));
    for (const uid of known.restarts.keys()) if (!uids.has(uid)) known.restarts.delete(uid);
    return known;
  }

  /** The refused restarts of a namespace, by `idOf` of the workload. */
  refusals(namespace: string): ReadonlyMap<string, { obstacle: Obstacle }> {
    return this.#in(namespace).refusals;
  }

  /**
   * The pods with what is known of their statuses.
   *
   * @param list lists them with their statuses; called at most every 15 s for a namespace
   */
  async withStatuses(namespace: string, pods: readonly Pod[], list: () => Promise<Pod[]>): Promise<readonly Pod[]> {
    const known = this.#in(namespace);
    const at = this.#clock.monotonic();
    if (!known.statuses || at - known.statuses.at >= statusesMs) {
      const crashing = (await list()).filter(({ isCrashLooping }) => isCrashLooping).map(({ name }) => name);
      known.statuses = { at, crashing: new Set(crashing) };
    }
    const { crashing } = known.statuses;
    return pods.map((pod) => (crashing.has(pod.name) ? { ...pod, isCrashLooping: true } : pod));
  }

  /** @param generation of the workload after the restart */
  restarted(namespace: string, { workload: { uid }, records }: RestartPlan, generation: number): void {
    const { restarts } = this.#in(namespace);
    const all = new Map([...(restarts.get(uid)?.records ?? []), ...records]);
    restarts.set(uid, { at: this.#clock.monotonic(), generation, records: all });
  }

  /** @param forMs milliseconds until the restart is tried again */
  refused(namespace: string, workload: Workload, obstacle: Obstacle, forMs: number): void {
    const until = this.#clock.monotonic() + forMs;
    this.#in(namespace).refusals.set(idOf(workload), { obstacle, until });
  }

  /** @param key of a SyncedSecret that no longer asks for rollouts */
  forget(key: string): void {
    this.#seen.delete(key);
  }

  forgetNamespace(namespace: string): void {
    this.#namespaces.delete(namespace);
  }

  #in(namespace: string): Remembered {
    const known = this.#namespaces.get(namespace) ?? { restarts: new Map(), refusals: new Map() };
    this.#namespaces.set(namespace, known);
    return known;
  }
}
