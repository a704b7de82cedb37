import type { SyncedSecret } from "../../api/types.ts";
import { openBlob } from "../../ciphertexts/kms-blob.ts";
import { ownedBy } from "../../kube/managed-fields.ts";
import type { ObjectMeta } from "../../kube/resource.ts";
import type { Sighted } from "../../parameters/entry.ts";
import type { Lane } from "../../parameters/lanes.ts";
import type { Observer, Want } from "../../parameters/observer.ts";
import { type Reference, referenceKey } from "../../parameters/reference.ts";
import { parseDuration } from "../../runtime/duration.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Sealed } from "../../runtime/sealed.ts";
import type { Connections, Granted } from "../connection/connections.ts";
import type { SecretView } from "../secret-view.ts";
import { type Assessment, assess, type WhenMissing } from "./assess.ts";
import { build, type Material } from "./build.ts";
import { isLost, sourceGone } from "./loss.ts";
import type { Outcome } from "./outcome.ts";
import { pinnedAssessment, readPinned } from "./pin.ts";
import { type Plan, plan } from "./plan.ts";
import { isOfSpec, revision } from "./revision.ts";
import { asStatusSays, pendingRefresh, saidFalse } from "./said.ts";
import { seedsOf } from "./seeds.ts";
import { damage, type Standing, standing, type Target, targetOf } from "./target.ts";
import type { SecretWriter } from "./write.ts";

export interface ReconcilerOptions {
  connections: Connections;
  observer: Observer;
  view: SecretView;
  writer: SecretWriter;
  /** Everything is looked at and reported, and no Secret is written. */
  readOnly: boolean;
  /** Namespaces that are left alone, whatever their SyncedSecrets say. */
  protectedNamespaces: ReadonlySet<string>;
}

/** A SyncedSecret with all that its decisions rest on, gathered once. */
interface Gathered {
  resource: SyncedSecret;
  granted: Granted;
  plan: Plan;
  target: Target;
  standing: Standing;
  whenMissing: WhenMissing;
  lane: Lane;
  /** The value of a refresh annotation that has not been honoured yet. */
  refresh: string | undefined;
}

/**
 * One reconcile of a SyncedSecret: gather, decide, act; the outcome is for summarize. Level-based: it takes nothing
 * from the event that led to it, and where everything is as it should be, it neither decrypts nor writes.
 */
export class SyncedSecretReconciler {
  readonly #options: ReconcilerOptions;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** @param lane whom the reads and writes are for */
  async reconcile(resource: SyncedSecret, lane: Lane): Promise<Outcome> {
    const { observer, connections, protectedNamespaces } = this.#options;
    const dependent = `${resource.metadata.namespace}/${resource.metadata.name}`;
    if (resource.metadata.deletionTimestamp) {
      observer.depend(dependent, []);
      return { kind: "nothing" };
    }
    if (resource.spec.suspend) {
      observer.depend(dependent, []);
      return { kind: "suspended" };
    }
    const refresh = pendingRefresh(resource);
    const target = targetOf(resource);
    const refuse = (failure: Failure): Outcome => {
      observer.depend(dependent, []);
      return { kind: "failed", problems: [failure], hasGoodSecret: false };
    };
    if (protectedNamespaces.has(target.namespace)) {
      const message = `namespace ${target.namespace} is left alone by the operator: use another, or change --protected-namespaces`;
      return refuse(new Failure("NotAllowed", "wait", message));
    }
    const grant = connections.grant(resource);
    if (grant.state === "refused") {
      // While a connection is being mended the polls go on: nothing is forgotten that would have to be read again. One
      // that is gone, or no longer for this namespace, asks AWS nothing more.
      const isMending = connections.get(connections.keyFor(resource))?.state === "failed";
      if (!isMending || grant.failure.reason === "NotAllowed") observer.depend(dependent, []);
      return { kind: "failed", problems: [grant.failure], hasGoodSecret: resource.status?.secretRef !== undefined };
    }
    const { granted } = grant;
    const planned = plan(resource.spec, granted, target.namespace);
    if (planned.refused.length > 0) {
      observer.depend(dependent, []);
      return { kind: "failed", problems: planned.refused, hasGoodSecret: false };
    }
    const whenMissing = resource.spec.refresh?.whenMissing ?? "Retain";
    const gathered: Gathered = {
      resource,
      granted,
      plan: planned,
      target,
      standing: await this.#standing(resource, target),
      whenMissing,
      lane,
      refresh,
    };
    const outcome = await this.#reconcile(gathered, dependent);
    return refresh !== undefined && outcome.kind !== "again" ? { ...outcome, handledRefresh: refresh } : outcome;
  }

