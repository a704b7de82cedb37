import { RateLimiters } from "../../src/aws/ratelimit/limiters.ts";
import { QuotaRegistry } from "../../src/aws/ratelimit/quota-registry.ts";
import { runWorkers, WorkQueue } from "../../src/kube/work-queue.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { Observer } from "../../src/parameters/observer.ts";
import { PathReader } from "../../src/parameters/read/path-reader.ts";
import { Reader } from "../../src/parameters/read/reader.ts";
import type { ParameterReference } from "../../src/parameters/read/reference.ts";
import type { VersionStamp } from "../../src/parameters/read/version-stamp.ts";
import type { Random } from "../../src/runtime/clock.ts";
import { Fifo } from "../../src/runtime/fifo.ts";
import { type Lane, moreUrgent, priorityOf } from "../../src/runtime/lane.ts";
import { silent } from "../../src/runtime/log.ts";
import type { ParameterStore } from "./aws.ts";
import type { SimulationClock } from "./clock.ts";
import { seeded } from "./random.ts";

/** The resources' poll interval in milliseconds: the default of a connection. */
export const pollIntervalMs = 300_000;
/** The operator's limits of concurrent reconciles, in total and per connection. */
const atOnce = { all: 1_000, bulk: 900, ofConnection: { least: 10, most: 400 } };

/** The parts of a SyncedSecret that concern reading. */
export interface Resource {
  /** namespace/name. */
  key: string;
  store: ParameterStore;
  references: ParameterReference[];
  /** The version stamp of each reference in its status; undefined for a new one. */
  stored: readonly VersionStamp[] | undefined;
  /** The revision that its Secret was made from; undefined without a Secret. */
  revision: string | undefined;
  /** The times of its last change notification and of its Secret's last write, in the clock's milliseconds. */
  toldAt: number;
  madeAt: number;
}

export interface WorldOptions {
  clock: SimulationClock;
  seed: number;
  stores: readonly ParameterStore[];
  /** Requests a second of each connection. Default: the operator's. */
  limit?: number;
}

/** The operator's observer, with a cluster connection to each store. */
export function observerOf(options: {
  clock: SimulationClock;
  random: Random;
  stores: readonly ParameterStore[];
  limit: number | undefined;
  notify: (key: string, lane: Lane) => void;
}): Observer {
  const { clock, random, stores, limit, notify } = options;
  const metrics = new Metrics();
  const quotas = new QuotaRegistry(clock);
  for (const { identity, account, region } of stores) {
    const limits = limit === undefined ? {} : { ssm: limit };
    quotas.set(identity.key, { identityKey: identity.key, account, region, isCluster: true, limits });
  }
  const limiters = new RateLimiters({ quotas, clock, metrics });
  const reader = new Reader(limiters);
  const pathReader = new PathReader(limiters);
  return new Observer({
    reader,
    pathReader,
    limiters,
    quotas,
    clock,
    random,
    metrics,
    missingGraceMs: 300_000,
    notify,
  });
}

/**
 * The operator's own observer, readers, lanes, quotas and work queue, with a reconcile without Kubernetes: it compares
 * versions, reads every value of a Secret that is not current, and counts the Secret as made.
 */
export class World {
  readonly resources = new Map<string, Resource>();
  readonly observer: Observer;
  /** SyncedSecrets whose Secrets are older than the last seen versions. */
  readonly open = new Set<Resource>();
  readonly #clock: SimulationClock;
  readonly #queue: WorkQueue;
  readonly #lanes = new Map<string, Lane>();
  readonly #underWay = new Map<ParameterStore, number>();
  readonly #parked = new Map<ParameterStore, Fifo<string>>();
  readonly #end = new AbortController();

