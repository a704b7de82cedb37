import { inspect } from "node:util";
import { afterAll } from "vitest";
import { labels } from "../../src/api/annotations.ts";
import type { AnyConnection } from "../../src/api/any-connection.ts";
import type { Condition } from "../../src/api/conditions.ts";
import type { SyncedSecret, SyncedSecretSpec } from "../../src/api/types.ts";
import { Identities, type Identity } from "../../src/aws/identity.ts";
import type { IdentitySpec } from "../../src/aws/identity-spec.ts";
import type { QuotaScope } from "../../src/aws/ratelimit/quota-registry.ts";
import { WorkloadAccess } from "../../src/controllers/rollout/act/access.ts";
import { RolloutStatuses } from "../../src/controllers/rollout/act/statuses.ts";
import { RolloutController } from "../../src/controllers/rollout/controller.ts";
import type { Revisions } from "../../src/controllers/syncedsecret/trust/revision.ts";
import { trimNamespace, trimSecret, trimSyncedSecret } from "../../src/controllers/trim.ts";
import { Engine } from "../../src/controllers/wiring.ts";
import type { Settings } from "../../src/controllers/worlds.ts";
import { KubeClient } from "../../src/kube/client/client.ts";
import { loadKubeConfig } from "../../src/kube/client/config.ts";
import { PooledConnection } from "../../src/kube/client/pooled-connection.ts";
import { isRetryable } from "../../src/kube/errors.ts";
import type { LeaderView } from "../../src/kube/leases/lease-observer.ts";
import {
  awsConnections,
  clusterAWSConnections,
  type KubeObject,
  namespaces,
  type Resource,
  secrets,
  syncedSecrets,
} from "../../src/kube/resource.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { auditLines } from "../../src/runtime/audit.ts";
import { sleep, systemClock } from "../../src/runtime/clock.ts";
import type { ClusterHandle } from "../cluster/handle.ts";
import { type Emulator, startEmulator } from "../emulator/emulator.ts";
import { FakeClock, settle } from "../support/clock.ts";
import { connectionManifests } from "../support/connection-manifests.ts";
import { newStores, settingsWith, stopTimers } from "../support/engine-parts.ts";

export type Secret = KubeObject & { data?: Record<string, string>; type?: string; immutable?: boolean };

/**
 * The engine with a real API server and the emulator, without watches or workers: a test fills the caches, runs the
 * queues and moves the clock explicitly.
 */
export class World {
  readonly clock = new FakeClock(Date.now());
  readonly metrics = new Metrics();
  readonly lines: string[] = [];
  /** The audit's lines. */
  readonly audited: string[] = [];
  /** The next process's randomness, which spreads polls and backoffs. Default: the middle. */
  random: () => number = () => 0.5;
  /**
   * Real milliseconds after which the next process's calls to AWS time out, as in the program. A busy machine takes
   * over a second to answer 500 calls at once, and a call that timed out is repeated.
   */
  callTimeoutMs = 10_000;
  readonly namespace: string;
  /** Other tenants' namespaces, whose resources the engine sees too. */
  readonly neighbours: string[] = [];
  /** With `readOnly`: the next process's view of the Lease. */
  leader: LeaderView | undefined;
  /** The next process's cache bound for a namespace in bytes; undefined for no bound. */
  bytesPerNamespace: number | undefined;
  readonly aws: Emulator;
  /** A test's change to the spec of an identity. */
  redirect = (spec: IdentitySpec): IdentitySpec => spec;
  /** A test's change to an identity before it is returned. */
  tamper = (identity: Identity): Identity => identity;
  readonly client: KubeClient;
  engine: Engine;
  /** Restarts workloads; `rollOut` runs it. */
  rollouts: RolloutController;
  readonly #cluster: ClusterHandle;
  readonly #connection: PooledConnection;
  #identities: Identities;
  #settings: Settings;
  #revisions: Revisions | undefined;
  #stores = newStores();

