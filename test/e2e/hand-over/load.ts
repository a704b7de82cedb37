import { readFileSync } from "node:fs";
import type { SyncedSecret } from "../../../src/api/types.ts";
import { Reflector } from "../../../src/kube/informer/reflector.ts";
import type { Change as ObjectChange } from "../../../src/kube/informer/store.ts";
import { type KubeObject, type Resource, secrets, syncedSecrets } from "../../../src/kube/resource.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { silent } from "../../../src/runtime/log.ts";
import { clientOf } from "../../support/kube-client.ts";
import { until } from "../../support/operator.ts";
import { documents, type Stage, synced } from "../stage.ts";

type Secret = KubeObject & { data?: Record<string, string> };

/** A change of a parameter. Its value is its number. */
export interface Change {
  number: number;
  /** The Secret's name: one for each parameter. */
  secret: string;
  /** When the parameter had the new value, in milliseconds since the epoch. */
  at: number;
  /** When the watch showed the value, or a later one, in its Secret. */
  appliedAt: number | undefined;
}

/** SyncedSecrets of one parameter each, and changes of these parameters at a steady rate. */
export class Load {
  readonly changes: Change[] = [];
  /** Secrets and statuses that went back to an older version, as the watch showed it. */
  readonly setBacks: string[] = [];
  readonly namespace: string;
  readonly #stage: Stage;
  readonly #count: number;
  readonly #end = new AbortController();
  readonly #pending = new Map<string, Change[]>();
  readonly #ready = new Set<string>();
  #changing: Promise<void> | undefined;
  #pause = new AbortController();

  constructor(stage: Stage, namespace: string, count: number) {
    [this.#stage, this.namespace, this.#count] = [stage, namespace, count];
  }

  /** Creates the parameters and the SyncedSecrets. */
  async create(): Promise<void> {
    const { cluster, aws } = this.#stage;
    await cluster.run(["create", "namespace", this.namespace]);
    const names = Array.from({ length: this.#count }, (_, index) => `r${index}`);
    for (const name of names) await this.#put(name, "0");
    const objects = names.map((name) =>
      synced(this.namespace, name, { data: [{ key: "N", parameter: { name: this.#parameter(name) } }] }),
    );
    for (let from = 0; from < objects.length; from += 250) {
      await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects.slice(from, from + 250)));
    }
    await aws.flushEvents();
    this.#watch<Secret>(secrets, (change) => this.#secretChanged(change));
    this.#watch<SyncedSecret & KubeObject>(syncedSecrets, (change) => this.#statusChanged(change));
  }

  /** Waits until all SyncedSecrets are Ready. */
  async settled(withinMs = 120_000): Promise<void> {
    await until(
      () => this.#ready.size === this.#count,
      withinMs,
      () => `${this.#ready.size} of ${this.#count} Ready`,
    );
  }

  /** Begins to change parameters, one after the other. */
  begin(perSecond: number): void {
    this.#pause = new AbortController();
    const { signal } = this.#pause;
    const startedAt = performance.now();
    const before = this.changes.length;
    this.#changing = (async () => {
      while (!signal.aborted) {
        const waitMs = ((this.changes.length - before) * 1_000) / perSecond - (performance.now() - startedAt);
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        if (!signal.aborted) await this.#change();
      }
    })();
  }

  /** Stops the changes, and resolves when all of them are in their Secrets. */
  async pause(withinMs: number): Promise<void> {
    this.#pause.abort();
    await this.#changing;
    await this.applied(withinMs);
  }

  /** Resolves when all changes made so far are in their Secrets. @throws Error that names those that are not */
  async applied(withinMs: number): Promise<void> {
    const made = [...this.changes];
    const left = () => made.filter(({ appliedAt }) => appliedAt === undefined);
    await until(
      () => left().length === 0,
      withinMs,
      () => `the write of ${JSON.stringify(left())}`,
    );
  }

  close(): void {
    this.#pause.abort();
    this.#end.abort();
  }

  async #change(): Promise<void> {
    const number = this.changes.length + 1;
    const secret = `r${number % this.#count}`;
    await this.#put(secret, String(number));
    const change: Change = { number, secret, at: Date.now(), appliedAt: undefined };
    this.changes.push(change);
    this.#pending.set(secret, [...(this.#pending.get(secret) ?? []), change]);
  }

  async #put(secret: string, value: string): Promise<void> {
    await this.#stage.aws.putParameter({ name: this.#parameter(secret), type: "SecureString", value });
  }

  #parameter(secret: string): string {
    return `/${this.namespace}/${secret}`;
  }

  #secretChanged({ key, before, after }: ObjectChange<Secret>): void {
    if (!after) return;
    const [was, is] = [before, after].map((secret) => numberIn(secret));
    if (was !== undefined && (is === undefined || is < was)) this.setBacks.push(`Secret ${key}: ${was} to ${is}`);
    const { name } = after.metadata;
    const pending = this.#pending.get(name!) ?? [];
    for (const change of pending) if (is !== undefined && change.number <= is) change.appliedAt ??= Date.now();
    this.#pending.set(
      name!,
      pending.filter(({ appliedAt }) => appliedAt === undefined),
    );
  }

  #statusChanged({ key, before, after }: ObjectChange<SyncedSecret & KubeObject>): void {
    const isReady = after?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
    if (isReady) this.#ready.add(key);
    else this.#ready.delete(key);
    const [was, is] = [before, after].map((resource) => resource?.status?.sources?.[0]?.version ?? 0) as [
      number,
      number,
    ];
    if (after && is < was) this.setBacks.push(`status of ${key}: ${was} to ${is}`);
  }

  #watch<T extends KubeObject>(resource: Resource, onChange: (change: ObjectChange<T>) => void): void {
    const { cluster } = this.#stage;
    const { client, close } = clientOf(cluster.url, {
      ca: readFileSync(cluster.caFile, "utf8"),
      token: () => cluster.token,
    });
    const source = { source: client, resource, namespace: this.namespace };
    const rest = { clock: systemClock, random: Math.random, metrics: new Metrics(), log: silent };
    const reflector = new Reflector<T>({ ...source, ...rest, onChange });
    const { signal } = this.#end;
    void reflector.run(signal).finally(close);
  }
}

function numberIn(secret: Secret | undefined): number | undefined {
  const text = secret?.data?.N;
  return text === undefined ? undefined : Number(Buffer.from(text, "base64").toString());
}
