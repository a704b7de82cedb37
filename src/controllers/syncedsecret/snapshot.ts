import type { SyncedSecret } from "../../api/types.ts";
import { wantsAnotherLook } from "../../parameters/cache/cache-entry.ts";
import type { Observer } from "../../parameters/observer.ts";
import type { Reference } from "../../parameters/read/reference.ts";
import type { Clock } from "../../runtime/clock.ts";
import { Failure } from "../../runtime/failure.ts";
import { prepareSelection } from "../../values/assemble.ts";
import type { Granted } from "../grants.ts";
import type { SecretView } from "../secret-view.ts";
import { needsSources } from "./decide/interest.ts";
import { keepsVersions } from "./decide/once.ts";
import { type Standing, standing } from "./decide/ownership.ts";
import { viewOf } from "./decide/reference-view.ts";
import {
  asksForExpiry,
  type Facts,
  factsOf,
  isOnce,
  nothingObserved,
  type Observed,
  secretOf,
} from "./decide/snapshot.ts";
import { assess } from "./decide/sources.ts";
import type { Plan } from "./plan/plan.ts";
import type { Target } from "./plan/target.ts";
import type { AppliedRecords } from "./trust/applied.ts";
import { pendingRefresh } from "./trust/previous-status.ts";
import type { Revisions } from "./trust/revision.ts";
import type { TooLargeSecrets } from "./trust/too-large.ts";
import type { VerifiedRevisions } from "./trust/verified-revisions.ts";
import { warmStartOf } from "./trust/warm-start.ts";

export interface SnapshotsOptions {
  observer: Observer;
  view: SecretView;
  revisions: Revisions;
  verifiedRevisions: VerifiedRevisions;
  applied: AppliedRecords;
  tooLarge: TooLargeSecrets;
  clock: Clock;
  readOnly: boolean;
}

/** Milliseconds between two looks at a source after a stale answer. */
const staleAnswerRetryMs = 10_000;

/** Takes the snapshots that decisions are made from. Only the Secret's metadata may need a request. */
export class Snapshots {
  readonly #options: SnapshotsOptions;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  /** @throws KubeError if the Secret's metadata cannot be read */
  async facts(
    resource: SyncedSecret,
    { granted, plan, target }: { granted: Granted; plan: Plan; target: Target },
  ): Promise<Facts> {
    const { applied, tooLarge, revisions, verifiedRevisions, clock, readOnly } = this.#options;
    const found = await this.#standing(resource, target);
    const { refresh = {} } = resource.spec;
    const { present, revision } = secretOf(found, target);
    const whenExpired = isOnce(resource) ? undefined : (refresh.whenExpired ?? "Retain");
    const followsExpiry = whenExpired !== undefined;
    return factsOf({
      ...{ resource, granted, plan, target, readOnly, revisions, standing: found, whenExpired },
      whenMissing: refresh.whenMissing ?? "Retain",
      refresh: pendingRefresh(resource),
      isForged: present !== undefined && applied.isForged(resource, target, present),
      isOthers: verifiedRevisions.knowsAnother(resource, revision),
      warmStart: warmStartOf(
        { resource, plan, granted, revisions, verifiedRevisions, followsExpiry },
        revision,
        clock.now(),
      ),
      verifiedAs: verifiedRevisions.verifiedAs(resource, revision),
      tooLarge: tooLarge.of(resource, present?.resourceVersion),
    });
  }

  /** The sources as they are now: what AWS has answered to this process, and until then the previous status. */
  async observe(facts: Facts): Promise<Observed> {
    const { observer, clock } = this.#options;
    // A path may have thousands of members.
    if (!needsSources(facts)) return nothingObserved(clock.now());
    const { plan, granted, target, whenMissing, whenExpired, warmStart, refresh, resource } = facts;
    await prepareMembers(plan, (reference) => observer.entry(reference));
    const now = clock.monotonic();
    const wall = clock.now();
    const keeps = keepsVersions(facts);
    const looking = { now, wall, warmStart, mayGoBack: refresh !== undefined };
    const known = (reference: Reference) => {
      const entry = observer.entry(reference);
      return entry && !keeps ? viewOf(entry, looking) : entry;
    };
    const assessment = assess(plan, known, {
      grant: granted,
      namespace: target.namespace,
      when: keeps ? { missing: "Retain", expired: undefined } : { missing: whenMissing, expired: whenExpired },
    });
    const unseen = asksForExpiry(resource) ? observer.expiries.visibilityOf(granted.identity.key) : undefined;
    if (assessment.sourcesMetadata && unseen instanceof Failure) assessment.sourcesMetadata.unseen = unseen;
    const entries = plan.references.flatMap((reference) => {
      const entry = observer.entry(reference);
      return entry ? [{ reference, entry }] : [];
    });
    const lookAgain = entries.filter(({ entry }) => wantsAnotherLook(entry, now));
    const wasJustAsked = (reference: Reference) =>
      now - (observer.entry(reference)?.askedAt ?? -Infinity) < staleAnswerRetryMs;
    return {
      assessment,
      wall,
      lookAgain: lookAgain.map(({ reference }) => reference),
      hasFailedLook: lookAgain.some(({ entry }) => entry.failure),
      unseen: entries.flatMap(({ reference, entry }) => (entry.looked ? [] : [reference])),
      staleSources: assessment.staleSources.flatMap(({ reference }) => (wasJustAsked(reference) ? [] : [reference])),
    };
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
    return standing(resource, target, mayBeThere ? await view.look(namespace, name) : undefined);
  }
}

/** Matches the patterns of paths against new names ahead of `assess()`, which reports invalid patterns. */
async function prepareMembers(
  plan: Plan,
  known: (reference: Reference) => { members: ReadonlyMap<string, unknown> } | undefined,
): Promise<void> {
  for (const planned of plan.entries) {
    if (planned.kind !== "path" || planned.include.length + planned.exclude.length === 0) continue;
    const { include, exclude } = planned;
    const names = known(planned.reference)?.members.keys() ?? [];
    await prepareSelection(names, { include, exclude }).catch((error) => {
      if (!(error instanceof Failure)) throw error;
    });
  }
}