  constructor(cluster: ClusterHandle, namespace: string, aws: Emulator, settings: Partial<Settings>) {
    this.#cluster = cluster;
    this.namespace = namespace;
    this.aws = aws;
    const load = () => loadKubeConfig({ env: { KUBECONFIG: cluster.kubeconfigPath } });
    this.#connection = new PooledConnection({ load, clock: systemClock, log: this.#log() });
    this.client = new KubeClient({
      connection: this.#connection,
      metrics: this.metrics,
      clock: systemClock,
      log: this.#log(),
      userAgent: `keyferry-test/${namespace}`,
    });
    this.#settings = settingsWith({
      protectedNamespaces: new Set(["kube-system"]),
      perObjectMetrics: true,
      ...settings,
    });
    this.#identities = this.#makeIdentities();
    this.engine = this.#makeEngine();
    this.rollouts = this.#makeRollouts();
  }

  /**
   * Starts a new process, which knows only what the API server and AWS hold.
   *
   * @param revisions another release's formats. Default: this release's.
   */
  async restart(settings: Partial<Settings> = {}, revisions?: Revisions): Promise<void> {
    this.#revisions = revisions;
    stopTimers(this.engine);
    await this.engine.events.stop();
    this.#identities.close();
    this.#settings = { ...this.#settings, ...settings };
    this.#stores = newStores(this.bytesPerNamespace);
    this.#identities = this.#makeIdentities();
    this.engine = this.#makeEngine();
    this.rollouts = this.#makeRollouts();
  }

  /** Fills the caches from the API server, as watches would, and runs both queues until nothing is ready. */
  async sync(): Promise<void> {
    for (let round = 0; round < 10; round++) {
      await this.fill();
      if (!(await this.work())) return;
    }
    throw new Error("the queues do not come to rest");
  }

  /** Fills the caches, and passes each change to the engine. */
  async fill(): Promise<void> {
    const { engine } = this;
    const mine = [this.namespace, ...this.neighbours];
    // Lists in parallel; cluster-scoped objects by name, because other test files share the cluster.
    const [cluster, own, spaces, stored, synced] = await Promise.all([
      this.#list(clusterAWSConnections, [{ name: this.namespace }]),
      this.#list<AnyConnection & KubeObject>(
        awsConnections,
        mine.map((namespace) => ({ namespace })),
      ),
      this.#list(
        namespaces,
        mine.map((name) => ({ name })),
      ),
      this.#list(
        secrets,
        mine.map((namespace) => ({ namespace })),
      ),
      this.#list<SyncedSecret & KubeObject>(
        syncedSecrets,
        mine.map((namespace) => ({ namespace })),
      ),
    ]);
    for (const change of this.#stores.clusterConnections.replace(cluster as (AnyConnection & KubeObject)[])) {
      engine.connections.changed("ClusterAWSConnection", change);
    }
    for (const change of this.#stores.connections.replace(own)) engine.connections.changed("AWSConnection", change);
    for (const change of this.#stores.namespaces.replace(spaces)) engine.namespaceChanged(change);
    for (const change of this.#stores.secrets.replace(stored)) {
      engine.secretChanged(change);
      this.rollouts.secretChanged(change);
    }
    for (const change of this.#stores.syncedSecrets.replace(synced)) {
      engine.syncedSecrets.triggers.changed(change);
      this.rollouts.syncedSecretChanged(change);
    }
  }

  /** Looks at the namespaces that are due, and restarts workloads. @returns whether there were any */
  async rollOut(): Promise<boolean> {
    const { queue } = this.rollouts;
    this.rollouts.begin();
    let did = false;
    for (let namespace = queue.take(); namespace !== undefined; namespace = queue.take()) {
      await this.rollouts.handle(namespace);
      queue.done(namespace);
      did = true;
    }
    return did;
  }

  /** Runs the ready keys. @returns whether there were any */
  async work(): Promise<boolean> {
    const { queues, connections, syncedSecrets: controller } = this.engine;
    let did = false;
    for (let key = queues.connections.take(); key !== undefined; key = queues.connections.take()) {
      await connections.handle(key);
      queues.connections.done(key);
      did = true;
    }
    for (let keys = takeAll(this.engine); keys.length > 0; keys = takeAll(this.engine)) {
      await this.#whileQuotaIsWon(
        Promise.all(
          keys.map(async (key) => {
            await controller.handle(key);
            queues.syncedSecrets.done(key);
          }),
        ),
      );
      did = true;
    }
    return did;
  }

  /** Advances the clock for as long as calls to AWS wait for quota. */
  async #whileQuotaIsWon(work: Promise<unknown>): Promise<void> {
    let isOver = false;
    let [still, before] = [0, -1];
    const end = () => {
      isOver = true;
    };
    work.then(end, end);
    while (!isOver) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      // On a busy machine, calls that wait for answers of others do not wait for quota.
      const calls = this.aws.count({});
      still = calls === before ? still + 1 : 0;
      before = calls;
      const isSpent = [...this.quotas].some(({ quota }) => quota.waitMs(false) > 0);
      if (this.engine.limiters.awaited === 0 || (!isSpent && still < 50)) continue;
      await this.clock.advance(250);
      // Five times faster than real time at most, because an answer that takes long also looks like this.
      still = Math.min(still, 25);
    }
    await work;
  }

  /**
   * Moves the clock, runs due calls to AWS, and their consequences. Between the first step and the last the caches are
   * filled only after a step with work: nobody else writes meanwhile.
   */
  async pass(ms: number, steps = 10): Promise<void> {
    for (let step = 1; step <= steps; step++) {
      await this.clock.advance(ms / steps);
      await this.quiet();
      if (step === 1 || step === steps || (await this.work())) await this.sync();
    }
  }

  /** Waits until no call to AWS is in flight. */
  async quiet(): Promise<void> {
    let before = -1;
    for (let still = 0; still < 3; ) {
      await settle(5);
      await new Promise((resolve) => setTimeout(resolve, 2));
      const now = this.aws.log().length;
      still = now === before ? still + 1 : 0;
      before = now;
    }
  }

  /** Applies a SyncedSecret as a person would. */
  async apply(name: string, spec: SyncedSecretSpec, metadata: object = {}): Promise<void> {
    const object = {
      apiVersion: "keyferry.io/v1alpha1",
      kind: "SyncedSecret",
      metadata: { name, namespace: this.namespace, ...metadata },
      spec: { connectionRef: { kind: "ClusterAWSConnection", name: this.namespace }, ...spec },
    };
    await this.client.apply(syncedSecrets, object as unknown as KubeObject, { fieldManager: "a-person", force: true });
  }

  async deleteSynced(name: string): Promise<void> {
    await this.client.delete(syncedSecrets, this.namespace, name);
  }

  async synced(name: string): Promise<SyncedSecret & KubeObject> {
    return this.client.get(syncedSecrets, this.namespace, name);
  }

  async ready(name: string): Promise<Condition> {
    const { status } = await this.synced(name);
    const found = status?.conditions?.find(({ type }) => type === "Ready");
    if (!found) throw new Error(`SyncedSecret ${name} has no condition Ready`);
    return found;
  }

  async secret(name: string): Promise<Secret | undefined> {
    return this.client.get<Secret>(secrets, this.namespace, name).catch(() => undefined);
  }

  /** A Secret's data as text; undefined if it does not exist. */
  async data(name: string): Promise<Record<string, string> | undefined> {
    const secret = await this.secret(name);
    if (!secret) return undefined;
    return Object.fromEntries(
      Object.entries(secret.data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]),
    );
  }

  /** Runs kubectl. */
  async kubectl(args: string[], input?: string): Promise<string> {
    return this.#cluster.run(["--namespace", this.namespace, ...args], input);
  }

  async makeConnection(spec: object = {}): Promise<void> {
    const manifests = connectionManifests(
      this.namespace,
      this.aws.url,
      { namespace: this.namespace },
      {
        allow: { namespaces: { names: [this.namespace] }, parameters: ["/*"], keyIds: ["*"] },
        // Practically no quota by default: the clock moves only explicitly.
        limits: { ssmRequestsPerSecond: 10_000, kmsRequestsPerSecond: 100_000 },
        ...spec,
      },
    );
    const as = { fieldManager: "a-person", force: true };
    await this.client.apply(secrets, manifests.credentials, as);
    await this.client.apply(clusterAWSConnections, manifests.connection, as);
  }

  /** The quotas in use. */
  get quotas(): Iterable<QuotaScope> {
    return this.engine.quotas.scopes();
  }

  /** Redirects the AWS addresses to the emulator meanwhile: a namespaced connection cannot set an endpoint. */
  async atTheEmulator(work: () => Promise<void>): Promise<void> {
    const before = this.redirect;
    this.redirect = this.#toTheEmulator;
    await work().finally(() => {
      this.redirect = before;
    });
  }

  /** From now on redirects the AWS addresses to the emulator. */
  redirectToTheEmulator(): void {
    this.redirect = this.#toTheEmulator;
  }

  readonly #toTheEmulator = (spec: IdentitySpec): IdentitySpec => {
    const { url } = this.aws;
    return { endpoints: { ssm: url, kms: url, sts: url, sqs: url }, ...spec };
  };

  async end(): Promise<void> {
    stopTimers(this.engine);
    await this.engine.events.stop();
    await this.client.delete(clusterAWSConnections, undefined, this.namespace).catch(() => {});
    this.#identities.close();
    await this.#connection.close();
  }

  #log() {
    // As JSON, and as `inspect` shows it: with all properties of an error among the fields.
    const line = (fields: object, message: string) =>
      void this.lines.push(`${JSON.stringify({ ...fields, message })} ${inspect(fields, { depth: 10 })}`);
    return { debug: line, info: line, warn: line, error: line };
  }

  #makeIdentities(): Identities {
    return new WorldIdentities(this, {
      // Calls take real time; cached facts last by the stepped clock.
      clock: { ...systemClock, monotonic: () => this.clock.monotonic() },
      metrics: this.metrics,
      log: this.#log(),
      allowInsecureEndpoints: true,
      userAgent: "keyferry/test",
      callTimeoutMs: this.callTimeoutMs,
      clusterName: this.#settings.clusterName,
    });
  }

  #makeEngine(): Engine {
    return new Engine(
      {
        client: this.client,
        identities: this.#identities,
        metrics: this.metrics,
        clock: this.clock,
        random: this.random,
        log: this.#log(),
        audit: (event) => void this.audited.push(...auditLines(event, this.clock.now())),
        settings: this.#settings,
        leader: this.leader,
        ...(this.#revisions ? { revisions: this.#revisions } : {}),
      },
      this.#stores,
    );
  }

  #makeRollouts(): RolloutController {
    const { client, engine, metrics, clock, random } = this;
    const { writes, recorder } = engine;
    const { rolloutKinds: kinds, maxConcurrentRollouts: maxConcurrent } = this.#settings;
    const { perObjectMetrics, protectedNamespaces } = this.#settings;
    return new RolloutController({
      resources: this.#stores.syncedSecrets,
      secrets: this.#stores.secrets,
      access: new WorkloadAccess({ client, writes, kinds }),
      statuses: new RolloutStatuses({ client, writes }),
      log: this.#log(),
      ...{ client, recorder, metrics, clock, random, maxConcurrent, perObjectMetrics, protectedNamespaces },
    });
  }

  /** Lists a resource, in each namespace or by each name, in the form of the caches. */
  async #list<T extends KubeObject>(
    resource: Resource,
    where: readonly { namespace?: string; name?: string }[],
  ): Promise<T[]> {
    const isSecrets = resource.plural === "secrets";
    const pages = where.map(({ namespace, name }) =>
      asAReflector(() =>
        this.client.list<T>(resource, {
          ...(namespace === undefined ? {} : { namespace }),
          ...(name === undefined ? {} : { fieldSelector: `metadata.name=${name}` }),
          ...(isSecrets ? { labelSelector: `${labels.managed}=${labels.managedValue}` } : {}),
          metadataOnly: isSecrets || resource.plural === "namespaces",
        }),
      ),
    );
    const items = (await Promise.all(pages)).flatMap((page) => page.items);
    const kind = { apiVersion: `${resource.group}/${resource.version}`, kind: resource.kind };
    const trim = trims.get(resource) ?? ((object: KubeObject) => object);
    return items.map((item) => trim({ ...kind, ...item }) as T);
  }
}

