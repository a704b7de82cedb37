import type { EventRecorder } from "../../kube/events/recorder.ts";
import type { WriteLimiter } from "../../kube/write/write-limiter.ts";
import type { TermCaches } from "../watch-caches.ts";
import type { Worlds } from "../worlds.ts";
import { WorkloadAccess } from "./act/access.ts";
import { RolloutStatuses } from "./act/statuses.ts";
import { RolloutController } from "./controller.ts";

export interface RolloutsOptions extends Pick<Worlds, "client" | "clock" | "random" | "metrics" | "log" | "settings"> {
  /** All caches, also of what other shards work on. */
  caches: TermCaches;
  recorder: EventRecorder;
  /** Shared with the writes of Secrets and statuses. */
  writes: WriteLimiter;
}

/** Builds the controller that restarts workloads, and passes it every change until `signal` aborts. */
export function followRollouts(options: RolloutsOptions, signal: AbortSignal): RolloutController {
  const { caches, settings, client, writes } = options;
  const { rolloutKinds: kinds, maxConcurrentRollouts: maxConcurrent } = settings;
  const { perObjectMetrics, protectedNamespaces } = settings;
  const controller = new RolloutController({
    ...options,
    ...{ maxConcurrent, perObjectMetrics, protectedNamespaces },
    resources: caches.everySyncedSecret,
    secrets: caches.views.secrets,
    access: new WorkloadAccess({ client, writes, kinds }),
    statuses: new RolloutStatuses({ client, writes }),
  });
  caches.listen(
    {
      syncedSecretChanged: (change) => controller.syncedSecretChanged(change),
      secretChanged: (change) => controller.secretChanged(change),
      connectionChanged() {},
      namespaceChanged() {},
    },
    signal,
  );
  return controller;
}
