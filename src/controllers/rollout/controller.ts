import type { SyncedSecret } from "../../api/types.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { KubeError } from "../../kube/errors.ts";
import { isCut } from "../../kube/informer/cache-bound.ts";
import type { Change, View } from "../../kube/informer/store.ts";
import { type KubeObject, type ObjectMeta, secrets, syncedSecrets } from "../../kube/resource.ts";
import { runWorkers, WorkQueue } from "../../kube/work-queue.ts";
import type { Clock, Random } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { trimSecret, trimSyncedSecret } from "../trim.ts";
import { type Opening, openingOf } from "../windows.ts";
import type { Restarted, Running, WorkloadAccess } from "./act/access.ts";
import type { RolloutStatuses } from "./act/statuses.ts";
import { decideRollouts, type NamespacePlan, type RestartPlan } from "./decide/decide.ts";
import { asksForRollout, type RolloutSource, sourceOf } from "./decide/request.ts";
import type { Finding, Refusal, Request, Restart } from "./decide/snapshot.ts";
import { idOf } from "./decide/workload.ts";
import { News, type NewsOptions } from "./report/news.ts";
import { type Obstacle, rolloutStatusOf } from "./report/rollout-status.ts";
import { concernsTarget, Requests } from "./requests.ts";
import { Slots } from "./slots.ts";

type Resource = SyncedSecret & KubeObject;

export interface RolloutControllerOptions extends NewsOptions {
  /** All SyncedSecrets, also those of other shards. */
  resources: View<Resource>;
  /** Metadata of the Secrets that carry our label. */
  secrets: View<KubeObject>;
  client: Pick<KubeClient, "get">;
  access: WorkloadAccess;
  statuses: RolloutStatuses;
  /** No workload of these is restarted. */
  protectedNamespaces: ReadonlySet<string>;
  /** Workloads whose rollout may be in progress at once, in all namespaces. */
  maxConcurrent: number;
  clock: Clock;
  random: Random;
  log: Log;
}

/** Namespaces that are looked at at once. */
const looksAtOnce = 4;
/** Milliseconds until the next try after an obstacle. */
const obstacleMs = 300_000;

/** The restart revision of a SyncedSecret as this process knows it; times in monotonic milliseconds. */
interface Seen {
  revision: string | undefined;
  at: number;
  /** Since when the workloads of `rollout.first` are available with it; undefined while they are not. */
  firstAvailableAt?: number;
}

/** Failed looks after which a new process assumes that no rollout of a former leader is in progress in a namespace. */
const surveyTries = 6;

/** A SyncedSecret of the namespace in work. */
interface Member {
  resource: Resource;
  source: RolloutSource;
}

/**
 * Restarts the workloads whose Secret has changed. Level-based: a look at a namespace compares the Secrets' restart
 * revisions with the annotations of the pod templates, so what happened while no process ran is not lost. Workloads and
 * pods are listed when needed and never watched.
 */
export class RolloutController {
  readonly queue: WorkQueue;
  readonly #options: RolloutControllerOptions;
  readonly #requests = new Requests();
  readonly #slots: Slots;
  readonly #news: News;
  /** When this process saw the restart revision of a SyncedSecret for the first time. */
  readonly #seen = new Map<string, Seen>();
  /** By namespace and by the workload's uid. */
  readonly #restarts = new Map<string, Map<string, Restart>>();
  /** By namespace and by `idOf` of the workload. */
  readonly #refusals = new Map<string, Map<string, Refusal & { obstacle: Obstacle }>>();

  constructor(options: RolloutControllerOptions) {
    this.#options = options;
    this.#news = new News(options);
    const { clock, random, maxConcurrent } = options;
    this.queue = new WorkQueue({ clock, random });
    this.#slots = new Slots(maxConcurrent, (namespace) => this.queue.add(namespace));
  }

