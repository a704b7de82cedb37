import { type KubeObject, leases } from "../resource.ts";

/** The part of coordination.k8s.io/v1 Lease that leader election uses. */
export interface Lease extends KubeObject {
  spec?: LeaseSpec;
}

/** client-go's LeaderElectionRecord. Times are RFC 3339 with microseconds; they are information only. */
export interface LeaseSpec {
  /** Empty for a Lease that its holder has released. */
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  /** The number of changes of the holder. */
  leaseTransitions?: number;
}

/** A point in time of both clocks, in milliseconds. */
export interface Instant {
  monotonic: number;
  wall: number;
}

/** What a process has seen of a Lease. */
export interface Seen {
  /** Undefined if the Lease does not exist. */
  readonly lease: Lease | undefined;
  /** When this process first saw the Lease's resourceVersion, in monotonic milliseconds. */
  readonly observedAt: number;
}

/**
 * @param before what was seen before; undefined at the first time
 * @param now monotonic milliseconds
 */
export function seen(before: Seen | undefined, lease: Lease | undefined, now: number): Seen {
  const [was, is] = [before?.lease?.metadata, lease?.metadata];
  const isSame = before && was?.uid === is?.uid && was?.resourceVersion === is?.resourceVersion;
  return { lease, observedAt: isSame ? before.observedAt : now };
}

/** What a decision about a Lease is made from. */
export interface LeaseSnapshot extends Seen {
  /** Monotonic milliseconds. */
  now: number;
  /** This candidate's identity. */
  identity: string;
  /** Milliseconds that apply if the Lease names no duration. */
  leaseDurationMs: number;
  /**
   * Whether the Lease is of replicas that work by other settings. They get one more duration in which another of them
   * can take the Lease.
   */
  isForeign?: boolean;
}

/** What a candidate does. `wait`: another candidate holds the Lease for `ms` more milliseconds. */
export type LeaseDecision = { kind: "create" | "acquire" | "renew" } | { kind: "wait"; ms: number };

/**
 * Decides as client-go's leaderelection does: a Lease has lapsed when it has not changed for its own duration, measured
 * by this process. The times in the Lease are not used, so that skewed clocks do not matter.
 */
export function decideLease(snapshot: LeaseSnapshot): LeaseDecision {
  const { lease, observedAt, now, identity, leaseDurationMs, isForeign = false } = snapshot;
  if (!lease) return { kind: "create" };
  if (lease.spec?.holderIdentity === identity) return { kind: "renew" };
  const ms = observedAt + heldForMs(lease, leaseDurationMs) + (isForeign ? leaseDurationMs : 0) - now;
  return ms > 0 ? { kind: "wait", ms } : { kind: "acquire" };
}

/**
 * Milliseconds for which a Lease is held after its last change; 0 if its holder has released it.
 *
 * @param leaseDurationMs milliseconds that apply if the Lease names no duration
 */
export function heldForMs({ spec }: Lease, leaseDurationMs: number): number {
  const { holderIdentity = "", leaseDurationSeconds = 0 } = spec ?? {};
  if (holderIdentity === "") return 0;
  return leaseDurationSeconds > 0 ? leaseDurationSeconds * 1_000 : leaseDurationMs;
}

/**
 * Milliseconds between two instants by the clock that moved further. The monotonic clock stands still while the machine
 * is suspended, and the wall clock may be set back.
 */
export function elapsedMs(from: Instant, to: Instant): number {
  return Math.max(to.monotonic - from.monotonic, to.wall - from.wall);
}

/** What a candidate writes. */
export interface LeaseClaim {
  namespace: string;
  name: string;
  identity: string;
  leaseDurationMs: number;
  /** Milliseconds since the epoch. */
  now: number;
  /** Annotations to set; undefined removes one. Others stay. */
  annotations?: Annotations;
}

/** Annotations that a holder writes with each renewal; undefined removes one. */
export type Annotations = Readonly<Record<string, string | undefined>>;

/** @returns the Lease as its holder writes it, with the resourceVersion of `before` as a precondition */
export function claimed(before: Lease | undefined, claim: LeaseClaim): Lease {
  const { namespace, name, identity, leaseDurationMs, now, annotations = {} } = claim;
  const { holderIdentity, acquireTime, leaseTransitions = 0 } = before?.spec ?? {};
  const isOurs = holderIdentity === identity;
  return withSpec(annotated(before?.metadata ?? { namespace, name }, annotations), {
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(leaseDurationMs / 1_000),
    acquireTime: isOurs && acquireTime ? acquireTime : microTime(now),
    renewTime: microTime(now),
    leaseTransitions: before && !isOurs ? leaseTransitions + 1 : leaseTransitions,
  });
}

/**
 * @param now milliseconds since the epoch
 * @returns the Lease as its holder releases it: another candidate may take it at once
 */
export function released({ metadata, spec }: Lease, now: number): Lease {
  return withSpec(metadata, {
    holderIdentity: "",
    leaseDurationSeconds: 1,
    acquireTime: microTime(now),
    renewTime: microTime(now),
    leaseTransitions: spec?.leaseTransitions ?? 0,
  });
}

function annotated(metadata: Lease["metadata"], changes: Annotations): Lease["metadata"] {
  if (Object.keys(changes).length === 0) return metadata;
  const all = Object.entries({ ...metadata.annotations, ...changes });
  const kept = all.filter((entry): entry is [string, string] => entry[1] !== undefined);
  const { annotations: _before, ...rest } = metadata;
  return kept.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(kept) };
}

function withSpec(metadata: Lease["metadata"], spec: LeaseSpec): Lease {
  return { apiVersion: `${leases.group}/${leases.version}`, kind: leases.kind, metadata, spec };
}

/** metav1.MicroTime. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}
