import { annotations } from "../../../../src/api/annotations.ts";
import type { SyncedSecret } from "../../../../src/api/types.ts";
import type { Granted } from "../../../../src/controllers/grants.ts";
import type { Values } from "../../../../src/controllers/syncedsecret/decide/compose.ts";
import { listed } from "../../../../src/controllers/syncedsecret/decide/listed.ts";
import type { Done } from "../../../../src/controllers/syncedsecret/decide/material.ts";
import { keepsVersions } from "../../../../src/controllers/syncedsecret/decide/once.ts";
import { standing } from "../../../../src/controllers/syncedsecret/decide/ownership.ts";
import { viewOf } from "../../../../src/controllers/syncedsecret/decide/reference-view.ts";
import {
  type Facts,
  factsOf,
  isOnce,
  madeFrom,
  type Observed,
  type Snapshot,
} from "../../../../src/controllers/syncedsecret/decide/snapshot.ts";
import { assess } from "../../../../src/controllers/syncedsecret/decide/sources.ts";
import { type Plan, plan } from "../../../../src/controllers/syncedsecret/plan/plan.ts";
import { targetOf } from "../../../../src/controllers/syncedsecret/plan/target.ts";
import { pendingRefresh } from "../../../../src/controllers/syncedsecret/trust/previous-status.ts";
import { type RevisionSource, Revisions } from "../../../../src/controllers/syncedsecret/trust/revision.ts";
import { VerifiedRevisions } from "../../../../src/controllers/syncedsecret/trust/verified-revisions.ts";
import { warmStartOf } from "../../../../src/controllers/syncedsecret/trust/warm-start.ts";
import type { ObjectMeta } from "../../../../src/kube/resource.ts";
import {
  type Entry,
  newEntry,
  type ParameterState,
  wantsAnotherLook,
} from "../../../../src/parameters/cache/cache-entry.ts";
import { isBelow, memberSelector, type Reference, referenceKey } from "../../../../src/parameters/read/reference.ts";
import type { VersionStamp } from "../../../../src/parameters/read/version-stamp.ts";
import { Failure } from "../../../../src/runtime/failure.ts";
import { Sealed } from "../../../../src/runtime/sealed.ts";
import { madeSecret, type SecretParts } from "./secrets.ts";
import { elapsed, identity, minute, stampOf, wall } from "./states.ts";

type Spec = SyncedSecret["spec"];
type Status = NonNullable<SyncedSecret["status"]>;

/** Versions by parameter, such as `/shop/db` or `/shop/db:prod`; `left` for a source that a Secret is made without. */
export type Versions = Readonly<Record<string, number | "left" | VersionStamp>>;

/** What the reads of a reconcile return, or have returned. */
export interface Results {
  looked?: true;
  /** Versions that were read; the value of version 3 of `/a` is `/a@3`. */
  read?: Versions;
  /** Failures of reads, by parameter name or path. */
  failures?: Readonly<Record<string, Failure>>;
  tooLarge?: Failure;
  pinned?: Versions | readonly Failure[];
  /** Plaintexts by label, or the failures of their decryption. */
  opened?: Readonly<Record<string, string>> | readonly Failure[];
  /** The region in which blobs were decrypted. */
  openedIn?: string;
  /** Our keys in the Secret; `absent` if there is no Secret. */
  live?: Readonly<Record<string, string>> | "absent";
}

type Known = { states: Record<string, ParameterState> } & Partial<
  Pick<Entry, "looked" | "failure" | "askedAt" | "heardAt" | "unreadSince" | "openedAt">
>;

const granted: Granted = {
  ...{ identity, account: "123456789012", parameters: undefined, keyIds: undefined },
  ...{ closed: false, pollIntervalMs: 5 * minute },
};

/** The key of a source in `Versions`. */
function sourcesOf(versions: Versions): RevisionSource[] {
  return Object.entries(versions).map(([key, version]) => {
    const [name = "", selector] = key.split(":");
    const source = { name, selector: selector === undefined ? "" : `:${selector}` };
    if (version === "left") return { ...source, left: true };
    return { ...source, ...(typeof version === "number" ? stampOf(version) : version) };
  });
}

