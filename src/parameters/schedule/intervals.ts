import { pollShare } from "../../aws/ratelimit/quota.ts";
import type { QuotaRegistry, QuotaScope } from "../../aws/ratelimit/quota-registry.ts";
import type { Entry } from "../cache/cache-entry.ts";
import { namesInACall, type Reference } from "../read/reference.ts";

/** The factor on poll intervals while a proven event queue announces changes. */
export const announcedFactor = 10;
/** The ratio between two steps of the stretch. With finer steps every new resource would change statuses. */
const step = 1.1;

export interface IntervalsOptions {
  quotas: QuotaRegistry;
  /** Whether a proven event queue announces changes of a reference. */
  isAnnounced: (reference: Reference) => boolean;
  /** Called when the stretch of a quota scope changes. */
  stretched: (scope: QuotaScope) => void;
}

interface Demand {
  scope: QuotaScope;
  identityKey: string;
  /** Calls a second for polls at the requested intervals. */
  perSecond: number;
}

/**
 * Computes poll intervals: the requested interval, longer if AWS announces changes. If polls would exceed their share
 * of a quota, all intervals of that quota scope are stretched by the same factor.
 */
export class Intervals {
  readonly #options: IntervalsOptions;
  readonly #demands = new Map<Entry, Demand>();
  /** Calls a second, by quota scope and by identity. */
  readonly #sums = new WeakMap<QuotaScope, number>();
  readonly #sumsOf = new Map<string, number>();

  constructor(options: IntervalsOptions) {
    this.#options = options;
  }

  /** Milliseconds from one poll of an entry to the next; Infinity if it is never polled. */
  of(entry: Entry): number {
    const { quotas } = this.#options;
    const identityKey = entry.reference.identity.key;
    const scope = quotas.scopeOf(identityKey, "ssm");
    const asked = entry.intervalMs * this.#announced(entry);
    const calls =
      entry.reference.kind === "path" ? Math.max(Math.ceil(entry.members.size / namesInACall), 1) : 1 / namesInACall;
    this.#note(entry, { scope, identityKey, perSecond: (1_000 * calls) / asked });
    return asked * this.#stretchOf(scope, identityKey);
  }

  /** The factor by which an entry's poll interval exceeds the requested one. */
  factor(entry: Entry): number {
    return this.#announced(entry) * this.stretch(entry.reference.identity.key);
  }

  /** Removes the demand of an entry without dependents. */
  drop(entry: Entry): void {
    const demand = this.#demands.get(entry);
    if (!demand) return;
    this.#demands.delete(entry);
    this.#add(demand, -demand.perSecond);
  }

  /** The factor by which the poll intervals of an identity are stretched; 1 if they are not. */
  stretch(identityKey: string): number {
    return this.#stretchOf(this.#options.quotas.scopeOf(identityKey, "ssm"), identityKey);
  }

  #announced(entry: Entry): number {
    const isSilent = entry.failure?.next === "retry";
    return !isSilent && this.#options.isAnnounced(entry.reference) ? announcedFactor : 1;
  }

  #note(entry: Entry, after: Demand): void {
    const before = this.#demands.get(entry);
    if (before?.scope === after.scope && before.perSecond === after.perSecond) return;
    if (before) this.#add(before, -before.perSecond);
    this.#demands.set(entry, after);
    this.#add(after, after.perSecond);
  }

  #add({ scope, identityKey }: Demand, perSecond: number): void {
    const before = this.#stretchOf(scope, identityKey);
    this.#sums.set(scope, Math.max((this.#sums.get(scope) ?? 0) + perSecond, 0));
    const own = (this.#sumsOf.get(identityKey) ?? 0) + perSecond;
    // A smaller rest is a rounding error.
    if (own > 1e-9) this.#sumsOf.set(identityKey, own);
    else this.#sumsOf.delete(identityKey);
    if (before !== this.#stretchOf(scope, identityKey)) this.#options.stretched(scope);
  }

  #stretchOf(scope: QuotaScope, identityKey: string): number {
    const own = this.#options.quotas.own(identityKey, "ssm");
    const ofAll = (this.#sums.get(scope) ?? 0) / scope.quota.limit;
    const ofOwn = own ? (this.#sumsOf.get(identityKey) ?? 0) / own.limit : 0;
    const share = Math.max(ofAll, ofOwn) / pollShare;
    // Tolerate a rounding error of 0.1 %.
    return share <= 1.001 ? 1 : step ** Math.ceil(Math.log(share) / Math.log(step));
  }
}
