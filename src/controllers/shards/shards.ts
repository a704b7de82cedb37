import type { SyncedSecret } from "../../api/types.ts";
import type { Change } from "../../kube/informer/store.ts";
import type { Annotations, Lease } from "../../kube/leases/lease.ts";
import type { ShardLeases, ShardWork } from "../../kube/leases/shard-leases.ts";
import { type KubeObject, leases as leaseResource } from "../../kube/resource.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import { aborted } from "../../runtime/cancellation.ts";
import type { Log } from "../../runtime/log.ts";
import type { WatchCaches } from "../watch-caches.ts";
import { Groups } from "./groups.ts";
import { type NextGroups, nextGroups } from "./next-groups.ts";
import { everyConnection, ShardCaches } from "./shard-caches.ts";
import { ShardTerm, type Work } from "./shard-term.ts";

/** Annotations of shards' Leases. */
const annotations = {
  /** On the Lease of shard 0: the groups of connections. */
  groups: "keyferry.io/groups",
  /** A digest of the groups that the shard's owner works by. */
  applied: "keyferry.io/groups-applied",
  /** The groups of the shard's connections that shard 0 has to publish: JSON. */
  found: "keyferry.io/groups-found",
} as const;

/** Maximum characters of the groups: all annotations of an object have 256 KiB. It is enough for 3,000 connections. */
const maxGroupsLength = 200_000;
/** Maximum connections that one shard reports at once. */
const maxFound = 1_000;

export interface ShardsOptions {
  leases: ShardLeases;
  /** Filled. */
  caches: WatchCaches;
  /** The key of the connection that a SyncedSecret names. */
  connectionOf: (resource: SyncedSecret) => string;
  /**
   * Begins the work on a shard.
   *
   * @param isOthers whether another shard of this process has a SyncedSecret
   */
  begin: (shard: number, term: ShardTerm, over: AbortSignal, isOthers: (key: string) => boolean) => Work;
  metrics: Metrics;
  log: Log;
}

/**
 * Works on the shards whose Leases this process holds. The owner of shard 0 publishes the group of each connection. An
 * owner that finds another group for one of its connections reports it in its own Lease, and does not work on the
 * connection until the published groups agree.
 */
export class Shards {
  readonly #options: ShardsOptions;
  readonly #terms = new Map<number, ShardTerm>();
  readonly #owned = new Set<number>();
  #groups = Groups.parse(undefined);
  /** The text that `#groups` was read from. */
  #groupsText: string | undefined;
  #next: NextGroups = { groups: this.#groups, leftOut: new Set() };
  /** What `#next` was computed from. */
  #basis: string | undefined;
  #connectionChanges = 0;
  /** The event queues that connections name; undefined after a change. */
  #queues: ReadonlyMap<string, string | undefined> | undefined;
  #hasWatched = false;

  constructor(options: ShardsOptions) {
    this.#options = options;
  }

