import type { SyncedSecret } from "../../src/api/types.ts";
import type { KubeClient } from "../../src/kube/client/client.ts";
import { Reflector } from "../../src/kube/informer/reflector.ts";
import { deployments, type KubeObject, pods, type Resource, secrets, syncedSecrets } from "../../src/kube/resource.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silent } from "../../src/runtime/log.ts";
import { until } from "../support/operator.ts";

type SecretObject = KubeObject & { data?: Record<string, string> };
type Deployment = KubeObject & {
  spec: { template: { metadata: { annotations?: Record<string, string> } } };
  status?: { conditions?: { type: string; status: string; reason?: string }[] };
};
export type Pod = KubeObject & { status?: { containerStatuses?: { state?: { waiting?: { reason?: string } } }[] } };

/** The objects of a namespace as watches show them, by their names. */
export interface Shown {
  secret(name: string): SecretObject | undefined;
  deployment(name: string): Deployment | undefined;
  synced(name: string): SyncedSecret | undefined;
  /** Those with this label `app`. */
  pods(app: string): Pod[];
}

/** A state of a namespace that is waited for. */
interface Step {
  name: string;
  holds: (shown: Shown) => boolean;
  /** The moment before which it does not count. */
  after: string | undefined;
}

/** When watches of a namespace showed what happens in it. It reads the API server alone. */
export class Timeline {
  readonly shown: Shown;
  readonly synced: Promise<unknown>;
  #steps: Step[] = [];
  /** Milliseconds since the epoch. */
  readonly #moments = new Map<string, number>();
  readonly #abort = new AbortController();
  readonly #running: Promise<unknown>;

  constructor(client: KubeClient, namespace: string) {
    const outside = { clock: systemClock, random: Math.random, metrics: new Metrics(), log: silent };
    const watch = <T extends KubeObject>(resource: Resource) =>
      new Reflector<T>({ source: client, resource, namespace, onChange: () => this.#look(), ...outside });
    const all = {
      secrets: watch<SecretObject>(secrets),
      deployments: watch<Deployment>(deployments),
      synced: watch<KubeObject & SyncedSecret>(syncedSecrets),
      pods: watch<Pod>(pods),
    };
    this.shown = {
      secret: (name) => all.secrets.store.get(`${namespace}/${name}`),
      deployment: (name) => all.deployments.store.get(`${namespace}/${name}`),
      synced: (name) => all.synced.store.get(`${namespace}/${name}`),
      pods: (app) => [...all.pods.store.values()].filter(({ metadata }) => metadata.labels?.app === app),
    };
    const reflectors = Object.values(all);
    this.#running = Promise.all(reflectors.map((reflector) => reflector.run(this.#abort.signal)));
    this.synced = Promise.all(reflectors.map((reflector) => reflector.synced));
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  /** Forgets all moments, and begins with this one. */
  begin(name: string): void {
    this.#steps = [];
    this.#moments.clear();
    this.note(name);
  }

  /** Notes a moment. */
  note(name: string, at = Date.now()): void {
    this.#moments.set(name, at);
  }

  /** Notes when a state is shown for the first time, from now or from the moment `after` on. */
  expect(name: string, holds: Step["holds"], after?: string): void {
    this.#steps.push({ name, holds, after });
  }

  /** Waits for a moment. */
  async until(name: string, withinMs: number): Promise<void> {
    await until(
      () => this.#moments.has(name),
      withinMs,
      () => `the moment "${name}" after\n${this.table}\n`,
    );
  }

  /** Seconds from one moment to another. */
  seconds(from: string, to: string): number {
    return (this.#moments.get(to)! - this.#moments.get(from)!) / 1_000;
  }

  /** A line for each moment, with the seconds since the first. */
  get table(): string {
    const sorted = [...this.#moments].toSorted(([, a], [, b]) => a - b);
    const line = ([name, at]: [string, number]) =>
      `${((at - sorted[0]![1]) / 1_000).toFixed(2).padStart(7)} s  ${name}`;
    return sorted.map(line).join("\n");
  }

  #look(): void {
    const isDue = ({ name, holds, after }: Step) =>
      !this.#moments.has(name) && (after === undefined || this.#moments.has(after)) && holds(this.shown);
    // One moment may be what another one waits for.
    for (let step = this.#steps.find(isDue); step; step = this.#steps.find(isDue)) this.note(step.name);
  }
}