  async #reconcile(gathered: Gathered, dependent: string): Promise<Outcome> {
    const { resource, granted, plan: planned, target, standing: whose, lane } = gathered;
    const { observer } = this.#options;
    if (whose.state === "foreign") {
      observer.depend(dependent, []);
      const message = `Secret ${target.name} is not ours: ${whose.why}; it is left as it is`;
      return failed(new Failure("SecretConflict", "wait", message));
    }
    if (whose.state === "passing") {
      const message = `Secret ${target.name} belongs to a SyncedSecret of this name that was deleted: waiting for the garbage collector to take it`;
      return failed(new Failure("SecretConflict", "wait", message));
    }
    if (whose.state === "absent" && target.policy === "Merge") {
      observer.depend(dependent, []);
      const message = `Secret ${target.name} does not exist: creationPolicy Merge writes into a Secret that is there`;
      return failed(new Failure("SecretConflict", "wait", message));
    }
    const present = whose.state === "ours" ? whose.metadata : undefined;
    const inSecret = present?.annotations?.[target.revisionAnnotation];
    const hurt = present && inSecret !== undefined ? damage(resource, target, present) : undefined;
    const isOnce = resource.spec.refresh?.policy === "Once";
    const isDone = isOnce && isOfSpec(inSecret ?? resource.status?.revision, resource.spec);
    if (isDone && gathered.refresh === undefined) {
      observer.depend(dependent, []);
      if (present && hurt && !hurt.data && !hurt.metadata) return asStatusSays(resource, target, inSecret!);
      return this.#repairOnce(gathered, present);
    }
    observer.depend(dependent, wantsOf(gathered, inSecret));

