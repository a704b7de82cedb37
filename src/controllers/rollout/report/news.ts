import { rolledOut } from "../../../api/rollout-status.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import { regardingOf } from "../../../kube/events/event-series.ts";
import type { EventRecorder } from "../../../kube/events/recorder.ts";
import type { KubeObject } from "../../../kube/resource.ts";
import type { Metrics } from "../../../metrics/metrics.ts";
import type { Log } from "../../../runtime/log.ts";
import type { Finding, State } from "../decide/snapshot.ts";
import { idOf, type Workload } from "../decide/workload.ts";
import { resourceOf } from "../decide/workload-resources.ts";
import type { RolloutStatus } from "./rollout-status.ts";

export interface NewsOptions {
  recorder: Pick<EventRecorder, "record">;
  metrics: Metrics;
  log: Log;
  /** Whether each SyncedSecret has its own time series. */
  perObjectMetrics: boolean;
}

type Resource = SyncedSecret & KubeObject;

const action = "RestartWorkload";
/** Reasons of RolledOut that are not news: the way to True. */
const quiet: readonly string[] = ["Progressing", "OutsideWindow"];

/** Tells of restarts and of what becomes of them: by events, metrics and the log. */
export class News {
  readonly #options: NewsOptions;
  /** The last state of each workload, by SyncedSecret. */
  readonly #states = new Map<string, ReadonlyMap<string, State>>();

  constructor(options: NewsOptions) {
    this.#options = options;
  }

  /** A workload was restarted for these SyncedSecrets. */
  restarted(
    namespace: string,
    { kind, name, uid }: Workload,
    concerned: readonly { resource: Resource; source: { request: { secret: string } } }[],
  ): void {
    const { recorder, metrics, log } = this.#options;
    const { group, version } = resourceOf[kind];
    const changed = concerned.map(({ source }) => source.request.secret).sort();
    metrics.rollouts.inc({ result: "restarted" });
    log.info({ namespace, workload: idOf({ kind, name }), secrets: changed }, "workload restarted");
    const what = changed.length === 1 ? `Secret ${changed[0]} has` : `Secrets ${changed.join(", ")} have`;
    const event = { type: "Normal", reason: "WorkloadRestarted", action } as const;
    const note = `${what} changed: ${kind} ${name} was restarted`;
    recorder.record({ apiVersion: `${group}/${version}`, kind, namespace, name, uid }, { ...event, note });
    for (const { resource } of concerned) recorder.record(regardingOf(resource), { ...event, note });
  }

  /** Counts how restarts have ended, and the pods that are left. */
  found(
    members: readonly { source: { request: { key: string } } }[],
    findings: ReadonlyMap<string, readonly Finding[]>,
  ): void {
    const { metrics, perObjectMetrics } = this.#options;
    for (const { source } of members) {
      const { key } = source.request;
      const now = findings.get(key) ?? [];
      const before = this.#states.get(key);
      for (const { kind, name, state } of now) {
        const was = before?.get(idOf({ kind, name }));
        if (was === "Restarting" && state === "Current") metrics.rollouts.inc({ result: "completed" });
        if (was !== state && was !== undefined && state === "Failed") metrics.rollouts.inc({ result: "failed" });
        if (was !== state && was !== undefined && state === "Undone") metrics.rollouts.inc({ result: "undone" });
      }
      this.#states.set(key, new Map(now.map((finding) => [idOf(finding), finding.state])));
      const stale = now.filter(({ state }) => state !== "NoRestartNeeded").map(({ stalePods }) => stalePods);
      if (perObjectMetrics)
        metrics.podsStale.set(
          key,
          stale.reduce((sum, pods) => sum + pods, 0),
        );
    }
  }

  /** Records an event if the condition RolledOut has become True, or has a new problem. */
  reported(resource: Resource, { conditions: [now] }: RolloutStatus): void {
    const was = resource.status?.conditions?.find(({ type }) => type === rolledOut);
    if (!now || (was?.status === now.status && was.reason === now.reason)) return;
    const isGood = now.status === "True";
    if (isGood ? was === undefined : quiet.includes(now.reason)) return;
    const type = isGood ? "Normal" : "Warning";
    this.#options.recorder.record(regardingOf(resource), { type, reason: now.reason, action, note: now.message });
  }

  /** @param key of a SyncedSecret that no longer asks for rollouts */
  forget(key: string): void {
    this.#states.delete(key);
    this.#options.metrics.podsStale.remove(key);
  }
}
