import type { Term } from "../../kube/leases/leader-elector.ts";
import { aborted } from "../../runtime/cancellation.ts";
import type { Placement } from "../placement.ts";
import { type Groups, groupName } from "./groups.ts";
import type { Owns, ShardCaches } from "./shard-caches.ts";

/** The work of an engine. */
export interface Work extends Term {
  /** Resolves when no reconcile of these SyncedSecrets is queued or under way. */
  settled(keys: readonly string[]): Promise<void>;
  /** Reconciles a connection at once. */
  reconsider(connectionKey: string): void;
}

export interface ShardTermOptions {
  shard: number;
  shards: number;
  makeCaches: (owns: Owns) => ShardCaches;
  /** Begins the work, until the term's signal aborts. */
  begin: (term: ShardTerm) => Work;
  /** Whether every shard's last owner works by the groups of this digest. */
  isAppliedEverywhere: (digest: string) => boolean;
  /** Whether a connection stays here although its group is not published, because there was no room. */
  isLeftOut: (connectionKey: string) => boolean;
  /** Whether another shard has a connection that names the same event queue. */
  sharesQueueElsewhere: (connectionKey: string, groups: Groups) => boolean;
  /** Called when `applied` or `found` has changed. */
  changed: () => void;
}

/**
 * The time for which this process owns a shard. What the published groups take from the shard is stopped at once. What
 * they give to it begins only when every owner works by the same groups, because another owner may still have it.
 */
export class ShardTerm implements Term, Placement {
  readonly drained: Promise<void>;
  readonly ended: Promise<boolean>;
  readonly caches: ShardCaches;
  /** The groups of connections that differ from the published ones. */
  readonly found = new Map<string, string>();
  readonly #options: ShardTermOptions;
  readonly #over: AbortSignal;
  readonly #failed: (error: unknown) => void;
  /** The groups by which every owner worked; undefined before the work begins. */
  #common: Groups | undefined;
  /** The groups that have been published since. */
  #newer: Groups[] = [];
  #applied: string | undefined;
  #work: Work | undefined;
  /** Connections that were resolved and may not be worked on yet. */
  readonly #waiting = new Set<string>();

  constructor(options: ShardTermOptions, over: AbortSignal) {
    this.#options = options;
    this.#over = over;
    this.caches = options.makeCaches((key) => this.#owns(key));
    const ending = aborted(over);
    this.drained = ending.then(() => this.#work?.drained);
    // A worker that fails must end the term before its signal aborts.
    const { promise: failed, reject } = Promise.withResolvers<boolean>();
    this.#failed = reject;
    this.ended = Promise.race([failed, ending.then(() => this.#work?.ended ?? true)]);
  }

  /** The digest of the groups that this owner works by: it has stopped all that they assign to other shards. */
  get applied(): string | undefined {
    return this.#applied;
  }

  get isAtWork(): boolean {
    return this.#work !== undefined && !this.#over.aborted;
  }

  /** Takes the published groups, and what other owners have applied. */
  observe(groups: Groups): void {
    if (this.#over.aborted) return;
    const latest = this.#latest;
    if (groups.text !== latest?.text) this.#leave(groups);
    const isNew = !this.#common || this.#newer.length > 0;
    const { digest } = this.#latest!;
    if (isNew && this.#applied === digest && this.#options.isAppliedEverywhere(digest)) this.#enter();
    if (groups.text !== latest?.text) this.reconsider();
  }

  /** Reconciles the connections again that may not be worked on yet. */
  reconsider(): void {
    for (const key of [...this.#waiting]) {
      this.#waiting.delete(key);
      if (this.#owns(key)) this.#work?.reconsider(key);
      else this.found.delete(key);
    }
  }

  settle(key: string, { account, region }: { account: string | undefined; region: string }): boolean {
    const { isLeftOut, sharesQueueElsewhere, changed } = this.#options;
    const groups = this.#latest!;
    const group = groupName(account, region);
    const isKnown = groups.groupOf(key) === group;
    if ((isKnown && !sharesQueueElsewhere(key, groups)) || isLeftOut(key)) {
      this.found.delete(key);
      return this.#owns(key);
    }
    this.#waiting.add(key);
    if (isKnown || this.found.get(key) === group) return false;
    this.found.set(key, group);
    changed();
    return false;
  }

  isTied(key: string): boolean {
    return this.#latest?.isTied(key) ?? false;
  }

  get #latest(): Groups | undefined {
    return this.#newer.at(-1) ?? this.#common;
  }

  #owns(key: string): boolean {
    const { shard, shards } = this.#options;
    const isOurs = (groups: Groups) => groups.shardOf(key, shards) === shard;
    return this.#common !== undefined && isOurs(this.#common) && this.#newer.every(isOurs);
  }

  /** Stops the work on what other groups assign to other shards. */
  #leave(groups: Groups): void {
    const gone = this.caches.move(() => this.#newer.push(groups));
    const apply = () => {
      if (this.#latest !== groups) return;
      this.#applied = groups.digest;
      this.#options.changed();
    };
    if (gone.length === 0) apply();
    else void this.#work!.settled(gone).then(apply);
  }

  /** Begins the work on all that the latest groups assign to the shard. */
  #enter(): void {
    this.caches.move(() => {
      this.#common = this.#latest;
      this.#newer = [];
    });
    if (this.#work) return;
    this.#work = this.#options.begin(this);
    this.#work.ended.catch(this.#failed);
  }
}
