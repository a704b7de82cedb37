import { createHash } from "node:crypto";
import { annotations } from "../../api/annotations.ts";
import type { SyncedSecret } from "../../api/types.ts";
import { ownedBy } from "../../kube/managed-fields.ts";
import type { ObjectMeta } from "../../kube/resource.ts";
import type { Seed } from "../../parameters/entry.ts";
import type { Lane } from "../../parameters/lanes.ts";
import type { Want } from "../../parameters/observer.ts";
import { referenceKey } from "../../parameters/reference.ts";
import { parseDuration } from "../../runtime/duration.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Granted } from "../connection/connections.ts";
import type { Assessment, WhenMissing } from "./assess.ts";
import type { Plan } from "./plan.ts";
import { type Damage, damage, type Standing, type Target } from "./target.ts";

/** A SyncedSecret with all that its decisions rest on, gathered once. */
export interface Gathered {
  resource: SyncedSecret;
  granted: Granted;
  plan: Plan;
  target: Target;
  standing: Standing;
  whenMissing: WhenMissing;
  lane: Lane;
  /** The mark of a refresh annotation that has not been honoured yet. */
  refresh: string | undefined;
  /** What the status says of the sources, by the key of each reference, where the Secret vouches for it. */
  seeds: Map<string, ReadonlyMap<string, Seed>> | undefined;
}

/** The Secret's metadata, where it is ours. */
export function presentOf({ standing }: Gathered): ObjectMeta | undefined {
  return standing.state === "ours" ? standing.metadata : undefined;
}

/** The revision that the Secret carries, where it is ours. */
export function revisionOf({ standing, target }: Gathered): string | undefined {
  return standing.state === "ours" ? standing.metadata.annotations?.[target.revisionAnnotation] : undefined;
}

/** What is no longer as it was applied; undefined where nothing has been applied yet. */
export function damageOf(gathered: Gathered): Damage | undefined {
  const present = presentOf(gathered);
  const isApplied = revisionOf(gathered) !== undefined;
  return present && isApplied ? damage(gathered.resource, gathered.target, present) : undefined;
}

/** The names of the keys that we own in the Secret. */
export function keysOf(gathered: Gathered): ReadonlySet<string> {
  return ownedBy(presentOf(gathered)?.managedFields, gathered.target.manager)?.data ?? new Set();
}

/** The account and region that a revision is made for. */
export function asWhom({ granted }: Gathered): string {
  return `${granted.account} ${granted.identity.region}`;
}

/** What a SyncedSecret observes. */
export function wantsOf({ resource, granted, plan, seeds }: Gathered): Want[] {
  const own = resource.spec.refresh?.pollInterval;
  const asked = own === undefined ? undefined : parseDuration(own);
  const isOnce = resource.spec.refresh?.policy === "Once";
  const pollIntervalMs = isOnce ? Infinity : Math.max(asked ?? granted.pollIntervalMs, granted.pollIntervalMs);
  return plan.references.map((reference) => {
    const seed = seeds?.get(referenceKey(reference));
    return { reference, pollIntervalMs, ...(seed ? { seed } : {}) };
  });
}

/** Characters of a refresh annotation that a status keeps as they are; a longer one is kept as a digest. */
const markAtMost = 1_024;

/** What `kubectl annotate … keyferry.io/refresh=…` asks for, until it has been done. */
export function pendingRefresh(resource: SyncedSecret): string | undefined {
  const { annotations: own } = resource.metadata;
  const asked = own && Object.hasOwn(own, annotations.refresh) ? own[annotations.refresh] : undefined;
  if (asked === undefined) return undefined;
  const mark = asked.length <= markAtMost ? asked : `sha256:${createHash("sha256").update(asked).digest("hex")}`;
  return mark === resource.status?.lastHandledRefresh ? undefined : mark;
}

/** The condition Ready as it was last written. */
export function readyOf({ status }: SyncedSecret) {
  return status?.conditions?.find(({ type }) => type === "Ready");
}

/** Whether the present spec was said before to be in want of a source. */
export function saidGone(resource: SyncedSecret): boolean {
  const ready = readyOf(resource);
  return ready?.reason === "SourceGone" && ready.observedGeneration === resource.metadata.generation;
}

/** Whether a source is missing beyond suspicion, or is still missing after a process before this one had said so. */
export function isLost({ lost }: Assessment, resource: SyncedSecret): boolean {
  return saidGone(resource) ? lost.length > 0 : lost.some(({ missing }) => missing.stage !== "suspect");
}

/** When AWS was last heard, for an outcome. */
export function heard({ heardAt, unheard }: Assessment): { heardAt?: number; unheard?: Failure } {
  return { ...(heardAt === undefined ? {} : { heardAt }), ...(unheard ? { unheard } : {}) };
}

/** What is said while a source that the Secret was made from is missing. */
export function sourceGone(assessment: Assessment): Failure {
  const held = assessment.lost.some(({ missing }) => missing.stage === "held");
  const names = [...new Set(assessment.lost.map(({ entry, name }) => `${entry.label}: ${name}`))].sort();
  const message = held
    ? `so many parameters of the connection went missing at once that none is taken for deleted (${names.join(", ")}): see whether the connection still reads the right account and region`
    : `gone from Parameter Store (${names.join(", ")}): what the Secret had of them stays as it is; put them back, or remove the entries`;
  return new Failure("SourceGone", "wait", message);
}

/** What is said while keys are kept of which it is not known why nothing makes them any more. */
export function keysKept(keys: Iterable<string>, granted: Granted): Failure {
  const where = `account ${granted.account}, region ${granted.identity.region}`;
  const message = `nothing in ${where} makes the keys ${[...keys].sort().join(", ")} any more, and it is not known that it was deleted: they keep what they had; put the parameters back, or drop the keys by the annotation ${annotations.refresh}`;
  return new Failure("SourceGone", "wait", message);
}
