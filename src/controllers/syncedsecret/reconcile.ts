import type { SyncedSecret } from "../../api/types.ts";
import type { Outages } from "../../aws/ratelimit/outages.ts";
import type { ObjectMeta } from "../../kube/resource.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import { wantsAnotherLook } from "../../parameters/cache-entry.ts";
import type { Observer } from "../../parameters/observer.ts";
import { type Reference, referenceKey } from "../../parameters/reference.ts";
import type { ByteTicket } from "../../runtime/byte-budget.ts";
import type { Clock } from "../../runtime/clock.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Assembler } from "../../values/assembler.ts";
import type { Connections } from "../connection/connections.ts";
import type { SecretView } from "../secret-view.ts";
import { AppliedRecords } from "./applied.ts";
import { type Assessment, assess, labelled, type Proof, prepareMembers } from "./assess.ts";
import { type Attempt, awaitAws, check } from "./attempt.ts";
import { openBlobs, type WayToKms } from "./blobs.ts";
import { build, type Material } from "./build.ts";
import { decideSomewhere, madeElsewhere, saidOf } from "./failover.ts";
import { collectGarbage } from "./garbage-collection.ts";
import type { Outcome } from "./outcome.ts";
import { pinnedAssessment, readPinned } from "./pinned-versions.ts";
import { isFromParameters, plan } from "./plan.ts";
import { pendingRefresh, readyOf, reportedMissing } from "./previous-status.ts";
import { readSources } from "./read-sources.ts";
import { viewOf } from "./reference-view.ts";
import { terminating } from "./refused.ts";
import { mayHaveToRetain, retain } from "./retained-keys.ts";
import { heard, losses, missedSinceDeletion, staleSourceProblems, wanting } from "./retention.ts";
import type { Revisions } from "./revision.ts";
import {
  asksForExpiry,
  asWhom,
  damageOf,
  editorsOf,
  foreignKeysOf,
  isSyncedOnce,
  keysOf,
  madeFrom,
  mayBeOfSpec,
  presentOf,
  retainedKeysOf,
  revisionOf,
  type Snapshot,
  subscriptionsOf,
  wasCurrent,
} from "./snapshot.ts";
import { listed } from "./summarize.ts";
import { conflict, type Standing, standing, type Target, targetOf } from "./target.ts";
import { refusedTargetMetadata } from "./target-metadata.ts";
import { TooLargeSecrets } from "./too-large.ts";
import type { VerifiedRevisions } from "./verified-revisions.ts";
import { noWarmStart, pastOf, warmStartOf } from "./warm-start.ts";
import type { SecretWriter } from "./write.ts";

export interface ReconcilerOptions extends WayToKms {
  connections: Connections;
  observer: Observer;
  outages: Outages;
  metrics: Metrics;
  view: SecretView;
  writer: SecretWriter;
  verifiedRevisions: VerifiedRevisions;
  revisions: Revisions;
  assembler: Assembler;
  clock: Clock;
  /** Sources are checked and statuses written, but no Secret is written. */
  readOnly: boolean;
  /** Namespaces in which the operator writes no Secret. */
  protectedNamespaces: ReadonlySet<string>;
  /** Domains of labels and annotations that a target may set although other programs act on them. */
  allowedTargetMetadata: readonly string[];
  /** Whether a namespace is known to be terminating. */
  isTerminating: (namespace: string) => boolean;
}

/** Milliseconds between two looks at a source after a stale answer. */
const staleAnswerRetryMs = 10_000;

/**
 * Reconciles one SyncedSecret: takes a snapshot, decides and acts; `summarize` reports the outcome. Level-based: the
 * triggering event carries no data. If the Secret is current, a reconcile neither decrypts nor writes.
 */