  constructor({ clock, seed, stores, limit }: WorldOptions) {
    this.#clock = clock;
    const random = seeded(seed);
    this.observer = observerOf({ clock, random, stores, limit, notify: (key, lane) => this.#told(key, lane) });
    this.#queue = new WorkQueue({ clock, random });
    this.#queue.onIdle(() => {
      if (this.#parked.size === 0) this.observer.dropValues();
    });
    const handle = (key: string) => this.#handle(key);
    void runWorkers(this.#queue, { concurrency: atOnce.all, handle, signal: this.#end.signal, log: silent });
  }

  /** Adds a SyncedSecret without a Secret. */
  add(key: string, store: ParameterStore, names: readonly string[]): void {
    const resource = this.#adopt(key, store, names);
    this.open.add(resource);
    this.#enqueue(key, "bulk");
  }

  /** Adds a SyncedSecret as a new process finds it: its Secret verifies the versions in its status. */
  resume(key: string, store: ParameterStore, names: readonly string[]): void {
    const resource = this.#adopt(key, store, names);
    resource.stored = names.map((name) => store.at(name));
    resource.revision = revisionOf(resource, ({ name }) => store.at(name));
    this.#enqueue(key, "bulk");
  }

  /** Whether every SyncedSecret is current with the last seen versions. */
  get isSettled(): boolean {
    return this.open.size === 0 && this.#queue.depth + this.#queue.inWork + this.#parked.size === 0;
  }

  close(): void {
    this.#end.abort();
    this.observer.stop();
  }

  #adopt(key: string, store: ParameterStore, names: readonly string[]): Resource {
    const references = names.map((name) => store.reference(name));
    const never = { toldAt: Number.NaN, madeAt: Number.NaN };
    const resource: Resource = { key, store, references, stored: undefined, revision: undefined, ...never };
    this.resources.set(key, resource);
    return resource;
  }

  #told(key: string, lane: Lane): void {
    const resource = this.resources.get(key)!;
    resource.toldAt = this.#clock.monotonic();
    this.open.add(resource);
    this.#enqueue(key, lane);
  }

  #enqueue(key: string, lane: Lane): void {
    const before = this.#lanes.get(key);
    const urgent = before ? moreUrgent(before, lane) : lane;
    this.#lanes.set(key, urgent);
    this.#queue.add(key, priorityOf(urgent));
  }

  /** Like the controller: bulk work waits for a slot of its connection. */
  async #handle(key: string): Promise<void> {
    const resource = this.resources.get(key)!;
    const { store } = resource;
    const lane = this.#lanes.get(key) ?? "bulk";
    const underWay = this.#underWay.get(store) ?? 0;
    if (lane === "bulk" && underWay >= this.#scopes(store)) {
      const parked = this.#parked.get(store) ?? new Fifo();
      this.#parked.set(store, parked);
      parked.push(key);
      return;
    }
    this.#lanes.delete(key);
    this.#underWay.set(store, underWay + 1);
    if (!(await this.#reconcile(resource, lane))) this.#queue.retry(key, priorityOf("bulk"));
    const left = this.#underWay.get(store)! - 1;
    if (left > 0) this.#underWay.set(store, left);
    else this.#underWay.delete(store);
    const parked = this.#parked.get(store);
    for (let free = Math.min(this.#scopes(store) - left, 2); free > 0 && parked && parked.size > 0; free--) {
      this.#enqueue(parked.shift()!, "bulk");
    }
    if (parked?.size === 0) this.#parked.delete(store);
  }

  #scopes(store: ParameterStore): number {
    const { bulk, ofConnection } = atOnce;
    const active = this.#underWay.size + (this.#underWay.has(store) ? 0 : 1);
    return Math.min(Math.max(Math.floor(bulk / active), ofConnection.least), ofConnection.most);
  }

  /** @returns whether it completed */
  async #reconcile(resource: Resource, lane: Lane): Promise<boolean> {
    const { key, references, revision, stored } = resource;
    const { observer } = this;
    observer.depend(
      key,
      references.map((reference, i) => ({ reference, pollIntervalMs, ...(stored ? { stored: stored[i]! } : {}) })),
    );
    // Until AWS has answered, the previous status is used.
    const seen = (reference: ParameterReference) => {
      const entry = observer.entry(reference);
      return entry?.looked ? entry.state.stamp : stored?.[references.indexOf(reference)];
    };
    if (revision === undefined || revisionOf(resource, seen) !== revision) {
      const namespace = key.slice(0, key.indexOf("/"));
      const reads = await Promise.all(references.map((reference) => observer.values(reference, lane, { namespace })));
      if (reads.some(({ state }) => state === "failed")) return false;
      resource.revision = revisionOf(resource, seen);
      resource.stored = undefined;
      resource.madeAt = this.#clock.monotonic();
    }
    this.open.delete(resource);
    return true;
  }
}

function revisionOf(
  { references }: Resource,
  stamp: (reference: ParameterReference) => { version: number; modified: number } | undefined,
): string {
  return references.map((reference) => `${stamp(reference)?.version} ${stamp(reference)?.modified}`).join("\n");
}