/** The sources as a status lists them. */
export function statusSources(versions: Versions, extra: Partial<NonNullable<Status["sources"]>[number]> = {}) {
  return listed(sourcesOf(versions)).sources!.map((source) => ({ ...source, ...extra }));
}

/** Builds the snapshot of one decision; each method changes and returns the builder. */
export class SnapshotBuilder {
  readonly #resource: SyncedSecret = {
    ...{ apiVersion: "keyferry.io/v1alpha1", kind: "SyncedSecret", spec: {} },
    metadata: { namespace: "shop", name: "checkout", uid: "uid-1", generation: 2 },
  };
  readonly #known = new Map<string, Known>();
  #granted = granted;
  #secret: { from: Versions; parts: SecretParts } | undefined;
  #otherSecret: ObjectMeta | undefined;
  #status: Status | "ofSecret" = "ofSecret";
  #ready: Partial<NonNullable<Status["conditions"]>[number]> = {};
  #listed: Status["sources"];
  #isReadOnly = false;
  #isForged = false;
  #isOthers = false;
  #verifiedAs: string | undefined;
  #tooLarge: { from: Versions; failure: Failure } | undefined;
  #results: Results = {};
  #revisions = new Revisions();

  /** Sets parts of the spec. */
  of(spec: Spec): this {
    Object.assign(this.#resource.spec, spec);
    return this;
  }

  /** Sets parts of what the connection grants. */
  granted(parts: Partial<Granted>): this {
    this.#granted = { ...this.#granted, ...parts };
    return this;
  }

  /** Adds a Secret of ours that was made from these versions, with the status of its apply. */
  withSecret(from: Versions, parts: SecretParts = {}): this {
    this.#secret = { from, parts };
    return this;
  }

  /** Adds a Secret with this metadata, which need not be ours. */
  withOtherSecret(metadata: ObjectMeta): this {
    this.#otherSecret = { namespace: "shop", uid: "uid-2", resourceVersion: "9", ...metadata };
    return this;
  }

  /** Replaces the status; without an argument there is none. */
  withStatus(status: Status = {}): this {
    this.#status = status;
    return this;
  }

  /** Replaces the sources in the status of the Secret. */
  listing(sources: NonNullable<Status["sources"]>): this {
    this.#listed = sources;
    return this;
  }

  /** Sets parts of the Ready condition of the previous status. */
  reporting(ready: Partial<NonNullable<Status["conditions"]>[number]>): this {
    this.#ready = ready;
    return this;
  }

  /** Sets the state of a parameter after AWS has answered a minute ago; `key` as in `Versions`. */
  withSource(key: string, state: ParameterState, known: Omit<Known, "states"> = {}): this {
    this.#known.set(key, { looked: true, askedAt: elapsed - minute, ...known, states: { "": state } });
    return this;
  }

  /** Sets the members of a path after AWS has listed it a minute ago. */
  withPath(path: string, states: Record<string, ParameterState>, known: Omit<Known, "states"> = {}): this {
    this.#known.set(path, { looked: true, askedAt: elapsed - minute, ...known, states });
    return this;
  }

  refreshing(): this {
    this.#resource.metadata.annotations = { [annotations.refresh]: "now" };
    return this;
  }

  readOnly(): this {
    this.#isReadOnly = true;
    return this;
  }

  /** Another client has applied the Secret under our field manager. */
  forged(): this {
    this.#isForged = true;
    return this;
  }

  /** Another process has written the Secret since this one found it current. */
  writtenByAnother(): this {
    this.#isOthers = true;
    return this;
  }

  /** This process has found the Secret's revision to be current, for this account and region. */
  verifiedAs(whom = "123456789012 eu-west-1"): this {
    this.#verifiedAs = whom;
    return this;
  }

  /** The API server has rejected a Secret from these versions as too large. */
  rejected(from: Versions): this {
    this.#tooLarge = { from, failure: new Failure("TooLarge", "wait", "Secret shop/checkout is too large") };
    return this;
  }

  /** Replaces the revision formats that this release knows. */
  knowing(revisions: Revisions): this {
    this.#revisions = revisions;
    return this;
  }

  /** What the reconcile has done already. */
  after(results: Results): this {
    this.#results = { ...this.#results, ...results };
    return this;
  }

  /** Reverses the order in which sources and members of paths are known. */
  backwards(): this {
    const known = [...this.#known].reverse();
    this.#known.clear();
    for (const [key, { states, ...rest }] of known) {
      this.#known.set(key, { ...rest, states: Object.fromEntries(Object.entries(states).reverse()) });
    }
    return this;
  }

  facts(): Facts {
    const resource = { ...this.#resource, metadata: { ...this.#resource.metadata } };
    const target = targetOf(resource);
    const owner = { namespace: "shop", name: "checkout" };
    const planned = plan(resource.spec, this.#granted, owner);
    const { refresh } = resource.spec;
    const revisions = this.#revisions;
    const { from, parts = {} } = this.#secret ?? {};
    const secretFrom = madeFrom(
      { resource: { ...resource, spec: parts.spec ?? resource.spec }, granted: this.#granted, plan: planned },
      sourcesOf(from ?? {}),
    );
    const revision =
      parts.revision ?? revisions.of({ ...secretFrom, ...(parts.region ? { region: parts.region } : {}) });
    const status = this.#statusOf(from && { from, revision });
    if (status) resource.status = status;
    const metadata = this.#otherSecret ?? (from && madeSecret(resource, target, { ...parts, revision }));
    const found = standing(resource, target, metadata);
    const present = found.state === "ours" ? found.metadata : undefined;
    const inSecret = present?.annotations?.[target.revisionAnnotation];
    const whenExpired = isOnce(resource) ? undefined : (refresh?.whenExpired ?? "Retain");
    const told = { resource, plan: planned, granted: this.#granted, revisions };
    const rejected = this.#tooLarge;
    return factsOf({
      ...{
        ...told,
        target,
        standing: found,
        isForged: this.#isForged,
        isOthers: this.#isOthers,
        readOnly: this.#isReadOnly,
      },
      ...{ whenMissing: refresh?.whenMissing ?? "Retain", whenExpired, refresh: pendingRefresh(resource) },
      warmStart: warmStartOf(
        { ...told, verifiedRevisions: new VerifiedRevisions(), followsExpiry: whenExpired !== undefined },
        inSecret,
        wall,
      ),
      verifiedAs: this.#verifiedAs,
      tooLarge: rejected && {
        revision: revisions.of(madeFrom({ ...told }, sourcesOf(rejected.from))),
        failure: rejected.failure,
      },
    });
  }

  build(): Snapshot {
    const facts = this.facts();
    return { ...facts, ...this.observed(facts), done: this.done(facts.plan, this.#results) };
  }

  /** The sources as `Snapshots.observe()` takes them. */
  observed(facts: Facts): Observed {
    const { plan: planned, target, whenMissing, whenExpired, warmStart, refresh } = facts;
    const keeps = keepsVersions(facts);
    const entries = new Map(planned.references.map((one) => [referenceKey(one), this.#entryOf(one)]));
    const entryOf = (reference: Reference) => entries.get(referenceKey(reference))!;
    const looking = { now: elapsed, wall, warmStart, mayGoBack: refresh !== undefined };
    const assessment = assess(planned, (one) => (keeps ? entryOf(one) : viewOf(entryOf(one), looking)), {
      ...{ grant: facts.granted, namespace: target.namespace },
      when: keeps ? { missing: "Retain", expired: undefined } : { missing: whenMissing, expired: whenExpired },
    });
    const lookAgain = planned.references.filter((one) => wantsAnotherLook(entryOf(one), elapsed));
    return {
      ...{ assessment, lookAgain, wall },
      hasFailedLook: lookAgain.some((one) => entryOf(one).failure),
      unseen: planned.references.filter((one) => !entryOf(one).looked),
      staleSources: assessment.staleSources.flatMap(({ reference }) =>
        elapsed - (entryOf(reference).askedAt ?? -Infinity) < 10_000 ? [] : [reference],
      ),
    };
  }

  /** What a reconcile knows after it has got these results. */
  done(planned: Plan, results: Results): Done {
    const { looked, read, failures, tooLarge, pinned, opened, openedIn, live } = results;
    const isRead = read !== undefined || failures !== undefined || tooLarge !== undefined;
    const failed = new Map(Object.entries(failures ?? {}).map(([key, one]) => [keyIn(planned, key), one]));
    const problems = Array.isArray(opened) ? opened : [];
    const plaintexts = Object.entries(Array.isArray(opened) ? {} : (opened ?? {}));
    const blobs = new Map(plaintexts.map(([label, text]) => [label, Sealed.text(text)]));
    const keyIds = new Set(plaintexts.map(([label]) => `arn:aws:kms:eu-west-1:123456789012:key/${label}`));
    const own = live === "absent" ? undefined : new Map(bytesOf(live ?? {}));
    return {
      ...(looked ? { looked } : {}),
      ...(isRead ? { read: { values: valuesOf(planned, read ?? {}), failures: failed, tooLarge } } : {}),
      ...(pinned ? { pinned: pinnedOf(planned, pinned) } : {}),
      ...(opened ? { opened: { blobs, keyIds, problems, ...(openedIn ? { elsewhere: openedIn } : {}) } } : {}),
      ...(live === undefined ? {} : { live: { keys: own } }),
    };
  }

  #statusOf(secret: { from: Versions; revision: string } | undefined): Status | undefined {
    const generation = this.#resource.metadata.generation!;
    const shared = { lastTransitionTime: new Date(wall).toISOString(), observedGeneration: generation, message: "" };
    const ready = { type: "Ready", status: "True", reason: "Synced", ...shared, ...this.#ready } as const;
    const isReported = Object.keys(this.#ready).length > 0;
    if (this.#status !== "ofSecret") return { ...this.#status, ...(isReported ? { conditions: [ready] } : {}) };
    if (!secret) return isReported ? { observedGeneration: generation, conditions: [ready] } : undefined;
    const { from, revision } = secret;
    const made = { secretRef: { name: "checkout" }, revision, ...listed(sourcesOf(from)) };
    if (this.#listed) made.sources = this.#listed;
    return { observedGeneration: generation, conditions: [ready], ...made };
  }

  #entryOf(reference: Reference): Entry {
    const key = reference.kind === "path" ? reference.path : reference.name + reference.selector;
    const { states = {}, ...known } = this.#known.get(key) ?? {};
    const entry = { ...newEntry(reference, referenceKey(reference)), ...known };
    if (reference.kind === "parameter") return { ...entry, state: states[""] ?? {} };
    return { ...entry, members: new Map(Object.entries(states)) };
  }
}

/** A SyncedSecret `shop/checkout` without entries and without a Secret. */
export function aSnapshot(): SnapshotBuilder {
  return new SnapshotBuilder();
}

/** A spec entry: the key `A` from the parameter `/a`. */
export function entry(key: string, name: string, extra: Partial<NonNullable<Spec["data"]>[number]> = {}) {
  return { key, parameter: { name }, ...extra };
}

function keyIn({ references }: Plan, name: string): string {
  const reference = references.find((one) => (one.kind === "path" ? one.path : one.name + one.selector) === name);
  if (!reference) throw new Error(`the plan has no ${name}`);
  return referenceKey(reference);
}

function valuesOf({ references }: Plan, versions: Versions): Values {
  const sources = sourcesOf(versions);
  const belongs = ({ name, selector }: RevisionSource, one: Reference) =>
    one.kind === "path"
      ? isBelow(name, one) && selector === memberSelector(one)
      : one.name === name && one.selector === selector;
  return new Map(
    references.map((reference) => {
      const own = sources.filter((source) => belongs(source, reference));
      const values = own.flatMap((source) => {
        if ("left" in source) return [];
        const { name, selector: _, ...stamp } = source;
        return [[name, { ...stamp, value: Sealed.text(`${name}@${stamp.version}`) }] as const];
      });
      return [referenceKey(reference), new Map(values)];
    }),
  );
}

function pinnedOf(planned: Plan, pinned: Versions | readonly Failure[]): NonNullable<Done["pinned"]> {
  if (isFailures(pinned)) return { values: new Map(), problems: pinned };
  return { values: valuesOf(planned, pinned), problems: [] };
}

function isFailures(results: Versions | readonly Failure[]): results is readonly Failure[] {
  return Array.isArray(results);
}

function bytesOf(texts: Readonly<Record<string, string>>): [string, Uint8Array][] {
  return Object.entries(texts).map(([key, text]) => [key, Buffer.from(text)]);
}