export class SyncedSecretReconciler {
  readonly #options: ReconcilerOptions;
  readonly #tooLarge = new TooLargeSecrets();
  readonly #applied: AppliedRecords;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#applied = new AppliedRecords(options.clock);
  }

  /** @param key namespace/name of a deleted SyncedSecret */
  forget(key: string): void {
    this.#applied.forget(key);
  }

  /**
   * @throws KubeError if a request to the API server fails; Canceled if the attempt's basis has changed
   */
  async reconcile(resource: SyncedSecret, attempt: Attempt): Promise<Outcome> {
    try {
      return await this.#evaluate(resource, attempt);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return { kind: "failed", problems: [error], hasGoodSecret: resource.status?.secretRef !== undefined };
    }
  }

  async #evaluate(resource: SyncedSecret, attempt: Attempt): Promise<Outcome> {
    const { observer, connections, protectedNamespaces, readOnly, revisions } = this.#options;
    const dependent = `${resource.metadata.namespace}/${resource.metadata.name}`;
    if (resource.metadata.deletionTimestamp) {
      observer.depend(dependent, []);
      return { kind: "nothing" };
    }
    if (resource.spec.suspend) {
      observer.depend(dependent, []);
      return { kind: "suspended" };
    }
    const target = targetOf(resource);
    const refuse = (problems: Failure[]): Outcome => {
      observer.depend(dependent, []);
      return { kind: "failed", problems, hasGoodSecret: false };
    };
    if (this.#options.isTerminating(target.namespace)) {
      return { ...refuse([terminating(`Secret ${target.namespace}/${target.name}`)]), isQuiet: true };
    }
    if (protectedNamespaces.has(target.namespace)) {
      const message = `namespace ${target.namespace} is protected: use another namespace, or change --protected-namespaces`;
      return refuse([new Failure("NotAllowed", "wait", message)]);
    }
    const refusedMetadata = refusedTargetMetadata(resource.spec.target, this.#options.allowedTargetMetadata);
    if (refusedMetadata) return refuse([refusedMetadata]);
    const grant = connections.grant(resource);
    // The connection's first check enqueues its users.
    if (grant.state === "pending") return { kind: "nothing" };
    if (grant.state === "refused") {
      // Polls continue while a connection has failed, so that nothing has to be read again once it recovers. If the
      // connection is deleted, or denies this namespace, no more AWS calls are made.
      const hasFailed = connections.get(connections.keyFor(resource))?.state === "failed";
      if (!hasFailed || grant.failure.reason === "NotAllowed") observer.depend(dependent, []);
      return { kind: "failed", problems: [grant.failure], hasGoodSecret: resource.status?.secretRef !== undefined };
    }
    const { granted } = grant;
    const planned = plan(resource.spec, granted, { namespace: target.namespace, name: resource.metadata.name! });
    if (planned.refused.length > 0) return refuse(planned.refused);
    const ownership = await this.#standing(resource, target);
    const refresh = pendingRefresh(resource);
    const snapshot: Snapshot = {
      resource,
      granted,
      plan: planned,
      target,
      standing: ownership,
      whenMissing: resource.spec.refresh?.whenMissing ?? "Retain",
      whenExpired:
        resource.spec.refresh?.policy === "Once" ? undefined : (resource.spec.refresh?.whenExpired ?? "Retain"),
      lane: attempt.lane,
      attempt,
      refresh,
      warmStart: noWarmStart,
      revisions,
      isForged: ownership.state === "ours" && this.#applied.isForged(resource, target, ownership.metadata),
    };
    const { verifiedRevisions } = this.#options;
    const warmStartInput = { ...snapshot, verifiedRevisions, followsExpiry: snapshot.whenExpired !== undefined };
    snapshot.warmStart = warmStartOf(warmStartInput, revisionOf(snapshot), this.#options.clock.now());
    const outcome = await decideSomewhere(
      snapshot,
      this.#options,
      (there) => this.#decide(there, dependent),
      () => {
        check(attempt);
        observer.depend(dependent, subscriptionsOf(snapshot));
      },
    );
    // A refresh stays pending if AWS did not answer or if --read-only prevented the apply.
    const isDone =
      outcome.kind === "current" ||
      (outcome.kind === "failed" &&
        !readOnly &&
        outcome.problems.every(({ next }) => next !== "retry" && next !== "refused"));
    return refresh !== undefined && isDone ? { ...outcome, handledRefresh: refresh } : outcome;
  }

  async #decide(snapshot: Snapshot, dependent: string): Promise<Outcome> {
    const { resource, granted, plan: planned, target, standing: ownership, lane, refresh, attempt } = snapshot;
    const { observer, clock } = this.#options;
    check(attempt);
    const targetConflict = conflict(ownership, target);
    if (targetConflict) {
      if (ownership.state !== "passing") observer.depend(dependent, []);
      return { kind: "failed", problems: [targetConflict], hasGoodSecret: false };
    }
    const inSecret = revisionOf(snapshot);
    const isOnce = resource.spec.refresh?.policy === "Once";
    if (isOnce && refresh === undefined && isSyncedOnce(snapshot)) return this.#keepOnce(snapshot, dependent);
    observer.depend(dependent, subscriptionsOf(snapshot));
    const view = async (): Promise<Assessment> => {
      await prepareMembers(planned, (reference) => observer.entry(reference));
      const looking = {
        ...{ now: clock.monotonic(), wall: clock.now() },
        ...{ warmStart: snapshot.warmStart, mayGoBack: refresh !== undefined },
      };
      const known = (reference: Reference) => {
        const entry = observer.entry(reference);
        return entry && viewOf(entry, looking);
      };
      const { whenMissing, whenExpired } = snapshot;
      const found = assess(planned, known, {
        grant: granted,
        namespace: target.namespace,
        when: { missing: whenMissing, expired: whenExpired },
      });
      const unseen = asksForExpiry(resource) ? observer.expiries.visibilityOf(granted.identity.key) : undefined;
      if (found.sourcesMetadata && unseen instanceof Failure) found.sourcesMetadata.unseen = unseen;
      return found;
    };
    // A Secret that is created must not contain expired values.
    const all = asksForExpiry(resource) && inSecret === undefined;
    const past = pastOf(snapshot.warmStart, clock.now());
    if (!isOnce) await awaitAws(attempt, observer.settle(planned.references, lane, { all, past }));
    let assessment = await view();
    const again = planned.references.filter((reference) => {
      const entry = observer.entry(reference);
      return entry !== undefined && wantsAnotherLook(entry, clock.monotonic());
    });
    // If the Secret exists, a look may show that it is current; if a source was missing, that it still is. Otherwise
    // everything is read at once. A failure of a read is only cleared by another read.
    const isBroken = again.some((reference) => observer.entry(reference)?.failure);
    const mustRead = refresh !== undefined || (isBroken && inSecret === undefined);
    if (!mustRead && (inSecret !== undefined || reportedMissing(resource))) {
      // A warm start trusts the previous status only if it was Ready: otherwise a restart would hide failures.
      const isUnseen = (reference: Reference) => observer.entry(reference)?.looked === false;
      const unseen = readyOf(resource)?.status !== "True" ? planned.references.filter(isUnseen) : [];
      const isSilent = (reference: Reference) =>
        clock.monotonic() - (observer.entry(reference)?.askedAt ?? -Infinity) >= staleAnswerRetryMs;
      const staleSources = assessment.staleSources.map(({ reference }) => reference).filter(isSilent);
      const toLookAt = new Set([...assessment.unknown, ...again, ...unseen, ...staleSources]);
      if (toLookAt.size > 0) {
        await this.#look(snapshot, [...toLookAt]);
        assessment = await view();
      }
    }
    if (!mustRead && assessment.problems.length > 0) return this.#failed(snapshot, assessment, assessment.problems);
    if (!mustRead && assessment.deleteSecret) return this.#delete(snapshot, assessment, assessment.deleteSecret);
    const damage = damageOf(snapshot);
    const isIntact = damage !== undefined && !damage.data && !damage.metadata;
    if (!mustRead && assessment.unknown.length === 0) {
      const wanted = madeFrom(snapshot, assessment.sources);
      if (isIntact && snapshot.revisions.isOf(inSecret, wanted)) return this.#current(snapshot, assessment);
      const refused = this.#tooLarge.of(resource, presentOf(snapshot)?.resourceVersion);
      if (refused && snapshot.revisions.isOf(refused.revision, wanted))
        return this.#failed(snapshot, assessment, [refused.failure]);
    }
    return this.#write(snapshot, view);
  }

  /** Reads all sources and applies the Secret, within the byte budget. */
  async #write(snapshot: Snapshot, view: () => Promise<Assessment>): Promise<Outcome> {
    const ticket = this.#options.observer.inFlight.ticket(snapshot.target.namespace);
    try {
      return await this.#readAndApply(snapshot, view, ticket);
    } finally {
      ticket.end();
    }
  }

  async #readAndApply(snapshot: Snapshot, view: () => Promise<Assessment>, ticket: ByteTicket): Promise<Outcome> {
    const { resource, plan: planned, lane, refresh, target, attempt } = snapshot;
    const { observer, writer, verifiedRevisions } = this.#options;
    const { namespace } = target;
    const { isWanted } = attempt;
    const dependent = `${namespace}/${resource.metadata.name}`;
    const readFor = { fresh: refresh !== undefined, namespace, resource: dependent, isWanted };
    const reading = readSources(planned, observer, lane, { ...readFor, ticket });
    const { values, failures, tooLarge } = await awaitAws(attempt, reading);
    const assessment = await view();
    if (tooLarge) {
      const revision = snapshot.revisions.of(madeFrom(snapshot, assessment.sources));
      const resourceVersion = presentOf(snapshot)?.resourceVersion;
      this.#tooLarge.note(resource, { revision, resourceVersion, failure: tooLarge });
      return this.#failed(snapshot, assessment, [tooLarge]);
    }
    const unread = planned.entries.flatMap((entry) => {
      const failure = isFromParameters(entry) ? failures.get(referenceKey(entry.reference)) : undefined;
      return failure ? [labelled(entry, failure)] : [];
    });
    const problems = [...assessment.problems, ...unread];
    if (problems.length > 0) return this.#failed(snapshot, assessment, problems);
    if (assessment.deleteSecret) return this.#delete(snapshot, assessment, assessment.deleteSecret);
    if (assessment.staleSources.length > 0) return this.#failed(snapshot, assessment, staleSourceProblems(assessment));
    const damage = damageOf(snapshot);
    const isComplete = assessment.lost.length === 0;
    const mayRetain = damage !== undefined && !damage.data && !resource.spec.target?.template;
    if (!isComplete && !mayRetain) return this.#failed(snapshot, assessment, losses(assessment));
    const missed = missedSinceDeletion(snapshot, assessment, this.#options.clock.now());
    if (missed) return this.#failed(snapshot, assessment, [missed]);
    const opened = await awaitAws(attempt, openBlobs(snapshot, this.#options));
    if (opened.problems.length > 0) return this.#failed(snapshot, assessment, opened.problems);
    const mayKeep = !isComplete || mayHaveToRetain(snapshot, verifiedRevisions);
    const live = mayKeep ? await writer.read(target.namespace, target.name, keysOf(snapshot)) : undefined;
    return this.#apply(snapshot, assessment, { ...opened, values, live });
  }

  async #apply(snapshot: Snapshot, assessment: Assessment, material: Material): Promise<Outcome> {
    const { resource, plan: planned, target, granted, attempt, revisions } = snapshot;
    const { writer, view, verifiedRevisions, readOnly, assembler } = this.#options;
    const inSecret = revisionOf(snapshot);
    const damage = damageOf(snapshot);
    const built = await build({ resource, plan: planned, granted, assembler }, assessment, material);
    if (!built.ok) return this.#failed(snapshot, assessment, built.problems);
    const retained = retain(snapshot, verifiedRevisions, built.data, material.live);
    const from = madeFrom(snapshot, built.sources);
    const isUnchanged = revisions.isOf(inSecret, from);
    const isNewVersion = revisions.isOfSpec(inSecret, resource.spec) && !isUnchanged && snapshot.refresh === undefined;
    const made = revisions.of(from);
    if (readOnly) {
      const message = `read-only: Secret ${target.name} would be written with ${built.data.size} keys`;
      return this.#failed(snapshot, assessment, [new Failure("Pending", "wait", message)]);
    }
    let ownership = snapshot.standing as Exclude<Standing, { state: "foreign" | "passing" }>;
    if (damage?.unrecorded && ownership.state === "ours" && target.policy !== "Merge") {
      const restored = await writer.restoreRecord(target, ownership.metadata, attempt);
      if (restored) ownership = { state: "ours", metadata: restored };
    }
    const write = await writer.apply(
      resource,
      target,
      { ownership, data: built.data, revision: made, retained },
      attempt,
    );
    if (write.outcome === "refused") this.#applied.unsure(resource);
    if (write.outcome === "again") return { kind: "again" };
    if (write.outcome === "refused") {
      const { failure } = write;
      const resourceVersion = ownership.state === "absent" ? undefined : ownership.metadata.resourceVersion;
      if (failure.reason === "TooLarge") this.#tooLarge.note(resource, { revision: made, resourceVersion, failure });
      return this.#failed(snapshot, assessment, [failure]);
    }
    this.#tooLarge.forget(resource);
    const applied = write.metadata && this.#applied.wrote(resource, target, made, write.metadata);
    verifiedRevisions.found(resource, made, asWhom(snapshot));
    const statusSources = listed(built.sources);
    if (!statusSources.sourcesOmitted) verifiedRevisions.verified(resource, made, statusSources.sources ?? []);
    const changed = !revisions.isOf(resource.status?.revision, from);
    const { sources } = built;
    const kmsKeys = [...material.keyIds].sort();
    const summary = {
      ...{ secret: target.name, revision: made, keyCount: built.data.size, sources, kmsKeys, changed },
      ...(applied ? { applied } : {}),
    };
    const isRepair = damage !== undefined && (damage.data || damage.metadata) && isUnchanged;
    const wasSynced = resource.status?.secretRef?.name === target.name;
    const left = await collectGarbage(snapshot, view, writer);
    const problems = [...wanting(assessment, resource, retained, granted), ...(left instanceof Failure ? [left] : [])];
    if (left === "again") return { kind: "again" };
    const home = (granted.blobsBy ?? granted.identity).region;
    const region = material.elsewhere === undefined ? {} : { failedOver: saidOf("blobs", home, material.elsewhere) };
    const common = { ...heard(assessment), ...region };
    if (problems.length > 0) {
      return { kind: "failed", problems, hasGoodSecret: true, wrote: "updated", made: summary, ...common };
    }
    const created = wasSynced ? "repaired" : "created";
    const updated = isRepair ? "repaired" : "updated";
    const wrote = ownership.state === "adoptable" ? "adopted" : ownership.state === "absent" ? created : updated;
    // A read at home after a failover is not a new version, so its age is not measured.
    const isMeasured = isNewVersion && built.modified > 0 && madeElsewhere(snapshot) === undefined;
    const newer = isMeasured ? { modified: built.modified } : {};
    const editors = isRepair ? editorsOf(snapshot, built.data) : [];
    const foreignKeys = isRepair ? foreignKeysOf(snapshot, built.data) : [];
    return { kind: "current", ...summary, left: assessment.left, ...newer, wrote, editors, foreignKeys, ...common };
  }

  /**
   * Under Once, the Secret keeps the versions that it was made from. After an edit these versions are read again by
   * number, if the revision of the Secret, or of the status, matches the sources that the status lists.
   */
  async #keepOnce(snapshot: Snapshot, dependent: string): Promise<Outcome> {
    const { resource, plan: planned, target, granted, attempt, revisions } = snapshot;
    const { observer, writer, view, readOnly } = this.#options;
    const inSecret = revisionOf(snapshot);
    const damage = damageOf(snapshot);
    const isIntact = damage !== undefined && !damage.data && !damage.metadata;
    const listed = pinnedAssessment(planned, resource.status?.sources ?? []);
    const made = inSecret ?? resource.status?.revision;
    const isVerified = revisions.isOf(made, madeFrom(snapshot, listed.sources));
    const isForeign = revisions.isForeign(made);
    if (isIntact && (!isForeign || wasCurrent(snapshot))) {
      let sources = isVerified ? listed.sources : undefined;
      if (!isVerified && !isForeign) {
        observer.depend(dependent, subscriptionsOf(snapshot));
        await this.#look(snapshot, planned.references);
        const known = (reference: Reference) => observer.entry(reference);
        sources = assess(planned, known, {
          grant: granted,
          namespace: target.namespace,
          when: { missing: "Retain", expired: undefined },
        }).sources;
        if (!revisions.isOf(inSecret, madeFrom(snapshot, sources))) sources = [];
      }
      observer.depend(dependent, []);
      const others = readOnly ? undefined : await collectGarbage(snapshot, view, writer);
      if (others === "again") return { kind: "again" };
      if (others) return { kind: "failed", problems: [others], hasGoodSecret: true };
      const keyCount = keysOf(snapshot).size;
      const common = { secret: target.name, revision: inSecret!, keyCount, left: [] };
      return { kind: "current", ...common, ...(sources ? { sources } : {}) };
    }
    observer.depend(dependent, []);
    if (!isVerified) {
      const message = isForeign
        ? `Secret ${target.name} was made by a newer release, and this release cannot tell from which sources: run the newer release, or set the annotation keyferry.io/refresh to make the Secret from the current versions`
        : `the sources of Secret ${target.name} are no longer known: change the spec, or set the annotation keyferry.io/refresh, to make the Secret from the current versions`;
      return this.#failed(snapshot, listed, [new Failure("SourceGone", "wait", message)]);
    }
    const whom = { ...attempt, resource: dependent };
    const pinned = await awaitAws(attempt, readPinned(planned, resource.status, observer, whom));
    const opened = await awaitAws(attempt, openBlobs(snapshot, this.#options));
    if (!pinned.ok || opened.problems.length > 0) {
      return this.#failed(snapshot, listed, [...(pinned.ok ? [] : pinned.problems), ...opened.problems]);
    }
    return this.#apply(snapshot, listed, { ...opened, values: pinned.values, live: undefined });
  }

  /** Looks at references without decryption. */
  #look({ lane, target, attempt }: Snapshot, references: readonly Reference[]): Promise<void> {
    const { isWanted } = attempt;
    const looks = this.#options.observer.look(references, lane, { namespace: target.namespace, isWanted });
    return awaitAws(attempt, looks);
  }

  /** @param _proof AWS's answer to this process that a source is deleted or expired; required for a deletion */
  async #delete(snapshot: Snapshot, assessment: Assessment, _proof: Proof): Promise<Outcome> {
    const { target } = snapshot;
    const present = presentOf(snapshot);
    const problems = losses(assessment);
    const common = { kind: "failed", problems, hasGoodSecret: false, ...heard(assessment) } as const;
    if (!present || this.#options.readOnly || target.policy === "Merge") return common;
    const removed = await this.#options.writer.remove(target.namespace, target.name, present, snapshot.attempt);
    if (removed.outcome === "again") return { kind: "again" };
    if (removed.outcome === "refused") return { ...common, problems: [removed.failure] };
    return { ...common, wrote: "deleted" };
  }

  async #standing(resource: SyncedSecret, target: Target): Promise<Standing> {
    const { view } = this.#options;
    const { namespace, name } = target;
    const isStale = view.isStale(namespace, name);
    const known = view.known(namespace, name);
    if (known && !isStale) return standing(resource, target, known);
    // The watch cache holds only labelled Secrets, so the Secret may exist without its label. A first sync needs no
    // live read: its write can only create, and fails if the Secret exists.
    const wasRefused = resource.status?.conditions?.some(({ reason }) => reason === "SecretConflict");
    const mayBeThere =
      isStale || view.isCut(namespace, name) || resource.status?.secretRef || wasRefused || target.policy === "Merge";
    const found: ObjectMeta | undefined = mayBeThere ? await view.look(namespace, name) : undefined;
    return standing(resource, target, found);
  }

  async #current(snapshot: Snapshot, assessment: Assessment): Promise<Outcome> {
    const { resource, target, granted } = snapshot;
    const { view, writer, verifiedRevisions, readOnly } = this.#options;
    const inSecret = revisionOf(snapshot)!;
    verifiedRevisions.found(resource, inSecret, asWhom(snapshot));
    const others = readOnly ? undefined : await collectGarbage(snapshot, view, writer);
    if (others === "again") return { kind: "again" };
    const retained = retainedKeysOf(snapshot);
    const { sources, left } = assessment;
    const found = this.#applied.saidOf(resource, target);
    const applied = this.#applied.unreportedOf(resource, target);
    const made = {
      ...{ secret: target.name, revision: inSecret, keyCount: keysOf(snapshot).size, sources },
      ...(found ? { found } : {}),
      ...(applied ? { applied } : {}),
    };
    const problems = [...wanting(assessment, resource, retained, granted), ...(others ? [others] : [])];
    if (problems.length > 0) return { kind: "failed", problems, hasGoodSecret: true, made, ...heard(assessment) };
    return { kind: "current", ...made, left, ...heard(assessment) };
  }

  #failed(snapshot: Snapshot, assessment: Assessment, problems: Failure[]): Outcome {
    // A Secret with edited data is not good, even if its sources are.
    const hasGoodSecret = mayBeOfSpec(snapshot) && !damageOf(snapshot)?.data;
    return { kind: "failed", problems, hasGoodSecret, ...heard(assessment) };
  }
}
