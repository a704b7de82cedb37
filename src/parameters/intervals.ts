import type { Entry } from "./cache-entry.ts";
import { pollShare } from "./quota.ts";
import type { QuotaRegistry, QuotaScope } from "./quota-registry.ts";
import { namesInACall, type Reference } from "./reference.ts";

/** How much rarer polls are of what AWS announces, by a queue that has proved itself. */
export const announcedFactor = 10;
/** The steps by which polls are stretched: finer, and a status would change with every resource. */
const step = 1.1;

export interface IntervalsOptions {
  quotas: QuotaRegistry;
  /** Whether a queue that has proved itself announces what becomes of a reference. */
  isAnnounced: (reference: Reference) => boolean;
  /** Called when the intervals of a quota are stretched otherwise than before. */
  stretched: (scope: QuotaScope) => void;
}

interface Demand {
  scope: QuotaScope;
  identityKey: string;
  /** Calls a second that polls at the asked intervals would take. */
  perSecond: number;
}

/**
 * How long it is from one poll of an entry to the next: what its dependants ask for, longer where AWS announces
 * changes, and stretched for all of a quota alike where polls would take more than their share of it.
 */
export class Intervals {
  readonly #options: IntervalsOptions;
  readonly #demands = new Map<Entry, Demand>();
  /** Calls a second, by place and by identity. */
  readonly #sums = new WeakMap<QuotaScope, number>();
  readonly #sumsOf = new Map<string, number>();

  constructor(options: IntervalsOptions) {
    this.#options = options;
  }

  /** Milliseconds until an entry's next poll; Infinity for what is never polled. */
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

  /** How many times as long as asked it is between two polls of an entry. */
  factor(entry: Entry): number {
    return this.#announced(entry) * this.stretch(entry.reference.identity.key);
  }

  /** Takes an entry that nobody depends on out of the account. */
  drop(entry: Entry): void {
    const demand = this.#demands.get(entry);
    if (!demand) return;
    this.#demands.delete(entry);
    this.#add(demand, -demand.perSecond);
  }

  /** By how much the polls of an identity are stretched; 1 where they are not. */
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
    // What is left after the last entry is the error of adding and subtracting.
    if (own > 1e-9) this.#sumsOf.set(identityKey, own);
    else this.#sumsOf.delete(identityKey);
    if (before !== this.#stretchOf(scope, identityKey)) this.#options.stretched(scope);
  }

  #stretchOf(scope: QuotaScope, identityKey: string): number {
    const own = this.#options.quotas.own(identityKey, "ssm");
    const ofAll = (this.#sums.get(scope) ?? 0) / scope.quota.limit;
    const ofOwn = own ? (this.#sumsOf.get(identityKey) ?? 0) / own.limit : 0;
    const share = Math.max(ofAll, ofOwn) / pollShare;
    // A tenth of a per cent is the error of adding and subtracting, and no demand.
    return share <= 1.001 ? 1 : step ** Math.ceil(Math.log(share) / Math.log(step));
  }
}
