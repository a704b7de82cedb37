import type { SyncedSecret } from "../../api/types.ts";
import type { ObjectMeta } from "../../kube/resource.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import { wantsAnotherLook } from "../../parameters/entry.ts";
import type { Observer } from "../../parameters/observer.ts";
import type { Outages } from "../../parameters/outages.ts";
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
import {
  asksForExpiry,
  asWhom,
  damageOf,
  editorsOf,
  foreignKeysOf,
  type Gathered,
  isSyncedOnce,
  keptOf,
  keysOf,
  madeFrom,
  mayBeOfSpec,
  presentOf,
  revisionOf,
  wantsOf,
  wasCurrent,
} from "./gathered.ts";
import { keep, mayHaveToKeep } from "./keep.ts";
import { doubts, heard, losses, missedSinceDeletion, wanting } from "./loss.ts";
import { removeOthers } from "./others.ts";
import type { Outcome } from "./outcome.ts";
import { pinnedAssessment, readPinned } from "./pin.ts";
import { isFromParameters, plan } from "./plan.ts";
import { readSources } from "./read-sources.ts";
import { viewOf } from "./reference-view.ts";
import { terminating } from "./refused.ts";
import type { Revisions } from "./revision.ts";
import { pendingRefresh, readyOf, saidMissing } from "./said.ts";
import { listed } from "./summarize.ts";
import { conflict, type Standing, standing, type Target, targetOf } from "./target.ts";
import { TooLargeSecrets } from "./too-large.ts";
import type { Vouchers } from "./vouchers.ts";
import { noWarmStart, pastOf, warmStartOf } from "./warm-start.ts";
import type { SecretWriter } from "./write.ts";

export interface ReconcilerOptions extends WayToKms {
  connections: Connections;
  observer: Observer;
  outages: Outages;
  metrics: Metrics;
  view: SecretView;
  writer: SecretWriter;
  vouchers: Vouchers;
  revisions: Revisions;
  assembler: Assembler;
  clock: Clock;
  /** Everything is looked at and reported, and no Secret is written. */
  readOnly: boolean;
  /** Namespaces that are left alone, whatever their SyncedSecrets say. */
  protectedNamespaces: ReadonlySet<string>;
  /** Whether a namespace is known to be on its way out. */
  isTerminating: (namespace: string) => boolean;
}

/** Milliseconds between two looks at a source of which AWS has told with an older version than before. */
const doubtedAgainMs = 10_000;

/**
 * One reconcile of a SyncedSecret: gather, decide, act; the outcome is for summarize. Level-based: it takes nothing
 * from the event that led to it, and where everything is as it should be, it neither decrypts nor writes.
 */
