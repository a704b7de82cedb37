import { Failure } from "../../../runtime/failure.ts";
import { traced } from "../../../runtime/tracing.ts";
import type { SecretView } from "../../secret-view.ts";
import type { Apply, Decision, Delete, Intent, Keep, Refuse } from "../decide/decision.ts";
import { asksForRevert, lastGoodOf } from "../decide/last-good.ts";
import { listed } from "../decide/listed.ts";
import type { Outcome } from "../decide/outcome.ts";
import type { Standing } from "../decide/ownership.ts";
import { heard, wanting } from "../decide/retention.ts";
import { asWhom, editorsOf, type Facts, foreignKeysOf, isGood, retainedKeysOf } from "../decide/snapshot.ts";
import type { AppliedRecords } from "../trust/applied.ts";
import type { TooLargeSecrets } from "../trust/too-large.ts";
import type { VerifiedRevisions } from "../trust/verified-revisions.ts";
import type { Attempt } from "./attempt.ts";
import { collectGarbage } from "./garbage-collect.ts";
import type { SecretWriter, Write } from "./write.ts";

export interface ExecutorOptions {
  view: SecretView;
  writer: SecretWriter;
  verifiedRevisions: VerifiedRevisions;
  applied: AppliedRecords;
  tooLarge: TooLargeSecrets;
}

/** The decisions that end a reconcile. */
export type Final = Exclude<Decision, { kind: "look" | "read" | "assemble" }>;

/** Carries out the decisions that end a reconcile. */
export class Executor {
  readonly #options: ExecutorOptions;

  constructor(options: ExecutorOptions) {
    this.#options = options;
  }

  /** @throws KubeError if a request to the API server fails; Canceled if the attempt's basis has changed */
  async carryOut(decision: Final, facts: Facts, attempt: Attempt): Promise<Outcome> {
    switch (decision.kind) {
      case "refuse":
        return this.#refuse(decision, facts);
      case "keep":
        return this.#keep(decision, facts, attempt);
      case "apply":
        return this.#apply(decision, facts, attempt);
      case "delete":
        return this.#delete(decision, facts, attempt);
    }
  }

