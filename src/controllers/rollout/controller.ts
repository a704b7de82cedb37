import { rolloutOf } from "../../api/rollout-status.ts";
import type { SyncedSecret } from "../../api/types.ts";
import { KubeError } from "../../kube/errors.ts";
import type { Change } from "../../kube/informer/store.ts";
import type { KubeObject } from "../../kube/resource.ts";
import { runWorkers, WorkQueue } from "../../kube/work-queue.ts";
import type { Clock, Random } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { Opening } from "../windows.ts";
import type { Restarted, Running, WorkloadAccess } from "./act/access.ts";
import { Lookup, type LookupOptions } from "./act/lookup.ts";
import type { RolloutStatuses } from "./act/statuses.ts";
import { decideRollouts, type NamespacePlan } from "./decide/decide.ts";
import { needsPodStatuses } from "./decide/proof.ts";
import { asksForRollout, sourceOf } from "./decide/request.ts";
import type { Finding, Request } from "./decide/snapshot.ts";
import type { RestartPlan } from "./decide/start.ts";
import { idOf } from "./decide/workload.ts";
import { type Member, Memory } from "./memory.ts";
import { News, type NewsOptions } from "./report/news.ts";
import { type Obstacle, rolloutStatusOf } from "./report/rollout-status.ts";
import { concernsTarget, Requests } from "./requests.ts";
import { Slots } from "./slots.ts";

type Resource = SyncedSecret & KubeObject;

export interface RolloutControllerOptions extends NewsOptions, LookupOptions {
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
/** Milliseconds until the next try after an obstacle, and after a conflict, which ends when the watch has caught up. */
const obstacleMs = 300_000;
const conflictMs = 1_000;

/** Failed looks after which a new process assumes that no rollout of a former leader is in progress in a namespace. */
const surveyTries = 6;

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
  readonly #memory: Memory;
  readonly #lookup: Lookup;

  constructor(options: RolloutControllerOptions) {
    this.#options = options;
    this.#news = new News(options);
    this.#memory = new Memory(options.clock);
    this.#lookup = new Lookup(options);
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
      if (!(error instanceof KubeError)) {
        this.#slots.skip(namespace);
        throw error;
      }
      this.#options.log.warn({ namespace, error: error.message }, "could not look at workloads, retrying");
      this.queue.retry(namespace);
      // A namespace that cannot be listed must not hold back the rollouts of all others for ever.
      if (this.queue.attempts(namespace) >= surveyTries) this.#slots.skip(namespace);
    }
  }

  async #look(namespace: string): Promise<void> {
    const { access, random, clock } = this.#options;
    const members = await this.#members(namespace);
    if (members.length === 0) {
      this.#slots.take(namespace, new Set());
      this.#memory.forgetNamespace(namespace);
      return;
    }
    const listed = await access.list(namespace);
    if ("reason" in listed) {
      // Rollouts that this process has begun may still be in progress.
      this.#slots.skip(namespace);
      await this.#conclude(namespace, members, () => listed);
      this.queue.addAfter(namespace, obstacleMs);
      return;
    }
    const requests = members.map((member) => this.#memory.requestOf(member));
    const isDoubtful = needsPodStatuses(requests, { ...listed, now: clock.now() });
    const list = () => access.podsWithStatus(namespace);
    const pods = isDoubtful ? await this.#memory.withStatuses(namespace, listed.pods, list) : listed.pods;
    const running = { ...listed, pods };
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
    const { restarts, refusals } = this.#memory.of(namespace, workloads);
    const plan = decideRollouts({
      now: clock.now(),
      monotonic: clock.monotonic(),
      slots: this.#slots.of(namespace),
      ...{ requests, workloads, pods, restarts, refusals },
    });
    this.#slots.take(namespace, plan.inProgress, plan.isFull);
    this.#memory.note(plan, requests);
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
    if (undecided.length > 0) this.queue.addAfter(namespace, conflictMs);
    const refused = this.#memory.refusals(namespace);
    if (outcomes.includes("refused")) {
      this.#slots.take(namespace, new Set([...inProgress].filter((id) => !refused.has(id))), isFull);
    }
    return new Set(undecided);
  }

  async #restartOne(namespace: string, plan: RestartPlan, members: readonly Member[]): Promise<Restarted["outcome"]> {
    const { workload, keys } = plan;
    const restarted = await this.#options.access.restart(namespace, plan);
    if (restarted.outcome === "refused") this.#memory.refused(namespace, workload, restarted.obstacle, obstacleMs);
    if (restarted.outcome !== "restarted") return restarted.outcome;
    this.#memory.restarted(namespace, plan, restarted.generation);
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
      if (!(await statuses.write(key, resource, status))) this.queue.addAfter(namespace, conflictMs);
    }
  }

  /** The SyncedSecrets of a namespace that ask for rollouts. The status of those that no longer do is cleared. */
  async #members(namespace: string): Promise<Member[]> {
    const { statuses } = this.#options;
    const members: Member[] = [];
    for (const key of this.#requests.in(namespace)) {
      const found = await this.#lookup.resource(key);
      if (!found || found.metadata.deletionTimestamp) continue;
      const resource = statuses.latest(key, found);
      if (!asksForRollout(resource)) {
        if (await statuses.write(key, resource, {})) {
          this.#requests.forget(key);
          this.#forget(key);
        } else this.queue.addAfter(namespace, conflictMs);
      } else if (resource.spec.suspend) {
        await this.#suspended(key, resource);
      } else {
        members.push({ resource, source: sourceOf(resource, await this.#lookup.secretOf(resource)) });
      }
    }
    return members;
  }

  /** Drops a failure that was reported before: while a SyncedSecret is suspended, nobody sees whether it lasts. */
  async #suspended(key: string, resource: Resource): Promise<void> {
    const { failedRollout, ...rest } = rolloutOf(resource.status ?? {});
    const kept = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    if (failedRollout) await this.#options.statuses.write(key, resource, kept);
  }

  /** The refusal of a restart that is still wanted. */
  #obstacleIn(namespace: string, findings: readonly Finding[]): Obstacle | undefined {
    const wanted = findings.filter(({ state }) => state === "Waiting" || state === "Restarting");
    const refused = this.#memory.refusals(namespace);
    return wanted.map((finding) => refused.get(idOf(finding))?.obstacle).find((obstacle) => obstacle !== undefined);
  }

  #forget(key: string): void {
    this.#memory.forget(key);
    this.#options.statuses.forget(key);
    this.#news.forget(key);
  }
}

function windowObstacle(opening: Opening): Obstacle | undefined {
  if (opening.state !== "invalid") return undefined;
  return { reason: "InvalidWindow", message: `rollout.${opening.problem}` };
}