const trims = new Map<Resource, (object: KubeObject) => KubeObject>([
  [secrets, trimSecret],
  [syncedSecrets, trimSyncedSecret as unknown as (object: KubeObject) => KubeObject],
  [namespaces, trimNamespace],
]);

function takeAll(engine: Engine): string[] {
  const keys: string[] = [];
  for (let key = engine.queues.syncedSecrets.take(); key !== undefined; key = engine.queues.syncedSecrets.take()) {
    keys.push(key);
  }
  return keys;
}

/** Creates a world in its own namespace, with a connection that allows everything to it. */
export async function makeWorld(
  cluster: ClusterHandle,
  prefix: string,
  settings: Partial<Settings> = {},
  connection: object = {},
): Promise<World> {
  const [namespace, aws] = await Promise.all([
    cluster.freshNamespace(prefix),
    startEmulator({ reads: "memory", quota: "none" }),
  ]);
  const world = new World(cluster, namespace, aws, settings);
  await world.makeConnection(connection);
  afterAll(async () => {
    await world.end();
    await aws.stop();
  });
  return world;
}

/** Identities whose specs and ports a test may change. */
class WorldIdentities extends Identities {
  readonly #world: Pick<World, "redirect" | "tamper">;

  constructor(world: Pick<World, "redirect" | "tamper">, ...options: ConstructorParameters<typeof Identities>) {
    super(...options);
    this.#world = world;
  }

  override get(spec: IdentitySpec): Identity {
    return this.#world.tamper(super.get(this.#world.redirect(spec)));
  }
}

/** Lists again after a refusal for now, as the reflector does: the API server answers 429 while it fills a cache. */
async function asAReflector<T>(list: () => Promise<T>, triesLeft = 40): Promise<T> {
  try {
    return await list();
  } catch (error) {
    if (triesLeft === 0 || !isRetryable(error)) throw error;
    await sleep(systemClock, 250);
    return asAReflector(list, triesLeft - 1);
  }
}