  #refuse({ problems, hasGoodSecret, assessment, tooLarge, heldBack }: Refuse, { resource, present }: Facts): Outcome {
    if (tooLarge) this.#options.tooLarge.note(resource, { ...tooLarge, resourceVersion: present?.resourceVersion });
    const known = { ...(assessment ? heard(assessment) : {}), ...(heldBack ? { heldBack } : {}) };
    return { kind: "failed", problems, hasGoodSecret, ...known };
  }

  async #keep({ sources, assessment, pending, heldBack }: Keep, facts: Facts, attempt: Attempt): Promise<Outcome> {
    const { resource, target, granted, readOnly, ownKeys } = facts;
    const { verifiedRevisions, applied, view, writer } = this.#options;
    const revision = facts.revision!;
    if (assessment) verifiedRevisions.found(resource, revision, asWhom(facts));
    const left = readOnly ? undefined : await collectGarbage({ resource, target, attempt }, view, writer);
    if (left === "again") return { kind: "again" };
    const unreported = applied.unreportedOf(resource, target);
    const made = {
      ...{ secret: target.name, revision, keyCount: ownKeys.size },
      ...(sources ? { sources } : {}),
      ...(unreported ? { applied: unreported } : {}),
    };
    const lastGood = asksForRevert(resource) ? lastGoodOf(facts) : undefined;
    const common = {
      ...(assessment ? heard(assessment) : {}),
      ...(pending ? { pending } : {}),
      ...(heldBack ? { heldBack } : {}),
      ...(lastGood ? { lastGood } : {}),
    };
    const missing = assessment ? wanting(assessment, resource, retainedKeysOf(facts), granted) : [];
    const problems = [...missing, ...(left ? [left] : [])];
    if (problems.length > 0) return { kind: "degraded", problems, ...made, ...common };
    const found = applied.saidOf(resource, target);
    return { kind: "current", ...made, ...(found ? { found } : {}), left: assessment?.left ?? [], ...common };
  }

  async #apply({ intent, pending, heldBack }: Apply, facts: Facts, attempt: Attempt): Promise<Outcome> {
    const { resource, target, granted } = facts;
    const { writer, applied, tooLarge, verifiedRevisions, view } = this.#options;
    const { data, revision, restartRevision, retained, sources, kmsKeys, changed, assessment, failedOver } = intent;
    const { lastGood, revertRecords } = intent;
    let ownership = facts.standing as Exclude<Standing, { state: "foreign" | "passing" }>;
    if (intent.restoresRecord && ownership.state === "ours") {
      const restored = await writer.restoreRecord(target, ownership.metadata, attempt);
      if (restored) ownership = { state: "ours", metadata: restored };
    }
    const write = await tracedWrite("write secret", facts, attempt, (turn) =>
      writer.apply(resource, target, { ownership, data, revision, restartRevision, retained, revertRecords }, turn),
    );
    if (write.outcome === "again") return { kind: "again" };
    if (write.outcome === "refused") {
      applied.unsure(resource);
      const { failure } = write;
      const resourceVersion = ownership.state === "absent" ? undefined : ownership.metadata.resourceVersion;
      if (failure.reason === "TooLarge") tooLarge.note(resource, { revision, resourceVersion, failure });
      return this.#refuse({ kind: "refuse", problems: [failure], hasGoodSecret: isGood(facts), assessment }, facts);
    }
    tooLarge.forget(resource);
    const answer = write.metadata && applied.wrote(resource, target, revision, write.metadata);
    verifiedRevisions.found(resource, revision, asWhom(facts));
    const statusSources = listed(sources);
    if (!statusSources.sourcesOmitted) verifiedRevisions.verified(resource, revision, statusSources.sources ?? []);
    const made = {
      ...{ secret: target.name, revision, keyCount: data.size, sources, kmsKeys, changed },
      ...(answer ? { applied: answer } : {}),
      ...heard(assessment),
      ...(pending ? { pending } : {}),
      ...(heldBack ? { heldBack } : {}),
      ...(lastGood ? { lastGood } : {}),
      ...(failedOver === undefined ? {} : { failedOver }),
    };
    const left = await collectGarbage({ resource, target, attempt }, view, writer);
    if (left === "again") return { kind: "again" };
    const problems = [...wanting(assessment, resource, retained, granted), ...(left instanceof Failure ? [left] : [])];
    if (problems.length > 0) return { kind: "degraded", problems, wrote: "updated", ...made };
    return {
      kind: "current",
      ...made,
      left: assessment.left,
      wrote: wroteOf(ownership, facts, intent),
      editors: intent.isRepair ? editorsOf(facts, data) : [],
      foreignKeys: intent.isRepair ? foreignKeysOf(facts, data) : [],
      ...(intent.modified === undefined ? {} : { modified: intent.modified }),
    };
  }

  async #delete(decision: Delete, facts: Facts, attempt: Attempt): Promise<Outcome> {
    const { metadata, assessment } = decision;
    const { namespace, name } = facts.target;
    const removed = await tracedWrite("delete secret", facts, attempt, (turn) =>
      this.#options.writer.remove(namespace, name, metadata, turn),
    );
    if (removed.outcome === "again") return { kind: "again" };
    const isRefused = removed.outcome === "refused";
    const problems = isRefused ? [removed.failure] : decision.problems;
    const wrote = isRefused ? {} : ({ wrote: "deleted" } as const);
    return { kind: "failed", problems, hasGoodSecret: false, ...heard(assessment), ...wrote };
  }
}

/** Runs a write of the Secret as a step of the attempt. */
function tracedWrite(
  name: string,
  { target }: Facts,
  attempt: Attempt,
  work: (attempt: Attempt) => Promise<Write>,
): Promise<Write> {
  const attributes = { "k8s.namespace.name": target.namespace, "keyferry.secret.name": target.name };
  return traced(attempt.span, name, attributes, async (span) => {
    const write = await work({ ...attempt, span });
    span.set({ "keyferry.write.outcome": write.outcome });
    if (write.outcome === "refused") span.fail(write.failure.reason);
    return write;
  });
}

/** What a write was, for its event and its metric. */
function wroteOf({ state }: Standing, { resource, target }: Facts, { isRepair }: Intent) {
  if (state === "adoptable") return "adopted";
  const wasSynced = resource.status?.secretRef?.name === target.name;
  if (state === "absent") return wasSynced ? "repaired" : "created";
  return isRepair ? "repaired" : "updated";
}