  /** Handles a change of a SyncedSecret. */
  syncedSecretChanged(change: Change<Resource>): void {
    const { key, after, before } = change;
    const { namespace } = (after ?? before)!.metadata;
    if (this.#options.protectedNamespaces.has(namespace!)) return;
    if (this.#requests.changed(change)) this.queue.add(namespace!);
    if (!after) this.#forget(key);
  }

  /** Handles a change of a Secret's metadata. */
  secretChanged(change: Change<KubeObject>): void {
    const { namespace } = (change.after ?? change.before)!.metadata;
    const isConcerned = (key: string) => {
      const resource = this.#options.resources.get(key);
      return resource !== undefined && concernsTarget(change, resource);
    };
    if (this.#requests.in(namespace!).some(isConcerned)) this.queue.add(namespace!);
  }

  /**
   * Works until `signal` aborts. Restarts nothing before every namespace has been looked at once: only then it is known
   * which rollouts a former leader has begun.
   */
  async run(signal: AbortSignal): Promise<void> {
    this.begin();
    const { log, metrics } = this.#options;
    await runWorkers(this.queue, {
      concurrency: looksAtOnce,
      handle: (namespace) => this.handle(namespace),
      failed: () => metrics.internalErrors.inc({ controller: "rollout" }),
      signal,
      log,
    });
  }

  /** Ends the initial list of SyncedSecrets. */
  begin(): void {
    this.#slots.survey(this.#requests.namespaces);
  }

  /** Looks at one namespace, and restarts what is due. */
  async handle(namespace: string): Promise<void> {
    try {
      await this.#look(namespace);
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      this.#options.log.warn({ namespace, error: error.message }, "could not look at workloads, retrying");
      this.queue.retry(namespace);
      // A namespace that cannot be listed must not hold back the rollouts of all others for ever.
      if (this.queue.attempts(namespace) >= surveyTries) this.#slots.skip(namespace);
    }
  }

  async #look(namespace: string): Promise<void> {
    const { access, random } = this.#options;
    const members = await this.#members(namespace);
    if (members.length === 0) {
      this.#slots.take(namespace, new Set());
      this.#restarts.delete(namespace);
      this.#refusals.delete(namespace);
      return;
    }
    const running = await access.list(namespace);
    if ("reason" in running) {
      this.#slots.take(namespace, new Set());
      await this.#conclude(namespace, members, () => running);
      this.queue.addAfter(namespace, obstacleMs);
      return;
    }
    const requests = members.map((member) => this.#requestOf(member));
    const plan = this.#decide(namespace, requests, running);
    const undecided = await this.#restart(namespace, plan, members);
    const openings = new Map(requests.map(({ key, opening }) => [key, opening]));
    const resultOf = (key: string) => {
      const findings = plan.findings.get(key) ?? [];
      const opening = openings.get(key)!;
      return windowObstacle(opening) ?? this.#obstacleIn(namespace, findings) ?? { findings, opening };
    };
    // A restart that is recorded and did not happen would look like one that somebody has taken back.
    const decided = members.filter(({ source }) => !undecided.has(source.request.key));
    this.#news.found(decided, plan.findings);
    await this.#conclude(namespace, decided, resultOf);
    this.queue.addAfter(namespace, plan.againAfterMs * (1 + 0.1 * random()));
  }

  /** Decides, and takes the slots at once: no other namespace may take them meanwhile. */
  #decide(namespace: string, requests: readonly Request[], { workloads, pods }: Running): NamespacePlan {
    const { clock } = this.#options;
    const restarts = this.#restartsIn(namespace);
    const refusals = this.#refusalsIn(namespace);
    for (const [id, { until }] of refusals) if (until <= clock.monotonic()) refusals.delete(id);
    const uids = new Set(workloads.map(({ uid }) => uid));
    for (const uid of restarts.keys()) if (!uids.has(uid)) restarts.delete(uid);
    const plan = decideRollouts({
      now: clock.now(),
      monotonic: clock.monotonic(),
      slots: this.#slots.of(namespace),
      ...{ requests, workloads, pods, restarts, refusals },
    });
    this.#slots.take(namespace, plan.inProgress, plan.isFull);
    this.#noteFirst(plan, requests);
    return plan;
  }

  /**
   * Restarts what is due, and gives back the slots of refused restarts.
   *
   * @returns the keys of SyncedSecrets whose workload has changed since the decision: the next look, which follows at once,
   *   decides again
   */
  async #restart(namespace: string, plan: NamespacePlan, members: readonly Member[]): Promise<ReadonlySet<string>> {
    const { restarts, inProgress, isFull } = plan;
    const outcomes = await Promise.all(restarts.map((one) => this.#restartOne(namespace, one, members)));
    const undecided = restarts.filter((_plan, index) => outcomes[index] === "again").flatMap(({ keys }) => keys);
    if (undecided.length > 0) this.queue.add(namespace);
    const refused = this.#refusalsIn(namespace);
    if (outcomes.includes("refused")) {
      this.#slots.take(namespace, new Set([...inProgress].filter((id) => !refused.has(id))), isFull);
    }
    return new Set(undecided);
  }

  async #restartOne(namespace: string, plan: RestartPlan, members: readonly Member[]): Promise<Restarted["outcome"]> {
    const { access, clock } = this.#options;
    const { workload, records, keys } = plan;
    const known = this.#restartsIn(namespace);
    const restarted = await access.restart(namespace, plan);
    if (restarted.outcome === "refused") {
      const { obstacle } = restarted;
      this.#refusalsIn(namespace).set(idOf(workload), { obstacle, until: clock.monotonic() + obstacleMs });
    }
    if (restarted.outcome !== "restarted") return restarted.outcome;
    const all = new Map([...(known.get(workload.uid)?.records ?? []), ...records]);
    known.set(workload.uid, { at: clock.monotonic(), generation: restarted.generation, records: all });
    const concerned = members.filter(({ source }) => keys.includes(source.request.key));
    this.#news.restarted(namespace, workload, concerned);
    return "restarted";
  }

  /** Writes the statuses that have changed. */
  async #conclude(
    namespace: string,
    members: readonly Member[],
    resultOf: (key: string) => Parameters<typeof rolloutStatusOf>[0]["result"],
  ): Promise<void> {
    const { statuses, clock } = this.#options;
    for (const { resource, source } of members) {
      const { key, revision = source.written } = source.request;
      const status = rolloutStatusOf({ resource, revision, result: resultOf(key), now: clock.now() });
      this.#news.reported(resource, status);
      if (!(await statuses.write(key, resource, status))) this.queue.add(namespace);
    }
  }

  /** The SyncedSecrets of a namespace that ask for rollouts. The status of those that no longer do is cleared. */
  async #members(namespace: string): Promise<Member[]> {
    const { statuses } = this.#options;
    const members: Member[] = [];
    for (const key of this.#requests.in(namespace)) {
      const cached = this.#options.resources.get(key);
      const found = cached && (isCut(cached) ? await this.#whole(cached) : cached);
      if (!found || found.metadata.deletionTimestamp) continue;
      const resource = statuses.latest(key, found);
      if (!asksForRollout(resource)) {
        if (await statuses.write(key, resource, {})) {
          this.#requests.forget(key);
          this.#forget(key);
        } else this.queue.add(namespace);
      } else if (!resource.spec.suspend) {
        members.push({ resource, source: sourceOf(resource, await this.#secretOf(resource)) });
      }
    }
    return members;
  }

  async #secretOf(resource: Resource): Promise<ObjectMeta | undefined> {
    const { namespace } = resource.metadata;
    const name = resource.spec.target?.name ?? resource.metadata.name!;
    const cached = this.#options.secrets.get(`${namespace}/${name}`);
    if (!isCut(cached)) return cached?.metadata;
    try {
      const { client } = this.#options;
      return trimSecret(await client.get<KubeObject>(secrets, namespace, name, { metadataOnly: true })).metadata;
    } catch (error) {
      if (error instanceof KubeError && error.kind === "notFound") return undefined;
      throw error;
    }
  }

  /** Reads a SyncedSecret that the cache has cut. */
  async #whole({ metadata: { namespace, name } }: Resource): Promise<Resource | undefined> {
    try {
      return trimSyncedSecret(await this.#options.client.get<Resource>(syncedSecrets, namespace, name!));
    } catch (error) {
      if (error instanceof KubeError && error.kind === "notFound") return undefined;
      throw error;
    }
  }

  #requestOf({ resource, source }: Member): Request {
    const { clock } = this.#options;
    const { bakeMs, ...request } = source.request;
    const { key, revision } = request;
    const known = this.#seen.get(key);
    const seen = known && known.revision === revision ? known : { revision, at: clock.monotonic() };
    this.#seen.set(key, seen);
    const bake = { ms: bakeMs, since: seen.firstAvailableAt };
    return { ...request, seenAt: seen.at, bake, opening: openingOf(resource.spec.rollout?.windows, clock.now()) };
  }

  /** Records since when the workloads of `rollout.first` are available with the current bytes. */
  #noteFirst({ firstAvailable }: NamespacePlan, requests: readonly Request[]): void {
    for (const { key } of requests) {
      const seen = this.#seen.get(key)!;
      const { firstAvailableAt = this.#options.clock.monotonic(), ...rest } = seen;
      this.#seen.set(key, firstAvailable.has(key) ? { ...rest, firstAvailableAt } : rest);
    }
  }

  #restartsIn(namespace: string): Map<string, Restart> {
    const known = this.#restarts.get(namespace) ?? new Map<string, Restart>();
    this.#restarts.set(namespace, known);
    return known;
  }

  #refusalsIn(namespace: string): Map<string, Refusal & { obstacle: Obstacle }> {
    const known = this.#refusals.get(namespace) ?? new Map<string, Refusal & { obstacle: Obstacle }>();
    this.#refusals.set(namespace, known);
    return known;
  }

  /** The refusal of a restart that is still wanted. */
  #obstacleIn(namespace: string, findings: readonly Finding[]): Obstacle | undefined {
    const wanted = findings.filter(({ state }) => state === "Waiting" || state === "Restarting");
    const refused = this.#refusalsIn(namespace);
    return wanted.map((finding) => refused.get(idOf(finding))?.obstacle).find((obstacle) => obstacle !== undefined);
  }

  #forget(key: string): void {
    this.#seen.delete(key);
    this.#options.statuses.forget(key);
    this.#news.forget(key);
  }
}

function windowObstacle(opening: Opening): Obstacle | undefined {
  if (opening.state !== "invalid") return undefined;
  return { reason: "InvalidWindow", message: `rollout.${opening.problem}` };
}
