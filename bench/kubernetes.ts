import { KubeClient } from "../src/kube/client/client.ts";
import { loadKubeConfig } from "../src/kube/client/config.ts";
import { PooledConnection } from "../src/kube/client/pooled-connection.ts";
import { Reflector } from "../src/kube/informer/reflector.ts";
import type { Change } from "../src/kube/informer/store.ts";
import type { KubeObject, Resource } from "../src/kube/resource.ts";
import { Metrics } from "../src/metrics/metrics.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { silent } from "../src/runtime/log.ts";
import { until } from "../test/support/operator.ts";

const writesAtOnce = 32;

/** The benchmark's own client, as fast as the operator's. */
export function openClient(kubeconfig: string): { client: KubeClient; close: () => Promise<void> } {
  const load = () => loadKubeConfig({ env: { KUBECONFIG: kubeconfig } });
  const connection = new PooledConnection({ load, clock: systemClock, log: silent });
  const metrics = new Metrics();
  const client = new KubeClient({ connection, metrics, clock: systemClock, log: silent, userAgent: "bench" });
  return { client, close: () => connection.close() };
}

/** Calls a function `count` times, 32 at once. */
export async function atOnce(count: number, one: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: writesAtOnce }, worker));
}

/** The watched resource. */
export interface Followed {
  resource: Resource;
  namespace?: string;
  labelSelector?: string;
  /** Requests only metadata. */
  metadataOnly?: boolean;
}

type Seen = KubeObject & { status?: { conditions?: { type: string; status: string }[] } };

/** A running watch. */
export interface Following {
  stop(): Promise<void>;
}

/** Reports the existing objects and then every change. Resolves after the existing objects. */
export async function follow(
  client: KubeClient,
  followed: Followed,
  onChange: (change: Change<Seen>) => void,
): Promise<Following> {
  const outside = { clock: systemClock, random: Math.random, metrics: new Metrics(), log: silent };
  const reflector = new Reflector<Seen>({ source: client, ...followed, onChange, trim, ...outside });
  const abort = new AbortController();
  const running = reflector.run(abort.signal);
  await reflector.synced;
  return {
    async stop() {
      abort.abort();
      await running;
    },
  };
}

/** Objects that meet a condition, as seen by a watch. */
export class Arrivals {
  /** The performance.now() at which each object first met the condition, by `namespace/name`. */
  readonly times = new Map<string, number>();
  #following: Following | undefined;

  /**
   * Starts the watch. Resolves after the existing objects.
   *
   * @param has the condition; each object counts once
   */
  static async of(client: KubeClient, followed: Followed, has: (object: Seen) => boolean): Promise<Arrivals> {
    const arrivals = new Arrivals();
    arrivals.#following = await follow(client, followed, ({ key, after }) => {
      if (after && has(after) && !arrivals.times.has(key)) arrivals.times.set(key, performance.now());
    });
    return arrivals;
  }

  /** Waits for `count` objects. @returns the time of the last one */
  async reach(count: number, withinMs: number): Promise<number> {
    const what = () => `${count} of them (${this.times.size} came)`;
    await until(() => this.times.size >= count, withinMs, what);
    return [...this.times.values()].sort((a, b) => a - b)[count - 1]!;
  }

  async stop(): Promise<void> {
    await this.#following?.stop();
  }
}

/** Whether a SyncedSecret is Ready. */
export function isReady({ status }: Seen): boolean {
  return status?.conditions?.some((one) => one.type === "Ready" && one.status === "True") ?? false;
}

/** Only the used fields, so that the benchmark's own memory stays small. */
function trim({ metadata, status }: Seen): Seen {
  const { name, namespace, uid, resourceVersion } = metadata;
  const kept = { name, namespace, uid, resourceVersion } as KubeObject["metadata"];
  return { metadata: kept, ...(status?.conditions ? { status: { conditions: status.conditions } } : {}) };
}
