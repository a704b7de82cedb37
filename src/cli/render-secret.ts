import { annotations } from "../api/annotations.ts";
import type { SyncedSecret } from "../api/types.ts";
import { RateLimiters } from "../aws/ratelimit/limiters.ts";
import { QuotaRegistry } from "../aws/ratelimit/quota-registry.ts";
import type { Granted } from "../controllers/grants.ts";

import { uncanceled } from "../controllers/syncedsecret/act/attempt.ts";
import { decryptAll } from "../controllers/syncedsecret/act/decrypt.ts";
import { compose, finish } from "../controllers/syncedsecret/decide/compose.ts";
import { losses } from "../controllers/syncedsecret/decide/retention.ts";
import { asksForExpiry, madeFrom } from "../controllers/syncedsecret/decide/snapshot.ts";
import { assess, labelled } from "../controllers/syncedsecret/decide/sources.ts";
import { isFromParameters, plan } from "../controllers/syncedsecret/plan/plan.ts";
import { intent, targetOf } from "../controllers/syncedsecret/plan/target.ts";
import { Revisions } from "../controllers/syncedsecret/trust/revision.ts";
import type { SecretIntent } from "../kube/write/secret.ts";
import { Metrics } from "../metrics/metrics.ts";
import { Observer } from "../parameters/observer.ts";
import { PathReader } from "../parameters/read/path-reader.ts";
import { Reader } from "../parameters/read/reader.ts";
import { type Reference, referenceKey } from "../parameters/read/reference.ts";
import type { StampedValue } from "../parameters/read/version-stamp.ts";
import { systemClock } from "../runtime/clock.ts";
import type { Failure } from "../runtime/failure.ts";
import { Assembler } from "../values/assembler.ts";

/** The Secret as for a first apply, or everything that prevents it. */
export type Rendered =
  | { ok: true; secret: SecretIntent; sizes: Map<string, number> }
  | { ok: false; problems: Failure[] };

/** The lane of every read: a person waits. */
const lane = "interactive";
/**
 * Milliseconds between polls that never happen. The interval must be finite, because a source without polls is not
 * described either.
 */
const dayMs = 86_400_000;

/** Builds Secrets with the operator's own parts, once per SyncedSecret, as if none existed yet. */
export class Rendering {
  readonly #metrics = new Metrics();
  readonly #quotas = new QuotaRegistry(systemClock);
  readonly #limiters = new RateLimiters({ quotas: this.#quotas, clock: systemClock, metrics: this.#metrics });
  readonly #assembler = new Assembler();
  readonly #observer = new Observer({
    reader: new Reader(this.#limiters),
    pathReader: new PathReader(this.#limiters),
    limiters: this.#limiters,
    quotas: this.#quotas,
    clock: systemClock,
    random: () => 0.5,
    metrics: this.#metrics,
    missingGraceMs: dayMs,
    notify: () => {},
  });

  /** Reads a SyncedSecret's sources, and builds its Secret. */
  async secret(resource: SyncedSecret, granted: Granted): Promise<Rendered> {
    const target = targetOf(resource);
    const { namespace } = target;
    const owner = { namespace, name: resource.metadata.name! };
    const planned = plan(resource.spec, granted, owner);
    if (planned.refused.length > 0) return { ok: false, problems: planned.refused };
    const isOnce = resource.spec.refresh?.policy === "Once";
    const isExpiryAsked = !isOnce && asksForExpiry(resource);
    const pollIntervalMs = isExpiryAsked ? dayMs : Infinity;
    this.#observer.depend(
      `${namespace}/${resource.metadata.name}`,
      planned.references.map((reference) => ({ reference, pollIntervalMs, actsOnExpiry: isExpiryAsked })),
    );
    const whenMissing = resource.spec.refresh?.whenMissing ?? "Retain";
    const whenExpired = isExpiryAsked ? resource.spec.refresh!.whenExpired : undefined;
    if (isExpiryAsked) await this.#observer.settle(planned.references, lane, { all: true });
    const values = new Map<string, ReadonlyMap<string, StampedValue>>();
    const failures = new Map<string, Failure>();
    const read = planned.references.map(async (reference) => {
      const found = await this.#observer.values(reference, lane, { namespace });
      if (found.state === "values") values.set(referenceKey(reference), found.values);
      else failures.set(referenceKey(reference), found.failure);
    });
    await Promise.all(read);
    const known = (reference: Reference) => this.#observer.entry(reference);
    const assessment = assess(planned, known, {
      grant: granted,
      namespace,
      when: { missing: whenMissing, expired: whenExpired },
    });
    const unread = planned.entries.flatMap((entry) => {
      const failure = isFromParameters(entry) ? failures.get(referenceKey(entry.reference)) : undefined;
      return failure ? [labelled(entry, failure)] : [];
    });
    const outages = { isDown: () => false };
    // Report all problems at once, including blobs that do not open.
    const opened = await decryptAll(
      planned,
      { granted, owner, attempt: uncanceled(lane) },
      { limiters: this.#limiters, audit: undefined, outages, metrics: this.#metrics },
    );
    const lost = assessment.lost.length > 0 ? losses(assessment) : [];
    const problems = distinct([...assessment.problems, ...unread, ...lost, ...opened.problems]);
    if (problems.length > 0) return { ok: false, problems };
    const { blobs } = opened;
    const composed = compose({ spec: resource.spec, plan: planned, assessment, values, blobs });
    if (composed.problems.length > 0) return { ok: false, problems: composed.problems };
    const assembled = await this.#assembler.assemble(composed.input, namespace);
    const finished = finish(assembled, { plan: planned, granted, assessment }, undefined);
    if (!finished.ok) return finished;
    const { data } = finished;
    const revision = new Revisions().of(madeFrom({ resource, granted, plan: planned }, composed.sources));
    const secret = intent(resource, target, { data, revision }) as SecretIntent;
    const sizes = new Map([...data].map(([key, bytes]) => [key, bytes.length]));
    return { ok: true, secret: resource.metadata.uid === undefined ? withoutUid(secret) : secret, sizes };
  }

  close(): void {
    this.#observer.stop();
    this.#assembler.stop();
  }
}

/** Removes the metadata with the SyncedSecret's uid, which only a cluster assigns. */
function withoutUid(secret: SecretIntent): SecretIntent {
  const { ownerReferences: _owners, ...metadata } = secret.metadata;
  const known = Object.entries(metadata.annotations ?? {}).filter(
    ([name, value]) => value !== undefined && !(name.startsWith(annotations.prefix) && name.endsWith("-undefined")),
  );
  return { ...secret, metadata: { ...metadata, annotations: Object.fromEntries(known) } };
}

/** Removes duplicates: a failed read is reported by the read and again by the state of its source. */
function distinct(problems: readonly Failure[]): Failure[] {
  return [...new Map(problems.map((problem) => [problem.message, problem])).values()];
}
