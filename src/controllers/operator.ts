import { AccessCheck } from "../kube/client/access-check.ts";
import type { KubeClient } from "../kube/client/client.ts";
import type { LeaderElector } from "../kube/leases/leader-elector.ts";
import type { Lease } from "../kube/leases/lease.ts";
import type { LeaseObserver } from "../kube/leases/lease-observer.ts";
import type { ShardLeases } from "../kube/leases/shard-leases.ts";
import { type KubeObject, leases } from "../kube/resource.ts";
import { aborted } from "../runtime/cancellation.ts";
import { connectionKeyFor } from "./connection/resolve.ts";
import type { ShardTerm } from "./shards/shard-term.ts";
import { Shards } from "./shards/shards.ts";
import { type TermClients, WorkTerm } from "./term.ts";
import { WatchCaches } from "./watch-caches.ts";
import type { Worlds } from "./worlds.ts";

export type OperatorOptions = Omit<Worlds, keyof TermClients> & {
  /** For watches and other reads, also on a standby. */
  client: KubeClient;
  /** Makes the client for writes and the identities of one term. `mayWrite` is asked before each write. */
  clientsOfTerm: (mayWrite: () => boolean) => TermClients;
  /** Undefined if this process works without leader election. */
  election?: Election | undefined;
  /** With `--read-only`: observes the Lease of the operators that write. */
  leader?: LeaseObserver | undefined;
};

/** Leader election by one Lease, or by one for each of several shards. */
export type Election = LeaderElection | { shards: ShardLeases };

/** Leader election by a Lease. */
interface LeaderElection {
  elector: LeaderElector;
  lease: { namespace: string; name: string };
}

/** A process that takes part in an election. */
type Candidate = Pick<LeaderElector, "isLeader" | "refusal" | "isStuck">;

/** The operator: watches that fill the caches, and terms of work while this process leads or owns shards. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #access: AccessCheck;
  readonly #caches: WatchCaches;
  readonly #shards: Shards | undefined;
  readonly #candidate: Candidate | undefined;
  readonly #terms = new Set<WorkTerm>();

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#caches = new WatchCaches(options);
    const { client, clock, log, settings, election, metrics } = options;
    this.#access = new AccessCheck({ client, clock, log, namespace: settings.namespaces[0] });
    this.#candidate = election && ("shards" in election ? election.shards : election.elector);
    if (!election || !("shards" in election)) return;
    const { shards } = election;
    this.#shards = new Shards({
      ...{ leases: shards, caches: this.#caches, metrics, log },
      connectionOf: (resource) => connectionKeyFor(resource, settings.defaultConnection),
      begin: (shard, ...rest) => this.#beginShard(shards, shard, ...rest),
    });
  }

  /** Why the operator is not ready; undefined if it is. A standby is ready. */
  get unready(): string | undefined {
    if (!this.#caches.areFilled) return "caches are being filled";
    if (this.#access.isRefused) return "the API server rejects the operator's credentials";
    return (this.#shards ?? this.#candidate)?.refusal;
  }

  /** Whether this process does not work: another replica leads, or none, or other replicas own all shards. */
  get isStandby(): boolean {
    return this.#candidate !== undefined && !this.#candidate.isLeader;
  }

  /** Whether a write is under way that has not become slow. */
  get isWriting(): boolean {
    return [...this.#terms].some((term) => term.isWriting);
  }

  /** The shards that this process owns; undefined without shards. */
  get ownedShards(): readonly number[] | undefined {
    const { election } = this.#options;
    return election && "shards" in election ? election.shards.held : undefined;
  }

  /** Why the process should be restarted; undefined if it is healthy. */
  get unhealthy(): string | undefined {
    return this.#candidate?.isStuck ? "the leader election is stuck" : this.#caches.stuck;
  }

  /**
   * Runs until `signal` aborts. From then on no call to AWS and no write starts. Resolves when work in flight has
   * ended, or after three seconds, with the Leases released, all AWS clients closed and the Events written.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { log, election, leader } = this.#options;
    const watching = Promise.all([this.#caches.run(signal), this.#access.run(signal), leader?.run(signal)]);
    await Promise.race([this.#caches.filled, aborted(signal)]);
    if (!signal.aborted) {
      log.info({}, "caches filled");
      if (this.#shards) await this.#shards.run(signal);
      else if (election && "elector" in election) await this.#elect(election, signal);
      else await this.#begin(signal, () => true).ended;
    }
    await watching;
  }

  async #elect({ elector, lease }: LeaderElection, signal: AbortSignal): Promise<void> {
    const watch = this.#caches.watchOne<Lease & KubeObject>(leases, lease, {
      onChange: ({ after }) => elector.changed(after),
    });
    const watching = watch.run(signal);
    await elector.run(signal, (over) => this.#begin(over, () => elector.isLeader));
    await watching;
  }

  /** Begins to work, until `signal` aborts. */
  #begin(signal: AbortSignal, mayWrite: () => boolean): WorkTerm {
    const { metrics, clientsOfTerm } = this.#options;
    metrics.leader.set(1);
    signal.addEventListener("abort", () => metrics.leader.set(0), { once: true });
    const worlds = { ...this.#options, ...clientsOfTerm(mayWrite) };
    return this.#following(new WorkTerm(worlds, this.#caches, signal, { rolloutCaches: this.#caches }));
  }

  /**
   * Begins to work on a shard, until `signal` aborts. The owner of shard 0 creates the default connection, and restarts
   * workloads for all shards: the limit of rollouts is the cluster's.
   */
  #beginShard(shards: ShardLeases, shard: number, ...rest: ShardArguments): WorkTerm {
    const [placement, signal, isOthers] = rest;
    const { clientsOfTerm, settings } = this.#options;
    const own = shard === 0 ? settings : { ...settings, defaultConnectionRegion: undefined };
    const clients = clientsOfTerm(() => shards.holds(shard));
    const worlds = { ...this.#options, ...clients, settings: own, placement };
    const rolloutCaches = shard === 0 ? { rolloutCaches: this.#caches } : {};
    return this.#following(new WorkTerm(worlds, placement.caches, signal, { ...rolloutCaches, isOthers }));
  }

  #following(term: WorkTerm): WorkTerm {
    this.#terms.add(term);
    const end = () => this.#terms.delete(term);
    term.ended.then(end, end);
    return term;
  }
}

type ShardArguments = [term: ShardTerm, over: AbortSignal, isOthers: (key: string) => boolean];
