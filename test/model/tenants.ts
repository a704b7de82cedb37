import { labels } from "../../src/api/annotations.ts";
import type { AnyConnection } from "../../src/api/any-connection.ts";
import type { SyncedSecret, SyncedSecretSpec } from "../../src/api/types.ts";
import { AwsFailure } from "../../src/aws/failure.ts";
import type { Identities, Identity } from "../../src/aws/identity.ts";
import { trimSecret, trimSyncedSecret } from "../../src/controllers/trim.ts";
import { Engine } from "../../src/controllers/wiring.ts";
import type { KubeObject } from "../../src/kube/resource.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { silent } from "../../src/runtime/log.ts";
import { FakeClock, settle } from "../support/clock.ts";
import { newStores, settingsWith, stopTimers } from "../support/engine-parts.ts";
import { type Call, FakeAws } from "../support/fake-aws.ts";
import { FakeApiServer } from "./api-server.ts";
import { Oracle } from "./oracle.ts";

export type Resource = SyncedSecret & KubeObject;

/** Milliseconds in the operator's settings, short so that a schedule is short. */
const pollIntervalMs = 60_000;
export const missingGraceMs = 60_000;

/** The current fault of calls to AWS. */
export type Fault = "none" | "throttled" | "unreachable";

const bothNamespaces = ["a", "b"];
/** The connection's initial allow rules. */
export const allowed = ["/{namespace}/*", "/shared/*"];

/**
 * Two tenants, `a` and `b`, of one connection. The engine runs between an API server and a Parameter Store, both in
 * memory, with a stepped clock. The oracle receives each answer and each write.
 */
export class Tenants {
  readonly clock = new FakeClock();
  /** No two puts have the same instant: a recreated parameter is recognized by its date. */
  readonly aws = new FakeAws(() => this.clock.now() + this.puts);
  puts = 0;
  readonly api = new FakeApiServer(() => this.clock.now());
  readonly oracle = new Oracle(this);
  fault: Fault = "none";
  #identity: Identity;
  #engine: Engine | undefined;
  #stores = newStores();
  /** Changes of the API server that the engine has been shown. */
  #shown = -1;

  constructor() {
    this.aws.fault = (call) => this.#answer(call);
    this.api.written = (write) => this.oracle.written(write);
    this.#identity = this.aws.identity();
    this.allow(allowed);
  }

  /** Sets the connection's allow rules. */
  allow(parameters: readonly string[]): void {
    this.oracle.patterns = parameters;
    this.api.put("clusterawsconnections", {
      apiVersion: "keyferry.io/v1alpha1",
      kind: "ClusterAWSConnection",
      metadata: { name: "default" },
      spec: {
        region: "eu-west-1",
        allow: { namespaces: { names: bothNamespaces }, parameters },
        pollInterval: `${pollIntervalMs / 1_000}s`,
        limits: { ssmRequestsPerSecond: 10_000 },
      },
    });
  }

  /** Applies a SyncedSecret as its tenant would. */
  apply(namespace: string, name: string, spec: SyncedSecretSpec): void {
    this.api.put("syncedsecrets", {
      apiVersion: "keyferry.io/v1alpha1",
      kind: "SyncedSecret",
      metadata: { namespace, name },
      spec,
    });
  }

  resource(key: string): Resource | undefined {
    return this.api.object<Resource>("syncedsecrets", key);
  }

  /** Ends the process at once, like SIGKILL. */
  stop(): void {
    if (!this.#engine) return;
    stopTimers(this.#engine);
    this.#engine = undefined;
  }

  /** Starts another process, which knows only what the API server and AWS hold. */
  async start(): Promise<void> {
    this.stop();
    this.#stores = newStores();
    this.#shown = -1;
    this.oracle.restarted();
    const engine = new Engine(
      {
        client: this.api,
        identities: { get: () => this.#identity } as unknown as Identities,
        metrics: new Metrics(),
        clock: this.clock,
        random: () => 0.5,
        log: silent,
        settings: settingsWith({ missingGraceMs, instance: "model" }),
      },
      this.#stores,
    );
    this.#engine = engine;
    await this.sync();
    engine.syncedSecrets.triggers.begin();
  }

  get isRunning(): boolean {
    return this.#engine !== undefined;
  }

  /** Shows the engine the API server's state, and runs the queues until nothing is ready. */
  async sync(): Promise<void> {
    for (let round = 0; this.#engine && round < 100; round++) {
      this.#show(this.#engine);
      if (!(await this.#work(this.#engine)) && this.api.changes === this.#shown) return;
    }
    if (this.#engine) throw new Error("the queues do not come to rest");
  }

  /** Advances both clocks, and runs everything that is due. */
  async pass(ms: number, stepMs = 15_000): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      await this.clock.advance(Math.min(stepMs, left));
      await this.sync();
    }
  }

  #show(engine: Engine): void {
    if (this.api.changes === this.#shown) return;
    this.#shown = this.api.changes;
    const { connections, syncedSecrets } = engine;
    const { clusterConnections, secrets, syncedSecrets: resources } = this.#stores;
    for (const change of clusterConnections.replace(this.api.objects("clusterawsconnections") as AnyConnection[])) {
      connections.changed("ClusterAWSConnection", change);
    }
    const labelled = this.api
      .secrets()
      .filter(({ metadata }) => metadata.labels?.[labels.managed] === labels.managedValue);
    for (const change of secrets.replace(labelled.map(trimSecret))) engine.secretChanged(change);
    const shown = (this.api.objects("syncedsecrets") as Resource[]).map(trimSyncedSecret);
    for (const change of resources.replace(shown)) syncedSecrets.triggers.changed(change);
  }

  /** @returns whether anything was ready */
  async #work(engine: Engine): Promise<boolean> {
    const { queues, connections, syncedSecrets } = engine;
    let did = false;
    for (let key = queues.connections.take(); key !== undefined; key = queues.connections.take()) {
      await connections.handle(key);
      queues.connections.done(key);
      did = true;
    }
    const handled: Promise<void>[] = [];
    for (let key = queues.syncedSecrets.take(); key !== undefined; key = queues.syncedSecrets.take()) {
      const taken = key;
      handled.push(syncedSecrets.handle(taken).finally(() => queues.syncedSecrets.done(taken)));
    }
    if (handled.length === 0) return did;
    let isOver = false;
    const end = () => {
      isOver = true;
    };
    const all = Promise.all(handled);
    all.then(end, end);
    for (let turns = 0; !isOver; turns++) {
      await settle(1);
      // Throttled calls are retried after a while.
      if (!isOver && turns > 20) await this.clock.advance(250);
      if (turns > 2_000) throw new Error("a reconcile does not end");
    }
    await all;
    return true;
  }

  #answer(call: Call): void {
    if (this.fault === "none") {
      this.oracle.asked(call);
      return;
    }
    if (this.fault === "throttled") {
      const message = "AWS Systems Manager in eu-west-1 throttles";
      throw new AwsFailure({ reason: "Throttled", next: "retry", code: "ThrottlingException", message });
    }
    const message = "AWS Systems Manager in eu-west-1 does not answer";
    throw new AwsFailure({ reason: "Unreachable", next: "retry", code: "ECONNREFUSED", message });
  }
}
