import type { Identity } from "../../src/aws/identity.ts";
import type { RateLimiters } from "../../src/aws/ratelimit/limiters.ts";
import type { QuotaRegistry, QuotaScope } from "../../src/aws/ratelimit/quota-registry.ts";
import { Observer } from "../../src/parameters/observer.ts";
import { PathReader } from "../../src/parameters/read/path-reader.ts";
import { Reader } from "../../src/parameters/read/reader.ts";
import type { ParameterReference, PathReference, Reference } from "../../src/parameters/read/reference.ts";
import type { Subscription } from "../../src/parameters/subscription.ts";
import type { AuditEvent } from "../../src/runtime/audit.ts";
import type { Random } from "../../src/runtime/clock.ts";
import type { Lane } from "../../src/runtime/lane.ts";
import { FakeClock } from "./clock.ts";
import { FakeAws } from "./fake-aws.ts";
import { limitersOver } from "./limiters.ts";

/** An observer with a fake clock and an in-memory Parameter Store, and the calls of its callbacks. */
export interface ObserverRig {
  clock: FakeClock;
  aws: FakeAws;
  quotas: QuotaRegistry;
  limiters: RateLimiters;
  observer: Observer;
  told: { dependent: string; lane: Lane }[];
  missed: Reference[];
  stretched: QuotaScope[];
  audited: AuditEvent[];
  /** Identities that have lost or gained the permission to see policies, in order. */
  seen: string[];
  /** Whether a queue announces changes of a reference; initially never. */
  announces: (reference: Reference) => boolean;
  /** Whether a sync is in progress; initially false. */
  isBusy: boolean;
}

/** @param options.limit requests a second without a connection's limit */
export function observerRig({ limit = 10_000, random = (() => 0.5) as Random } = {}): ObserverRig {
  const clock = new FakeClock();
  const { quotas, limiters, metrics } = limitersOver(clock, limit);
  const told: ObserverRig["told"] = [];
  const missed: Reference[] = [];
  const stretched: QuotaScope[] = [];
  const audited: AuditEvent[] = [];
  const seen: string[] = [];
  const observer = new Observer({
    quotas,
    reader: new Reader(limiters),
    pathReader: new PathReader(limiters),
    limiters,
    clock,
    random,
    metrics,
    audit: (event) => void audited.push(event),
    missingGraceMs: 300_000,
    notify: (dependent, lane) => told.push({ dependent, lane }),
    isAnnounced: (reference) => rig.announces(reference),
    missed: (reference) => missed.push(reference),
    stretched: (scope) => stretched.push(scope),
    isBusy: () => rig.isBusy,
    seen: (identityKey) => seen.push(identityKey),
  });
  const aws = new FakeAws(() => clock.now());
  const rig: ObserverRig = {
    clock,
    aws,
    quotas,
    limiters,
    observer,
    told,
    missed,
    stretched,
    audited,
    seen,
    announces: () => false,
    isBusy: false,
  };
  return rig;
}

export function parameterOf(identity: Identity, name: string, selector = ""): ParameterReference {
  return { kind: "parameter", identity, name, selector };
}

/** All parameters below a path, at their latest versions. */
export function pathOf(identity: Identity, path: string): PathReference {
  return { kind: "path", identity, path, recursive: true, label: "", types: [] };
}

/** @param pollIntervalMs default: five minutes */
export function subscription(reference: Reference, pollIntervalMs = 300_000): Subscription {
  return { reference, pollIntervalMs };
}