    const view = (): Assessment => {
      const known = (reference: Reference) => observer.entry(reference);
      return assess(planned, known, granted, target.namespace, gathered.whenMissing);
    };
    let assessment = view();
    // What an earlier process knew is taken on trust only where all was well: else a start would call bad good.
    const unseen = (reference: Reference) => saidFalse(resource) && observer.entry(reference)?.looked === false;
    const toSee = [...new Set([...assessment.unknown, ...planned.references.filter(unseen)])];
    if (inSecret !== undefined && gathered.refresh === undefined && toSee.length > 0) {
      await observer.look(toSee, lane);
      assessment = view();
    }
    const isIntact = hurt !== undefined && !hurt.data && !hurt.metadata;
    const isWhole = assessment.unknown.length === 0 && assessment.problems.length === 0;
    const wanted = isWhole ? this.#revision(gathered, assessment) : undefined;
    if (assessment.problems.length > 0) return this.#failed(gathered, assessment, assessment.problems, inSecret);
    if (assessment.deleteSecret) return this.#delete(gathered, assessment, present);
    if (isIntact && wanted === inSecret && gathered.refresh === undefined) {
      await this.#removeOthers(gathered);
      return this.#current(gathered, assessment, inSecret!);
    }
    return this.#write(gathered, view, hurt ? (hurt.data ? "data" : hurt.metadata ? "metadata" : "none") : "unknown");
  }

  /** Reads everything and applies it, or says why not. */
  async #write(
    gathered: Gathered,
    view: () => Assessment,
    hurt: "data" | "metadata" | "none" | "unknown",
  ): Promise<Outcome> {
    const { resource, plan: planned, lane, refresh } = gathered;
    const { observer } = this.#options;
    const inSecret = this.#inSecret(gathered);
    const values = new Map<string, ReadonlyMap<string, Sighted>>();
    await Promise.all(
      planned.references.map(async (reference) => {
        const read = await observer.values(reference, lane, refresh !== undefined);
        if (read.state === "values") values.set(referenceKey(reference), read.values);
      }),
    );
    const assessment = view();
    if (assessment.problems.length > 0) return this.#failed(gathered, assessment, assessment.problems, inSecret);
    if (assessment.unheard) return this.#failed(gathered, assessment, [assessment.unheard], inSecret);
    if (assessment.deleteSecret) {
      const present = gathered.standing.state === "ours" ? gathered.standing.metadata : undefined;
      return this.#delete(gathered, assessment, present);
    }
    const isAllThere = assessment.lost.length === 0;
    if (!isAllThere && (hurt === "data" || hurt === "unknown" || resource.spec.target?.template)) {
      return this.#failed(gathered, assessment, [sourceGone(assessment)], inSecret);
    }
    const opened = await this.#openBlobs(gathered);
    if (opened.problems.length > 0) return this.#failed(gathered, assessment, opened.problems, inSecret);
    const { namespace, name } = gathered.target;
    const live = isAllThere ? undefined : await this.#options.writer.read(namespace, name);
    return this.#apply(gathered, assessment, { values, blobs: opened.blobs, live }, hurt);
  }

  async #apply(
    gathered: Gathered,
    assessment: Assessment,
    material: Material,
    hurt: "data" | "metadata" | "none" | "unknown",
  ): Promise<Outcome> {
    const { resource, plan: planned, target, granted } = gathered;
    const inSecret = this.#inSecret(gathered);
    const built = build(resource.spec, planned, assessment, material);
    if (!built.ok) return this.#failed(gathered, assessment, built.problems, inSecret);
    const made = revision(resource.spec, granted.account, granted.identity.region, built.sources);
    if (this.#options.readOnly) {
      const message = `read-only: Secret ${target.name} would be written with ${built.data.size} keys`;
      return this.#failed(gathered, assessment, [new Failure("Pending", "wait", message)], inSecret);
    }
    let whose = gathered.standing as Exclude<Standing, { state: "foreign" | "passing" }>;
    if (
      hurt !== "unknown" &&
      whose.state === "ours" &&
      target.policy !== "Merge" &&
      isUnrecorded(resource, target, whose.metadata)
    ) {
      const restored = await this.#options.writer.restoreRecord(target, whose.metadata);
      if (restored) whose = { state: "ours", metadata: restored };
    }
    const write = await this.#options.writer.apply(resource, target, whose, built.data, made, gathered.lane);
    if (write.outcome === "again") return { kind: "again" };
    if (write.outcome === "refused") return this.#failed(gathered, assessment, [write.failure], inSecret);
    await this.#removeOthers(gathered);
    const wasSynced = resource.status?.secretRef?.name === target.name;
    const isRepair = (hurt === "data" || hurt === "metadata") && inSecret === made;
    const outcome: Outcome = {
      kind: "current",
      secret: target.name,
      revision: made,
      keyCount: built.data.size,
      sources: built.sources,
      left: assessment.left,
      modified: built.modified,
      wrote:
        whose.state === "adoptable"
          ? "adopted"
          : whose.state === "absent"
            ? wasSynced
              ? "repaired"
              : "created"
            : isRepair
              ? "repaired"
              : "updated",
    };
    if (isLost(assessment, resource)) {
      return {
        kind: "failed",
        problems: [sourceGone(assessment)],
        hasGoodSecret: true,
        wrote: "updated",
        made: outcome,
      };
    }
    return { ...outcome, ...heard(assessment) };
  }

  /** Under Once, what was synced is asked for by number: a newer version would be another Secret. */
  async #repairOnce(gathered: Gathered, present: ObjectMeta | undefined): Promise<Outcome> {
    const { resource, plan: planned } = gathered;
    const assessment = pinnedAssessment(planned, resource.status?.sources ?? []);
    const pinned = await readPinned(planned, resource.status, this.#options.observer, gathered.lane);
    const problems = pinned.ok ? [] : pinned.problems;
    const opened = await this.#openBlobs(gathered);
    if (!pinned.ok || opened.problems.length > 0) {
      return this.#failed(gathered, assessment, [...problems, ...opened.problems], this.#inSecret(gathered));
    }
    const material = { values: pinned.values, blobs: opened.blobs, live: undefined };
    return this.#apply(gathered, assessment, material, present ? "data" : "unknown");
  }

  async #delete(gathered: Gathered, assessment: Assessment, present: ObjectMeta | undefined): Promise<Outcome> {
    const { target } = gathered;
    const problems = [sourceGone(assessment)];
    const common = { kind: "failed", problems, hasGoodSecret: false, ...heard(assessment) } as const;
    if (!present || this.#options.readOnly || target.policy === "Merge") return common;
    const removed = await this.#options.writer.remove(target.namespace, target.name, present);
    if (removed.outcome === "again") return { kind: "again" };
    if (removed.outcome === "refused") return { ...common, problems: [removed.failure] };
    return { ...common, wrote: "deleted" };
  }

  /** What else is ours goes once the target is written: the Secret under the name that the target had before. */
  async #removeOthers(gathered: Gathered): Promise<void> {
    const { resource, target } = gathered;
    const { view, writer, readOnly } = this.#options;
    if (readOnly) return;
    const { uid, namespace } = resource.metadata;
    const names = new Set([...view.controlledBy(uid!)].map((key) => key.slice(key.indexOf("/") + 1)));
    const last = resource.status?.secretRef?.name;
    if (last !== undefined) names.add(last);
    names.delete(target.name);
    for (const name of names) {
      if (target.policy === "Merge") {
        await writer.sweep(namespace!, name, target.manager);
        continue;
      }
      const metadata = view.known(namespace!, name) ?? (await view.look(namespace!, name));
      const isOurs = metadata?.ownerReferences?.some((owner) => owner.controller && owner.uid === uid);
      if (metadata && isOurs) await writer.remove(namespace!, name, metadata);
    }
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
    const mayBeThere = isDoubted || resource.status?.secretRef || wasRefused || target.policy === "Merge";
    return standing(resource, target, mayBeThere ? await view.look(namespace, name) : undefined);
  }

  async #openBlobs(gathered: Gathered): Promise<{ blobs: Map<string, Sealed>; problems: Failure[] }> {
    const { granted, plan: planned } = gathered;
    const blobs = new Map<string, Sealed>();
    const problems: Failure[] = [];
    await Promise.all(
      planned.entries.map(async (entry) => {
        if (entry.kind !== "blob") return;
        try {
          const { plaintext } = await openBlob(granted.identity, entry.blob, {
            entry: entry.label,
            ...(granted.keyIds ? { allowKeyIds: granted.keyIds } : {}),
          });
          blobs.set(entry.key, plaintext);
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          problems.push(error);
        }
      }),
    );
    return { blobs, problems: problems.sort((a, b) => (a.message < b.message ? -1 : 1)) };
  }

  #revision(gathered: Gathered, assessment: Assessment): string {
    const { resource, granted } = gathered;
    return revision(resource.spec, granted.account, granted.identity.region, assessment.sources);
  }

  #inSecret({ standing: whose, target }: Gathered): string | undefined {
    return whose.state === "ours" ? whose.metadata.annotations?.[target.revisionAnnotation] : undefined;
  }

  #current(gathered: Gathered, assessment: Assessment, inSecret: string): Outcome {
    const { resource, target } = gathered;
    const made = {
      secret: target.name,
      revision: inSecret,
      keyCount: keyCountOf(gathered),
      sources: assessment.sources,
    };
    if (isLost(assessment, resource)) {
      const problems = [sourceGone(assessment)];
      return { kind: "failed", problems, hasGoodSecret: isOfSpec(inSecret, resource.spec), made, ...heard(assessment) };
    }
    return { kind: "current", ...made, left: assessment.left, ...heard(assessment) };
  }

  #failed(gathered: Gathered, assessment: Assessment, problems: Failure[], inSecret: string | undefined): Outcome {
    return {
      kind: "failed",
      problems,
      hasGoodSecret: isOfSpec(inSecret, gathered.resource.spec),
      ...heard(assessment),
    };
  }
}

