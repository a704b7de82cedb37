import { orAborted } from "../../runtime/cancellation.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { KubeClient } from "../client/client.ts";
import { ifPresent, KubeError } from "../errors.ts";
import { leases } from "../resource.ts";
import type { Lease } from "./lease.ts";

/** The verbs of RBAC that a candidate needs besides list and watch. */
type LeaseVerb = "get" | "create" | "update";

export interface LeaseAccessOptions {
  client: Pick<KubeClient, LeaseVerb>;
  clock: Clock;
  namespace: string;
  name: string;
}

/** Reads and writes one Lease. Every request ends within the milliseconds that its caller allows. */
export class LeaseAccess {
  readonly #options: LeaseAccessOptions;

  constructor(options: LeaseAccessOptions) {
    this.#options = options;
  }

  /** @returns undefined if the Lease does not exist. Rejects with a KubeError. */
  async get(withinMs: number): Promise<Lease | undefined> {
    const { client, namespace, name } = this.#options;
    return ifPresent(this.#send("get", withinMs, () => client.get<Lease>(leases, namespace, name)));
  }

  /**
   * Creates a Lease without a resourceVersion, and replaces one with it. Rejects with a KubeError: `alreadyExists`,
   * `conflict` or `notFound` if another candidate was faster.
   */
  async put(lease: Lease, withinMs: number): Promise<Lease> {
    const { client } = this.#options;
    if (lease.metadata.resourceVersion === undefined) {
      return this.#send("create", withinMs, (signal) => client.create(leases, lease, { signal }));
    }
    return this.#send("update", withinMs, (signal) => client.update(leases, lease, { signal }));
  }

  async #send(verb: LeaseVerb, withinMs: number, request: (signal: AbortSignal) => Promise<Lease>): Promise<Lease> {
    const { clock, namespace, name } = this.#options;
    const limit = new AbortController();
    const timer = clock.setTimer(
      () => limit.abort(new KubeError("timeout", `${verb} leases ${namespace}/${name}: no answer in ${withinMs} ms`)),
      withinMs,
    );
    try {
      // Credentials that a plugin provides may hang regardless of the signal.
      return await orAborted(request(limit.signal), limit.signal);
    } catch (error) {
      if (!(error instanceof KubeError) || error.kind !== "forbidden") throw error;
      const message = `the ServiceAccount may not ${verb} leases.coordination.k8s.io in namespace ${namespace}`;
      throw new KubeError("forbidden", `${message}: grant the verb in a Role`, { status: error.status });
    } finally {
      timer.cancel();
    }
  }
}
