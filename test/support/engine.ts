import type { AnyConnection } from "../../src/api/any-connection.ts";
import type { SyncedSecret, SyncedSecretSpec } from "../../src/api/types.ts";
import type { Identities, Identity } from "../../src/aws/identity.ts";
import type { IdentitySpec } from "../../src/aws/identity-spec.ts";
import { kmsPort } from "../../src/aws/kms.ts";
import { ssmPort } from "../../src/aws/ssm.ts";
import { recordOf } from "../../src/controllers/syncedsecret/act/managed-fields-entry.ts";
import { Engine } from "../../src/controllers/wiring.ts";
import type { KubeClient } from "../../src/kube/client/client.ts";
import { KubeError } from "../../src/kube/errors.ts";
import type { Change, Store } from "../../src/kube/informer/store.ts";
import { type KubeObject, type Resource, secrets, syncedSecrets } from "../../src/kube/resource.ts";
import { runWorkers } from "../../src/kube/work-queue.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { silent } from "../../src/runtime/log.ts";
import { Sealed } from "../../src/runtime/sealed.ts";
import { FakeClock } from "./clock.ts";
import { newStores, settingsWith, stopTimers } from "./engine-parts.ts";
import { FakeAws } from "./fake-aws.ts";

/** A write to the API server, with its time in monotonic milliseconds. */
export interface WriteSeen {
  at: number;
  kind: "secret" | "status" | "delete";
  /** namespace/name. */
  key: string;
  /** The resourceVersion that the write requires. */
  base: string | undefined;
}

/**
 * The engine and its workers with a fake clock, an in-memory Parameter Store, and an API server that accepts every
 * write. The test delivers the watch events.
 */
export class EngineRig {
  readonly clock = new FakeClock();
  readonly aws = new FakeAws(() => this.clock.now());
  readonly engine: Engine;
  readonly writes: WriteSeen[] = [];
  /** AWS calls with their time: parameter names, paths, key ids. */
  readonly asked: { at: number; names: readonly string[] }[] = [];
  /** Secrets with credentials, by namespace/name: the access key id. */
  readonly credentials = new Map<string, string>();
  /** Called before the API server answers a write. */
  holdWrite: ((write: WriteSeen) => void | Promise<void>) | undefined;
  readonly #stores = newStores();
  readonly #identities = new Map<string, Identity>();
  readonly #stop = new AbortController();
  #versions = 100;