export class SyncedSecretReconciler {
  readonly #options: ReconcilerOptions;
  readonly #tooLarge = new TooLargeSecrets();
  readonly #applied: AppliedRecords;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#applied = new AppliedRecords(options.clock);
  }

  /** @param key namespace/name of a SyncedSecret that is no more */
  forget(key: string): void {
    this.#applied.forget(key);
  }

  /**
   * @throws KubeError where the API server cannot be asked; Canceled where what the attempt was begun under holds no more
   */
  async reconcile(resource: SyncedSecret, attempt: Attempt): Promise<Outcome> {
    try {
      return await this.#gather(resource, attempt);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return { kind: "failed", problems: [error], hasGoodSecret: resource.status?.secretRef !== undefined };
    }
  }

  async #gather(resource: SyncedSecret, attempt: Attempt): Promise<Outcome> {
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
      const message = `namespace ${target.namespace} is left alone by the operator: use another, or change --protected-namespaces`;
      return refuse([new Failure("NotAllowed", "wait", message)]);
    }
    const grant = connections.grant(resource);
    // Its users are told when it has been looked at.
    if (grant.state === "pending") return { kind: "nothing" };
    if (grant.state === "refused") {
      // While a connection is being mended the polls go on: nothing is forgotten that would have to be read again. One
      // that is gone, or no longer for this namespace, asks AWS nothing more.
      const isMending = connections.get(connections.keyFor(resource))?.state === "failed";
      if (!isMending || grant.failure.reason === "NotAllowed") observer.depend(dependent, []);
      return { kind: "failed", problems: [grant.failure], hasGoodSecret: resource.status?.secretRef !== undefined };
    }
    const { granted } = grant;
    const planned = plan(resource.spec, granted, { namespace: target.namespace, name: resource.metadata.name! });
    if (planned.refused.length > 0) return refuse(planned.refused);
    const whose = await this.#standing(resource, target);
    const refresh = pendingRefresh(resource);
    const gathered: Gathered = {
      resource,
      granted,
      plan: planned,
      target,
      standing: whose,
      whenMissing: resource.spec.refresh?.whenMissing ?? "Retain",
      whenExpired:
        resource.spec.refresh?.policy === "Once" ? undefined : (resource.spec.refresh?.whenExpired ?? "Retain"),
      lane: attempt.lane,
      attempt,
      refresh,
      warmStart: noWarmStart,
      revisions,
      isForged: whose.state === "ours" && this.#applied.isForged(resource, target, whose.metadata),
    };
    const { vouchers } = this.#options;
    const told = { ...gathered, vouchers, followsExpiry: gathered.whenExpired !== undefined };
    gathered.warmStart = warmStartOf(told, revisionOf(gathered), this.#options.clock.now());
    const outcome = await decideSomewhere(
      gathered,
      this.#options,
      (there) => this.#decide(there, dependent),
      () => {
        check(attempt);
        observer.depend(dependent, wantsOf(gathered));
      },
    );
    // A refresh that AWS did not answer, or that read-only kept from being applied, is still to be done.
    const isDone =
      outcome.kind === "current" ||
      (outcome.kind === "failed" &&
        !readOnly &&
        outcome.problems.every(({ next }) => next !== "retry" && next !== "refused"));
    return refresh !== undefined && isDone ? { ...outcome, handledRefresh: refresh } : outcome;
  }

  async #decide(gathered: Gathered, dependent: string): Promise<Outcome> {
    const { resource, granted, plan: planned, target, standing: whose, lane, refresh, attempt } = gathered;
    const { observer, clock } = this.#options;
    check(attempt);
    const standsInTheWay = conflict(whose, target);
    if (standsInTheWay) {
      if (whose.state !== "passing") observer.depend(dependent, []);
      return { kind: "failed", problems: [standsInTheWay], hasGoodSecret: false };
    }
    const inSecret = revisionOf(gathered);
    const isOnce = resource.spec.refresh?.policy === "Once";
    if (isOnce && refresh === undefined && isSyncedOnce(gathered)) return this.#keepOnce(gathered, dependent);
    observer.depend(dependent, wantsOf(gathered));
    const view = async (): Promise<Assessment> => {
      await prepareMembers(planned, (reference) => observer.entry(reference));
      const looking = {
        ...{ now: clock.monotonic(), wall: clock.now() },
        ...{ warmStart: gathered.warmStart, mayGoBack: refresh !== undefined },
      };
      const known = (reference: Reference) => {
        const entry = observer.entry(reference);
        return entry && viewOf(entry, looking);
      };
      const { whenMissing, whenExpired } = gathered;
      const found = assess(planned, known, granted, target.namespace, whenMissing, whenExpired);
      const unseen = asksForExpiry(resource) ? observer.expiries.sightOf(granted.identity.key) : undefined;
      if (found.notes && unseen instanceof Failure) found.notes.unseen = unseen;
      return found;
    };
    // A Secret that is made for the first time, or again, is not made of what has expired.
    const all = asksForExpiry(resource) && inSecret === undefined;
    const past = pastOf(gathered.warmStart, clock.now());
    if (!isOnce) await awaitAws(attempt, observer.settle(planned.references, lane, { all, past }));
    let assessment = await view();
    const again = planned.references.filter((reference) => {
      const entry = observer.entry(reference);
      return entry !== undefined && wantsAnotherLook(entry, clock.monotonic());
    });
    // Where a Secret is there, a look without decryption may show that it is current, and where a source was missing,
    // that it still is; else all is read at once. What a read found, only a read can show to be mended.
    const isBroken = again.some((reference) => observer.entry(reference)?.failure);
    const mustRead = refresh !== undefined || (isBroken && inSecret === undefined);
    if (!mustRead && (inSecret !== undefined || saidMissing(resource))) {
      // What an earlier process knew is taken on trust only where all was well: else a start would call bad good.
      const isUnseen = (reference: Reference) => observer.entry(reference)?.looked === false;
      const unseen = readyOf(resource)?.status !== "True" ? planned.references.filter(isUnseen) : [];
      const isSilent = (reference: Reference) =>
        clock.monotonic() - (observer.entry(reference)?.askedAt ?? -Infinity) >= doubtedAgainMs;
      const doubted = assessment.doubted.map(({ reference }) => reference).filter(isSilent);
      const toSee = new Set([...assessment.unknown, ...again, ...unseen, ...doubted]);
      if (toSee.size > 0) {
        await this.#look(gathered, [...toSee]);
        assessment = await view();
      }
    }
    if (!mustRead && assessment.problems.length > 0) return this.#failed(gathered, assessment, assessment.problems);
    if (!mustRead && assessment.deleteSecret) return this.#delete(gathered, assessment, assessment.deleteSecret);
    const hurt = damageOf(gathered);
    const isIntact = hurt !== undefined && !hurt.data && !hurt.metadata;
    if (!mustRead && assessment.unknown.length === 0) {
      const wanted = madeFrom(gathered, assessment.sources);
      if (isIntact && gathered.revisions.isOf(inSecret, wanted)) return this.#current(gathered, assessment);
      const refused = this.#tooLarge.of(resource, presentOf(gathered)?.resourceVersion);
      if (refused && gathered.revisions.isOf(refused.revision, wanted))
        return this.#failed(gathered, assessment, [refused.failure]);
    }
    return this.#write(gathered, view);
  }

  /** Reads everything and applies it, or says why not. */
  async #write(gathered: Gathered, view: () => Promise<Assessment>): Promise<Outcome> {
    const ticket = this.#options.observer.inFlight.ticket(gathered.target.namespace);
    try {
      return await this.#readAndApply(gathered, view, ticket);
    } finally {
      ticket.end();
    }
  }

  async #readAndApply(gathered: Gathered, view: () => Promise<Assessment>, ticket: ByteTicket): Promise<Outcome> {
    const { resource, plan: planned, lane, refresh, target, attempt } = gathered;
    const { observer, writer, vouchers } = this.#options;
    const { namespace } = target;
    const { isWanted } = attempt;
    const dependent = `${namespace}/${resource.metadata.name}`;
    const readFor = { fresh: refresh !== undefined, namespace, resource: dependent, isWanted };
    const reading = readSources(planned, observer, lane, { ...readFor, ticket });
    const { values, failures, tooLarge } = await awaitAws(attempt, reading);
    const assessment = await view();
    if (tooLarge) {
      const revision = gathered.revisions.of(madeFrom(gathered, assessment.sources));
      const upon = presentOf(gathered)?.resourceVersion;
      this.#tooLarge.note(resource, { revision, resourceVersion: upon, failure: tooLarge });
      return this.#failed(gathered, assessment, [tooLarge]);
    }
    const unread = planned.entries.flatMap((entry) => {
      const failure = isFromParameters(entry) ? failures.get(referenceKey(entry.reference)) : undefined;
      return failure ? [labelled(entry, failure)] : [];
    });
    const problems = [...assessment.problems, ...unread];
    if (problems.length > 0) return this.#failed(gathered, assessment, problems);
    if (assessment.deleteSecret) return this.#delete(gathered, assessment, assessment.deleteSecret);
    if (assessment.doubted.length > 0) return this.#failed(gathered, assessment, doubts(assessment));
    const hurt = damageOf(gathered);
    const isAllThere = assessment.lost.length === 0;
    const mayRetain = hurt !== undefined && !hurt.data && !resource.spec.target?.template;
    if (!isAllThere && !mayRetain) return this.#failed(gathered, assessment, losses(assessment));
    const missed = missedSinceDeletion(gathered, assessment, this.#options.clock.now());
    if (missed) return this.#failed(gathered, assessment, [missed]);
    const opened = await awaitAws(attempt, openBlobs(gathered, this.#options));
    if (opened.problems.length > 0) return this.#failed(gathered, assessment, opened.problems);
    const mayKeep = !isAllThere || mayHaveToKeep(gathered, vouchers);
    const live = mayKeep ? await writer.read(target.namespace, target.name, keysOf(gathered)) : undefined;
    return this.#apply(gathered, assessment, { ...opened, values, live });
  }

  async #apply(gathered: Gathered, assessment: Assessment, material: Material): Promise<Outcome> {
    const { resource, plan: planned, target, granted, attempt, revisions } = gathered;
    const { writer, view, vouchers, readOnly, assembler } = this.#options;
    const inSecret = revisionOf(gathered);
    const hurt = damageOf(gathered);
    const built = await build({ resource, plan: planned, granted, assembler }, assessment, material);
    if (!built.ok) return this.#failed(gathered, assessment, built.problems);
    const kept = keep(gathered, vouchers, built.data, material.live);
    const from = madeFrom(gathered, built.sources);
    const isAsItWas = revisions.isOf(inSecret, from);
    const isNewVersion = revisions.isOfSpec(inSecret, resource.spec) && !isAsItWas && gathered.refresh === undefined;
    const made = revisions.of(from);
    if (readOnly) {
      const message = `read-only: Secret ${target.name} would be written with ${built.data.size} keys`;
      return this.#failed(gathered, assessment, [new Failure("Pending", "wait", message)]);
    }
    let whose = gathered.standing as Exclude<Standing, { state: "foreign" | "passing" }>;
    if (hurt?.unrecorded && whose.state === "ours" && target.policy !== "Merge") {
      const restored = await writer.restoreRecord(target, whose.metadata, attempt);
      if (restored) whose = { state: "ours", metadata: restored };
    }
    const write = await writer.apply(resource, target, whose, built.data, { revision: made, kept }, attempt);
    if (write.outcome === "refused") this.#applied.unsure(resource);
    if (write.outcome === "again") return { kind: "again" };
    if (write.outcome === "refused") {
      const { failure } = write;
      const upon = whose.state === "absent" ? undefined : whose.metadata.resourceVersion;
      if (failure.reason === "TooLarge")
        this.#tooLarge.note(resource, { revision: made, resourceVersion: upon, failure });
      return this.#failed(gathered, assessment, [failure]);
    }
    this.#tooLarge.forget(resource);
    const applied = write.metadata && this.#applied.wrote(resource, target, made, write.metadata);
    vouchers.found(resource, made, asWhom(gathered));
    const said = listed(built.sources);
    if (!said.sourcesOmitted) vouchers.verified(resource, made, said.sources ?? []);
    const changed = !revisions.isOf(resource.status?.revision, from);
    const { sources } = built;
    const kmsKeys = [...material.keyIds].sort();
    const summary = {
      ...{ secret: target.name, revision: made, keyCount: built.data.size, sources, kmsKeys, changed },
      ...(applied ? { applied } : {}),
    };
    const isRepair = hurt !== undefined && (hurt.data || hurt.metadata) && isAsItWas;
    const wasSynced = resource.status?.secretRef?.name === target.name;
    const left = await removeOthers(gathered, view, writer);
    const problems = [...wanting(assessment, resource, kept, granted), ...(left instanceof Failure ? [left] : [])];
    if (left === "again") return { kind: "again" };
    const home = (granted.blobsBy ?? granted.identity).region;
    const region = material.elsewhere === undefined ? {} : { failedOver: saidOf("blobs", home, material.elsewhere) };
    const common = { ...heard(assessment), ...region };
    if (problems.length > 0) {
      return { kind: "failed", problems, hasGoodSecret: true, wrote: "updated", made: summary, ...common };
    }
    const created = wasSynced ? "repaired" : "created";
    const updated = isRepair ? "repaired" : "updated";
    const wrote = whose.state === "adoptable" ? "adopted" : whose.state === "absent" ? created : updated;
    // What was read in another region is not newer: home answers again.
    const isMeasured = isNewVersion && built.modified > 0 && madeElsewhere(gathered) === undefined;
    const newer = isMeasured ? { modified: built.modified } : {};
    const editors = isRepair ? editorsOf(gathered, built.data) : [];
    const foreignKeys = isRepair ? foreignKeysOf(gathered, built.data) : [];
    return { kind: "current", ...summary, left: assessment.left, ...newer, wrote, editors, foreignKeys, ...common };
  }

  /**
   * Under Once, what was synced stays: a newer version would be another Secret. After an edit it is asked for by number,
   * where the Secret, or what was said of it, vouches for what the status lists.
   */
  async #keepOnce(gathered: Gathered, dependent: string): Promise<Outcome> {
    const { resource, plan: planned, target, granted, attempt, revisions } = gathered;
    const { observer, writer, view, readOnly } = this.#options;
    const inSecret = revisionOf(gathered);
    const hurt = damageOf(gathered);
    const isIntact = hurt !== undefined && !hurt.data && !hurt.metadata;
    const listed = pinnedAssessment(planned, resource.status?.sources ?? []);
    const made = inSecret ?? resource.status?.revision;
    const vouched = revisions.isOf(made, madeFrom(gathered, listed.sources));
    const isForeign = revisions.isForeign(made);
    if (isIntact && (!isForeign || wasCurrent(gathered))) {
      let sources = vouched ? listed.sources : undefined;
      if (!vouched && !isForeign) {
        observer.depend(dependent, wantsOf(gathered));
        await this.#look(gathered, planned.references);
        const known = (reference: Reference) => observer.entry(reference);
        sources = assess(planned, known, granted, target.namespace, "Retain").sources;
        if (!revisions.isOf(inSecret, madeFrom(gathered, sources))) sources = [];
      }
      observer.depend(dependent, []);
      const others = readOnly ? undefined : await removeOthers(gathered, view, writer);
      if (others === "again") return { kind: "again" };
      if (others) return { kind: "failed", problems: [others], hasGoodSecret: true };
      const keyCount = keysOf(gathered).size;
      const common = { secret: target.name, revision: inSecret!, keyCount, left: [] };
      return { kind: "current", ...common, ...(sources ? { sources } : {}) };
    }
    observer.depend(dependent, []);
    if (!vouched) {
      const message = isForeign
        ? `Secret ${target.name} was made by a newer release, and it cannot be told here what from: go back to that release, or set the annotation keyferry.io/refresh to have the Secret made anew`
        : `it is not known any more what Secret ${target.name} was made from: change the spec, or set the annotation keyferry.io/refresh, to have it made anew`;
      return this.#failed(gathered, listed, [new Failure("SourceGone", "wait", message)]);
    }
    const whom = { ...attempt, resource: dependent };
    const pinned = await awaitAws(attempt, readPinned(planned, resource.status, observer, whom));
    const opened = await awaitAws(attempt, openBlobs(gathered, this.#options));
    if (!pinned.ok || opened.problems.length > 0) {
      return this.#failed(gathered, listed, [...(pinned.ok ? [] : pinned.problems), ...opened.problems]);
    }
    return this.#apply(gathered, listed, { ...opened, values: pinned.values, live: undefined });
  }

  /** Looks at references without decryption. */
  #look({ lane, target, attempt }: Gathered, references: readonly Reference[]): Promise<void> {
    const { isWanted } = attempt;
    const looks = this.#options.observer.look(references, lane, { namespace: target.namespace, isWanted });
    return awaitAws(attempt, looks);
  }

  /** @param _proof AWS's own word, to this process, that a source is gone or has expired: there is no deletion without */
  async #delete(gathered: Gathered, assessment: Assessment, _proof: Proof): Promise<Outcome> {
    const { target } = gathered;
    const present = presentOf(gathered);
    const problems = losses(assessment);
    const common = { kind: "failed", problems, hasGoodSecret: false, ...heard(assessment) } as const;
    if (!present || this.#options.readOnly || target.policy === "Merge") return common;
    const removed = await this.#options.writer.remove(target.namespace, target.name, present, gathered.attempt);
    if (removed.outcome === "again") return { kind: "again" };
    if (removed.outcome === "refused") return { ...common, problems: [removed.failure] };
    return { ...common, wrote: "deleted" };
  }

  async #standing(resource: SyncedSecret, target: Target): Promise<Standing> {
    const { view } = this.#options;
    const { namespace, name } = target;
    const isDoubted = view.isDoubted(namespace, name);
    const known = view.known(namespace, name);
    if (known && !isDoubted) return standing(resource, target, known);
    // Absent from the cache of labelled Secrets: it may be there without its label. On a first sync the write itself
    // finds out, since it only ever creates.
    const wasRefused = resource.status?.conditions?.some(({ reason }) => reason === "SecretConflict");
    const mayBeThere =
      isDoubted || view.isCut(namespace, name) || resource.status?.secretRef || wasRefused || target.policy === "Merge";
    const found: ObjectMeta | undefined = mayBeThere ? await view.look(namespace, name) : undefined;
    return standing(resource, target, found);
  }

  async #current(gathered: Gathered, assessment: Assessment): Promise<Outcome> {
    const { resource, target, granted } = gathered;
    const { view, writer, vouchers, readOnly } = this.#options;
    const inSecret = revisionOf(gathered)!;
    vouchers.found(resource, inSecret, asWhom(gathered));
    const others = readOnly ? undefined : await removeOthers(gathered, view, writer);
    if (others === "again") return { kind: "again" };
    const kept = keptOf(gathered);
    const { sources, left } = assessment;
    const found = this.#applied.saidOf(resource, target);
    const applied = this.#applied.unsaidOf(resource, target);
    const made = {
      ...{ secret: target.name, revision: inSecret, keyCount: keysOf(gathered).size, sources },
      ...(found ? { found } : {}),
      ...(applied ? { applied } : {}),
    };
    const problems = [...wanting(assessment, resource, kept, granted), ...(others ? [others] : [])];
    if (problems.length > 0) return { kind: "failed", problems, hasGoodSecret: true, made, ...heard(assessment) };
    return { kind: "current", ...made, left, ...heard(assessment) };
  }

  #failed(gathered: Gathered, assessment: Assessment, problems: Failure[]): Outcome {
    // An edited Secret is not good, however good what it was made from.
    const hasGoodSecret = mayBeOfSpec(gathered) && !damageOf(gathered)?.data;
    return { kind: "failed", problems, hasGoodSecret, ...heard(assessment) };
  }
}