  /** Why this process can own no shard; undefined if it can. */
  get refusal(): string | undefined {
    const { leases } = this.#options;
    if (this.#hasWatched) return leases.refusal;
    const verbs = "list and watch leases.coordination.k8s.io";
    return `the Leases are not listed yet: the ServiceAccount must be granted ${verbs} in namespace ${leases.namespace}`;
  }

  /** Watches the Leases and works until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { leases, caches, metrics } = this.#options;
    for (let shard = 0; shard < leases.shards; shard++) metrics.shardOwner.set({ shard }, 0);
    const watch = caches.watchAll<Lease>(leaseResource, leases.namespace, {
      onChange: ({ before, after }) => leases.changed((after ?? before)!.metadata.name!, after),
    });
    const watching = watch.run(signal);
    await Promise.race([watch.synced, aborted(signal)]);
    if (!signal.aborted) {
      this.#hasWatched = true;
      const connectionChanged = (_kind: string, { before, after }: Change<KubeObject>) => {
        if (before?.metadata.uid === after?.metadata.uid && before?.metadata.generation === after?.metadata.generation)
          return;
        this.#connectionChanges++;
        this.#queues = undefined;
        for (const term of this.#terms.values()) term.reconsider();
        this.#publish();
      };
      const ignored = () => {};
      const others = { syncedSecretChanged: ignored, secretChanged: ignored, namespaceChanged: ignored };
      caches.listen({ ...others, connectionChanged }, signal);
      await leases.run(signal, this.#work());
    }
    await watching;
  }

  #work(): ShardWork {
    return {
      begin: (shard, over) => this.#begin(shard, over),
      annotations: (shard) => this.#annotations(shard),
      changed: () => this.#update(),
    };
  }

  #begin(shard: number, over: AbortSignal): ShardTerm {
    const { leases, caches, connectionOf, begin } = this.#options;
    const { shards } = leases;
    const term: ShardTerm = new ShardTerm(
      {
        ...{ shard, shards },
        makeCaches: (owns) => new ShardCaches({ all: caches, owns, connectionOf }),
        begin: () => begin(shard, term, over, (key) => this.#isOthers(key, term)),
        isAppliedEverywhere: (digest) => this.#isAppliedEverywhere(digest),
        isLeftOut: (key) => shard === 0 && this.#next.leftOut.has(key),
        sharesQueueElsewhere: (key, groups) => this.#sharesQueueElsewhere(key, groups),
        changed: () => {
          leases.renew(shard);
          this.#publish();
        },
      },
      over,
    );
    this.#terms.set(shard, term);
    this.#own(shard, true);
    over.addEventListener("abort", () => this.#own(shard, false));
    const end = () => {
      this.#terms.delete(shard);
    };
    term.ended.then(end, end);
    return term;
  }

  #own(shard: number, isOwner: boolean): void {
    const { metrics } = this.#options;
    if (isOwner) this.#owned.add(shard);
    else this.#owned.delete(shard);
    metrics.shardOwner.set({ shard }, isOwner ? 1 : 0);
    metrics.leader.set(this.#owned.size > 0 ? 1 : 0);
  }

  #annotations(shard: number): Annotations {
    const term = this.#terms.get(shard);
    const found = [...(term?.found ?? [])].slice(0, maxFound);
    const { groups } = this.#next;
    const publishes = shard === 0 && term?.isAtWork && groups.text !== this.#groups.text;
    return {
      [annotations.applied]: term?.applied,
      [annotations.found]: found.length === 0 ? undefined : JSON.stringify(found),
      ...(publishes ? { [annotations.groups]: groups.text } : {}),
    };
  }

  /** Handles a change of a Lease. */
  #update(): void {
    const { leases } = this.#options;
    const text = leases.book.get(leases.shardName(0))?.metadata.annotations?.[annotations.groups];
    if (text !== this.#groupsText) this.#groups = Groups.parse(text);
    this.#groupsText = text;
    for (const [shard, term] of this.#terms) if (leases.isShown(shard)) term.observe(this.#groups);
    this.#publish();
  }

  /** Publishes the groups if this process owns shard 0 and they have changed. */
  #publish(): void {
    const { leases, log } = this.#options;
    if (!this.#terms.get(0)?.isAtWork) return;
    const found = this.#found();
    const basis = JSON.stringify([this.#groups.digest, this.#connectionChanges, [...found]]);
    if (basis === this.#basis) return;
    this.#basis = basis;
    const hadRoom = this.#next.leftOut.size === 0;
    const queues = this.#queuesOfConnections();
    this.#next = nextGroups({ current: this.#groups, found, queues, maxLength: maxGroupsLength });
    const { leftOut, groups } = this.#next;
    if (hadRoom && leftOut.size > 0) {
      log.warn({ connections: leftOut.size }, "too many connections to assign each to a shard, shard 0 keeps some");
    }
    if (groups.text !== this.#groups.text) leases.renew(0);
    else this.#terms.get(0)?.reconsider();
  }

  /** The groups that the owners of shards have found for their connections. */
  #found(): Map<string, string> {
    const { leases } = this.#options;
    const found = new Map<string, string>();
    for (let shard = 0; shard < leases.shards; shard++) {
      const own = this.#terms.get(shard);
      const reported = own
        ? own.found
        : parseFound(leases.book.annotationOf(leases.shardName(shard), annotations.found));
      // What a former owner has found may be outdated.
      for (const [key, group] of reported)
        if (this.#groups.shardOf(key, leases.shards) === shard) found.set(key, group);
    }
    return found;
  }

  /** A Lease that seems to have lapsed counts, too: its owner may be alive, and only our watch late. */
  #isAppliedEverywhere(digest: string): boolean {
    const { leases } = this.#options;
    const appliedBy = (shard: number) =>
      leases.book.get(leases.shardName(shard))?.metadata.annotations?.[annotations.applied];
    return Array.from({ length: leases.shards }, (_, shard) => appliedBy(shard)).every((applied) => applied === digest);
  }

  #sharesQueueElsewhere(connectionKey: string, groups: Groups): boolean {
    const { shards } = this.#options.leases;
    const queues = this.#queuesOfConnections();
    const queue = queues.get(connectionKey);
    if (queue === undefined) return false;
    const shard = groups.shardOf(connectionKey, shards);
    for (const [key, url] of queues) {
      if (url === queue && groups.groupOf(key) !== undefined && groups.shardOf(key, shards) !== shard) return true;
    }
    return false;
  }

  /** The URL of the event queue that each connection names, if any; not of connections that are being deleted. */
  #queuesOfConnections(): ReadonlyMap<string, string | undefined> {
    if (this.#queues) return this.#queues;
    const queues = new Map<string, string | undefined>();
    for (const [key, { connection }] of everyConnection(this.#options.caches.views)) {
      if (!connection.metadata.deletionTimestamp) queues.set(key, connection.spec.events?.queueUrl);
    }
    this.#queues = queues;
    return queues;
  }

  #isOthers(key: string, than: ShardTerm): boolean {
    return [...this.#terms.values()].some(
      (term) => term !== than && term.isAtWork && term.caches.views.syncedSecrets.has(key),
    );
  }
}

function parseFound(text: string | undefined): [string, string][] {
  try {
    return (JSON.parse(text ?? "[]") as [string, string][]).map(([key, group]) => [`${key}`, `${group}`]);
  } catch {
    return [];
  }
}