  constructor() {
    const client = { ...this.#client(), create: async (_: Resource, object: KubeObject) => object };
    this.engine = new Engine(
      {
        client: client as unknown as KubeClient,
        identities: { get: (spec: IdentitySpec) => this.#identity(spec) } as unknown as Identities,
        metrics: new Metrics(),
        clock: this.clock,
        random: () => 0.5,
        log: silent,
        settings: settingsWith(),
      },
      this.#stores,
    );
  }

  /** Starts the workers. From now on, delivered objects count as a person's changes. */
  start(): void {
    const { queues, connections, syncedSecrets: controller } = this.engine;
    const common = { concurrency: Number.POSITIVE_INFINITY, signal: this.#stop.signal, log: silent };
    void runWorkers(queues.connections, { ...common, handle: (key) => connections.handle(key) });
    controller.triggers.begin();
    void runWorkers(queues.syncedSecrets, { ...common, handle: (key) => controller.handle(key) });
  }

  stop(): void {
    this.#stop.abort();
    stopTimers(this.engine);
  }

  /** Advances the clock in steps of 100 ms. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) await this.clock.advance(Math.min(left, 100));
  }

  namespace(name: string, labels: Record<string, string> = {}): void {
    this.#show(this.#stores.namespaces, { metadata: { name, labels } }, (change) =>
      this.engine.namespaceChanged(change),
    );
  }

  connection(namespace: string | undefined, name: string, spec: object): void {
    const kind = namespace === undefined ? "ClusterAWSConnection" : "AWSConnection";
    const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
    const object = { apiVersion: "keyferry.io/v1alpha1", kind, metadata, spec } as unknown as AnyConnection &
      KubeObject;
    this.#show(this.#connections(namespace), object, (change) => this.engine.connections.changed(kind, change));
  }

  deleteConnection(namespace: string | undefined, name: string): void {
    const kind = namespace === undefined ? "ClusterAWSConnection" : "AWSConnection";
    const store = this.#connections(namespace);
    const object = store.get(namespace === undefined ? name : `${namespace}/${name}`)!;
    for (const change of store.remove(object)) this.engine.connections.changed(kind, change);
  }

  synced(namespace: string, name: string, spec: SyncedSecretSpec): void {
    const object = { apiVersion: "keyferry.io/v1alpha1", kind: "SyncedSecret", metadata: { name, namespace }, spec };
    this.#show(this.#stores.syncedSecrets, object as SyncedSecret & KubeObject, (change) =>
      this.engine.syncedSecrets.triggers.changed(change),
    );
  }

  deleteSynced(namespace: string, name: string): void {
    const store = this.#stores.syncedSecrets;
    for (const change of store.remove(store.get(`${namespace}/${name}`)!))
      this.engine.syncedSecrets.triggers.changed(change);
  }

  status(key: string): SyncedSecret["status"] {
    return this.#stores.syncedSecrets.get(key)?.status;
  }

  /** Keys of the Secrets written after a time. */
  secretsAfter(at: number): string[] {
    return this.writes.filter((write) => write.kind === "secret" && write.at > at).map(({ key }) => key);
  }

  /** The AWS calls after a time. */
  askedAfter(at: number): string[] {
    return this.asked.filter((call) => call.at > at).flatMap(({ names }) => names);
  }

  #connections(namespace: string | undefined) {
    return namespace === undefined ? this.#stores.clusterConnections : this.#stores.connections;
  }

  /** Puts an object into a store as a watch would: with a uid, and a generation that counts its specs. */
  #show<T extends KubeObject>(store: Store<T>, object: T, told: (change: Change<T>) => void): void {
    const { namespace, name } = object.metadata;
    const before = store.get(namespace === undefined ? name! : `${namespace}/${name}`);
    this.#versions += 1;
    const metadata = {
      uid: before?.metadata.uid ?? `uid-${this.#versions}`,
      generation: (before?.metadata.generation ?? 0) + 1,
      resourceVersion: String(this.#versions),
      ...object.metadata,
    };
    for (const change of store.put({ ...before, ...object, metadata })) told(change);
  }

  #identity(spec: IdentitySpec): Identity {
    const key = spec.credentials.kind === "static" ? spec.credentials.accessKeyId : "default";
    const known = this.#identities.get(key);
    if (known) return known;
    const made = this.aws.identity(key, spec.region);
    const note = (names: readonly string[]) => this.asked.push({ at: this.clock.monotonic(), names: [...names] });
    const ssm = this.aws.ssm(spec.region);
    const identity: Identity = {
      ...made,
      ssm: ssmPort({
        getParameters: (names, options) => {
          note(names);
          return ssm.getParameters(names, options);
        },
        getParameter: (name, options) => {
          note([name]);
          return ssm.getParameter(name, options);
        },
        getParametersByPath: (query) => {
          note([query.path]);
          return ssm.getParametersByPath(query);
        },
        describeParameters: (query) => {
          note(query.names ?? [query.path!.name]);
          return ssm.describeParameters(query);
        },
      }),
      kms: kmsPort({
        decrypt: async ({ keyId = "key" }) => {
          note([keyId]);
          return { plaintext: Sealed.text("blob"), keyId, requestId: "1" };
        },
        describeKey: async (keyId) => {
          note([keyId]);
          throw new KubeError("other", "no keys here");
        },
      }),
    };
    this.#identities.set(key, identity);
    return identity;
  }

  #client() {
    const write = async (kind: WriteSeen["kind"], { namespace, name, resourceVersion }: KubeObject["metadata"]) => {
      const seen = { at: this.clock.monotonic(), kind, key: `${namespace}/${name}`, base: resourceVersion };
      this.writes.push(seen);
      await this.holdWrite?.(seen);
    };
    return {
      get: async (resource: Resource, namespace: string, name: string) => {
        const accessKeyId = this.credentials.get(`${namespace}/${name}`);
        if (resource !== secrets || accessKeyId === undefined) throw new KubeError("notFound", `no ${name}`);
        const text = (value: string) => Buffer.from(value).toString("base64");
        return { data: { AWS_ACCESS_KEY_ID: text(accessKeyId), AWS_SECRET_ACCESS_KEY: text("secret") } };
      },
      apply: async (
        resource: Resource,
        object: KubeObject & { data?: object },
        { fieldManager }: { fieldManager: string },
      ) => {
        const isSecret = resource === secrets;
        if (isSecret || resource === syncedSecrets) await write(isSecret ? "secret" : "status", object.metadata);
        this.#versions += 1;
        const managedFields = [recordOf(fieldManager, Object.keys(object.data ?? {}), object.metadata)];
        const version = { uid: "uid", resourceVersion: String(this.#versions) };
        return { ...object, metadata: { ...object.metadata, ...version, managedFields } };
      },
      delete: async (_: Resource, namespace: string, name: string) => write("delete", { namespace, name }),
    };
  }
}
