import type { RateLimiters } from "../aws/ratelimit/limiters.ts";
import type { QuotaRegistry, QuotaScope } from "../aws/ratelimit/quota-registry.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Audit } from "../runtime/audit.ts";
import type { Clock, Random } from "../runtime/clock.ts";
import type { ClockWatch } from "../runtime/clock-watch.ts";
import type { Lane } from "../runtime/lane.ts";
import type { PathReader } from "./read/path-reader.ts";
import type { Reader } from "./read/reader.ts";
import type { Reference } from "./read/reference.ts";

/** The observer's dependencies and callbacks. */
export interface ObserverOptions {
  reader: Reader;
  pathReader: PathReader;
  /** The rate limiters for DescribeParameters. */
  limiters: RateLimiters;
  quotas: QuotaRegistry;
  clock: Clock;
  /** Reports clock jumps; default: its own. The observer starts and stops it. */
  clockWatch?: ClockWatch;
  random: Random;
  metrics: Metrics;
  /** Receives every decryption; none by default. */
  audit?: Audit;
  /** Milliseconds between the two looks that confirm a deletion. */
  missingGraceMs: number;
  /** Whether a sync is in progress, which descriptions wait for; never by default. */
  isBusy?: () => boolean;
  /** Called with the namespace/name of each SyncedSecret that a change concerns. */
  notify: (dependent: string, lane: Lane) => void;
  /** Whether a proven event queue announces changes of a reference; never by default. */
  isAnnounced?: (reference: Reference) => boolean;
  /** Called when a poll finds a change that should have been announced. */
  missed?: (reference: Reference) => void;
  /** Called when the stretch of a quota scope changes. */
  stretched?: (scope: QuotaScope) => void;
  /** Called with an identity's key when it loses or gains the permission to see policies. */
  seen?: (identityKey: string) => void;
}
