import type { Metrics } from "../metrics/metrics.ts";
import type { Audit } from "../runtime/audit.ts";
import type { Clock, Random } from "../runtime/clock.ts";
import type { ClockWatch } from "../runtime/clock-watch.ts";
import type { Lane } from "../runtime/lane.ts";
import type { PathReader } from "./path-reader.ts";
import type { QuotaRegistry, QuotaScope } from "./quota-registry.ts";
import type { RateLimiters } from "./rate-limiters.ts";
import type { Reader } from "./reader.ts";
import type { Reference } from "./reference.ts";

/** What an observer works with, and whom it tells. */
export interface ObserverOptions {
  reader: Reader;
  pathReader: PathReader;
  /** The way to descriptions. */
  lanes: RateLimiters;
  quotas: QuotaRegistry;
  clock: Clock;
  /** Tells of jumps of the clocks; one of its own where left out. The observer starts and stops it. */
  clockWatch?: ClockWatch;
  random: Random;
  metrics: Metrics;
  /** Told of every decryption; nobody is by default. */
  audit?: Audit;
  /** Milliseconds between the two looks that make a parameter gone. */
  missingGraceMs: number;
  /** Whether something is being synced, which what nobody waits for comes after; never by default. */
  isBusy?: () => boolean;
  /** Called with the namespace/name of each SyncedSecret for which something has changed. */
  notify: (dependent: string, lane: Lane) => void;
  /** Whether a queue that has proved itself announces what becomes of a reference; nothing is announced by default. */
  isAnnounced?: (reference: Reference) => boolean;
  /** Called where a poll finds a change that should have been announced. */
  missed?: (reference: Reference) => void;
  /** Called when the polls of a quota are stretched otherwise than before. */
  stretched?: (scope: QuotaScope) => void;
  /** Called with the key of an identity that may not, or may again, see the policies of parameters. */
  seen?: (identityKey: string) => void;
}
