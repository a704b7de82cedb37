import type { SyncedSecret } from "../../api/types.ts";
import type { Outages } from "../../aws/ratelimit/outages.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { ByteTicket } from "../../runtime/byte-budget.ts";
import { Failure } from "../../runtime/failure.ts";
import { traced } from "../../runtime/tracing.ts";
import type { Connections } from "../connection/connections.ts";
import { type Attempt, awaitAws, check } from "./act/attempt.ts";
import { Executor, type ExecutorOptions, type Final } from "./act/carry-out.ts";
import { Gatherer, type GathererOptions } from "./act/gather.ts";
import { admit, rejectedBySpec, type TargetRules } from "./decide/admission.ts";
import { decide } from "./decide/decide.ts";
import { elsewhereOf, failoverMessage, type IsDown, remainingMessage } from "./decide/failover.ts";
import { interestOf } from "./decide/interest.ts";
import type { Done } from "./decide/material.ts";
import { keepsVersions } from "./decide/once.ts";
import { handles, type Outcome } from "./decide/outcome.ts";
import { asksForExpiry, type Facts, isOnce, type Observed, subscriptionsOf } from "./decide/snapshot.ts";
import { Snapshots, type SnapshotsOptions } from "./snapshot.ts";
import { AppliedRecords } from "./trust/applied.ts";
import { TooLargeSecrets } from "./trust/too-large.ts";
import { pastOf } from "./trust/warm-start.ts";

export interface ReconcilerOptions
  extends TargetRules,
    GathererOptions,
    Omit<SnapshotsOptions & ExecutorOptions, "applied" | "tooLarge"> {
  connections: Connections;
  outages: Pick<Outages, "isDown">;
  metrics: Metrics;
}

/** Steps of one reconcile at most: a look, three kinds of reads, an assembly, and the last decision. */
const stepsAtMost = 10;

/**
 * Reconciles one SyncedSecret: takes a snapshot, decides and acts, until a decision ends it; `summarize` reports the
 * outcome. Level-based: an event carries no data. If the Secret is current, a reconcile neither decrypts nor writes.
 */
export class SyncedSecretReconciler {
  readonly #options: ReconcilerOptions;
  readonly #applied: AppliedRecords;
  readonly #snapshots: Snapshots;
  readonly #gatherer: Gatherer;
  readonly #executor: Executor;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#applied = new AppliedRecords(options.clock);
    const shared = { ...options, applied: this.#applied, tooLarge: new TooLargeSecrets() };
    this.#snapshots = new Snapshots(shared);
    this.#gatherer = new Gatherer(shared);
    this.#executor = new Executor(shared);
  }

  /** @param key namespace/name of a deleted SyncedSecret */
  forget(key: string): void {
    this.#applied.forget(key);
  }

  /** @throws KubeError if a request to the API server fails; Canceled if the attempt's basis has changed */
  async reconcile(resource: SyncedSecret, attempt: Attempt): Promise<Outcome> {
    try {
      return await this.#reconcile(resource, attempt);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return { kind: "failed", problems: [error], hasGoodSecret: resource.status?.secretRef !== undefined };
    }
  }

  async #reconcile(resource: SyncedSecret, attempt: Attempt): Promise<Outcome> {
    const { connections, readOnly } = this.#options;
    const admission = rejectedBySpec(resource, this.#options) ?? this.#admit(resource, connections);
    if ("outcome" in admission) {
      if (!admission.keepsPolling) this.#subscribe(resource, []);
      return admission.outcome;
    }
    const facts = await this.#snapshots.facts(resource, admission);
    const outcome = await this.#anywhere(facts, attempt);
    const { refresh } = facts;
    return refresh !== undefined && handles(outcome, readOnly) ? { ...outcome, handledRefresh: refresh } : outcome;
  }

  #admit(resource: SyncedSecret, connections: Connections) {
    const hasFailed = connections.get(connections.keyFor(resource))?.state === "failed";
    return admit(resource, connections.grant(resource), hasFailed);
  }

  /** Reconciles with the home region; if that is down and failover is allowed, with the first region that works. */
  async #anywhere(facts: Facts, attempt: Attempt): Promise<Outcome> {
    const { outages, metrics } = this.#options;
    const isDown: IsDown = (key, service) => outages.isDown(key, service);
    const home = facts.granted.identity.region;
    for (const { region, facts: there } of elsewhereOf(facts, isDown)) {
      const outcome = await this.#steps(there, attempt);
      if (outcome.kind === "failed") continue;
      check(attempt);
      this.#subscribe(facts.resource, subscriptionsOf(facts));
      metrics.failoverReads.inc({ service: "ssm", region });
      if (outcome.kind !== "current" && outcome.kind !== "degraded") return outcome;
      return { ...outcome, failedOver: failoverMessage("parameters", home, region) };
    }
    const outcome = await this.#steps(facts, attempt);
    const failedOver = remainingMessage(facts, outcome, isDown);
    return failedOver === undefined ? outcome : { ...outcome, failedOver };
  }

  /** Decides and acts until a decision ends the reconcile. */
  async #steps(facts: Facts, attempt: Attempt): Promise<Outcome> {
    check(attempt);
    const interest = interestOf(facts);
    if (interest) this.#subscribe(facts.resource, interest);
    if (interest?.length && !isOnce(facts.resource)) await this.#settle(facts, attempt);
    const ticket = this.#options.observer.inFlight.ticket(facts.target.namespace);
    try {
      const decision = await this.#decide(facts, attempt, ticket);
      if (keepsVersions(facts)) this.#subscribe(facts.resource, []);
      return await this.#executor.carryOut(decision, facts, attempt);
    } finally {
      ticket.end();
    }
  }

  async #decide(facts: Facts, attempt: Attempt, ticket: ByteTicket): Promise<Final> {
    let done: Done = {};
    let observed: Observed = await this.#snapshots.observe(facts);
    for (let step = 0; step < stepsAtMost; step++) {
      const decision = decide({ ...facts, ...observed, done });
      if (decision.kind !== "look" && decision.kind !== "read" && decision.kind !== "assemble") return decision;
      done = { ...done, ...(await this.#gatherer.gather(decision, { facts, attempt, ticket })) };
      const asksAws = decision.kind === "look" || (decision.kind === "read" && decision.what === "sources");
      if (asksAws) observed = await this.#snapshots.observe(facts);
    }
    throw new Error("a reconcile does not come to a decision");
  }

  /** Waits for descriptions that decide what is written: a Secret that is created must not contain expired values. */
  async #settle(facts: Facts, attempt: Attempt): Promise<void> {
    const { resource, plan, warmStart, revision } = facts;
    const { observer, clock } = this.#options;
    const all = asksForExpiry(resource) && revision === undefined;
    const settling = () =>
      observer.settle(plan.references, attempt.lane, { all, past: pastOf(warmStart, clock.now()) });
    await traced(attempt.span, "describe", {}, () => awaitAws(attempt, settling()));
  }

  #subscribe({ metadata }: SyncedSecret, subscriptions: ReturnType<typeof subscriptionsOf>): void {
    this.#options.observer.depend(`${metadata.namespace}/${metadata.name}`, subscriptions);
  }
}
