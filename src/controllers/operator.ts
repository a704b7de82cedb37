import { AccessCheck } from "../kube/client/access-check.ts";
import type { KubeClient } from "../kube/client/client.ts";
import type { LeaderElector } from "../kube/leases/leader-elector.ts";
import type { Lease } from "../kube/leases/lease.ts";
import { type KubeObject, leases } from "../kube/resource.ts";
import { sleep } from "../runtime/clock.ts";
import { type TermClients, WorkTerm } from "./term.ts";
import { WatchCaches } from "./watch-caches.ts";
import type { Worlds } from "./worlds.ts";

export type OperatorOptions = Omit<Worlds, keyof TermClients> & {
  /** For watches and other reads, also on a standby. */
  client: KubeClient;
  /** Makes the client for writes and the identities of one term. */
  clientsOfTerm: () => TermClients;
  /** Undefined if this process works without leader election. */
  election?: Election | undefined;
};

/** Leader election by a Lease. */
export interface Election {
  elector: LeaderElector;
  lease: { namespace: string; name: string };
}

/** The operator: watches that fill the caches, and a term of work while this process leads. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #access: AccessCheck;
  readonly #caches: WatchCaches;

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#caches = new WatchCaches(options);
    const { client, clock, log, settings } = options;
    this.#access = new AccessCheck({ client, clock, log, namespace: settings.namespaces[0] });
  }

  /** Why the operator is not ready; undefined if it is. A standby is ready. */
  get unready(): string | undefined {
    if (!this.#caches.areFilled) return "caches are being filled";
    if (this.#access.isRefused) return "the API server rejects the operator's credentials";
    return this.#options.election?.elector.refusal;
  }

  /** Whether another replica leads, or none. */
  get isStandby(): boolean {
    return this.#options.election?.elector.isLeader === false;
  }

  /** Why the process should be restarted; undefined if it is healthy. */
  get unhealthy(): string | undefined {
    return this.#options.election?.elector.isStuck ? "the leader election is stuck" : this.#caches.stuck;
  }

  /**
   * Runs until `signal` aborts. From then on no call to AWS and no write starts. Resolves when work in flight has
   * ended, or after three seconds, with the Lease released, all AWS clients closed and the Events written.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, election } = this.#options;
    const watching = Promise.all([this.#caches.run(signal), this.#access.run(signal)]);
    while (!signal.aborted && !this.#caches.areFilled) await sleep(clock, 20, signal);
    if (!signal.aborted) {
      log.info({}, "caches filled");
      if (election) await this.#elect(election, signal);
      else await this.#begin(signal).ended;
    }
    await watching;
  }

  async #elect({ elector, lease }: Election, signal: AbortSignal): Promise<void> {
    const watch = this.#caches.watchOne<Lease & KubeObject>(leases, lease, {
      onChange: ({ after }) => elector.changed(after),
    });
    const watching = watch.run(signal);
    await elector.run(signal, (over) => this.#begin(over));
    await watching;
  }

  /** Begins to work, until `signal` aborts. */
  #begin(signal: AbortSignal): WorkTerm {
    const { metrics, clientsOfTerm } = this.#options;
    metrics.leader.set(1);
    signal.addEventListener("abort", () => metrics.leader.set(0), { once: true });
    return new WorkTerm({ ...this.#options, ...clientsOfTerm() }, this.#caches, signal);
  }
}