function failed(failure: Failure): Outcome {
  return { kind: "failed", problems: [failure], hasGoodSecret: false };
}

function heard({ heardAt, unheard }: Assessment): { heardAt?: number; unheard?: Failure } {
  return { ...(heardAt === undefined ? {} : { heardAt }), ...(unheard ? { unheard } : {}) };
}

function isUnrecorded(resource: SyncedSecret, target: Target, metadata: ObjectMeta): boolean {
  return damage(resource, target, metadata).unrecorded;
}

/** What a SyncedSecret observes, with what its status says of the sources where the Secret vouches for it. */
function wantsOf(gathered: Gathered, inSecret: string | undefined): Want[] {
  const { resource, granted, plan: planned } = gathered;
  const own = resource.spec.refresh?.pollInterval;
  const asked = own === undefined ? undefined : parseDuration(own);
  const isOnce = resource.spec.refresh?.policy === "Once";
  const pollIntervalMs = isOnce ? Infinity : Math.max(asked ?? granted.pollIntervalMs, granted.pollIntervalMs);
  const seeds = seedsOf(resource, planned, granted, inSecret);
  return planned.references.map((reference) => {
    const seed = seeds?.get(referenceKey(reference));
    return { reference, pollIntervalMs, ...(seed ? { seed } : {}) };
  });
}

function keyCountOf({ resource, target, standing: whose }: Gathered): number {
  if (resource.status?.keyCount !== undefined) return resource.status.keyCount;
  const fields = whose.state === "ours" ? whose.metadata.managedFields : undefined;
  return ownedBy(fields, target.manager)?.data.size ?? 0;
}
