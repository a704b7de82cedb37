import { aborted } from "../../runtime/cancellation.ts";
import type { Clock, Random, Timer } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { KubeClient } from "../client/client.ts";
import { decideLeases, type WantedLeases } from "./balance.ts";
import { LeaderElector, type LeaseTiming, type Term } from "./leader-elector.ts";
import type { Annotations, Lease } from "./lease.ts";
import { LeaseAccess } from "./lease-access.ts";
import { LeaseBook } from "./lease-book.ts";

/** On every Lease of the operator, if there are several shards: their number. */
export const shardsAnnotation = "keyferry.io/shards";

export interface ShardLeasesOptions {
  client: Pick<KubeClient, "get" | "create" | "update">;
  namespace: string;
  /** The name of the common Lease; the names of the others begin with it. */
  name: string;
  /** The number of shards: at least 2. */
  shards: number;
  identity: string;
  timing: LeaseTiming;
  clock: Clock;
  random: Random;
  log: Log;
}

/** The work on shards. */
export interface ShardWork {
  /** Begins the work on a shard, until `over` aborts. */
  begin(shard: number, over: AbortSignal): Term;
  /** The annotations of a shard's Lease, beside the number of shards. */
  annotations(shard: number): Annotations;
  /** Called after a Lease has changed or lapsed. */
  changed(): void;
}

/**
 * Holds a part of the Leases of N shards. There is one common Lease, which carries N; one Lease for each shard; and N
 * member Leases, each of which announces one replica. A replica beyond the Nth finds no member Lease and stands by.
 */
export class ShardLeases {
  readonly book: LeaseBook;
  readonly #options: ShardLeasesOptions;
  readonly #electors = new Map<string, LeaderElector>();
  #wanted: WantedLeases = { common: false, member: undefined, shards: new Set() };
  #work: ShardWork | undefined;
  #timer: Timer | undefined;
  #isOther = false;

  constructor(options: ShardLeasesOptions) {
    const { clock, timing, shards } = options;
    this.#options = options;
    this.book = new LeaseBook(clock, timing.leaseDurationMs);
    this.#add(this.#options.name, () => this.#wanted.common);
    for (let index = 0; index < shards; index++) {
      this.#add(this.memberName(index), () => this.#wanted.member === index);
      const annotations = () => this.#work?.annotations(index) ?? {};
      this.#add(this.shardName(index), () => this.#wanted.shards.has(index), annotations);
    }
  }

  get shards(): number {
    return this.#options.shards;
  }

  get namespace(): string {
    return this.#options.namespace;
  }

  shardName(shard: number): string {
    return `${this.#options.name}-shard-${shard}`;
  }

  memberName(index: number): string {
    return `${this.#options.name}-member-${index}`;
  }

  /** Whether this process may write for a shard. */
  holds(shard: number): boolean {
    return this.#electors.get(this.shardName(shard))?.isLeader ?? false;
  }

  /** The shards that this process may write for. */
  get held(): number[] {
    return Array.from({ length: this.shards }, (_, shard) => shard).filter((shard) => this.holds(shard));
  }

  /** Whether this process may write for any shard. */
  get isLeader(): boolean {
    return this.held.length > 0;
  }

  /** Whether the watch has shown that this process holds a shard, and with it everything older. */
  isShown(shard: number): boolean {
    return this.book.holderOf(this.shardName(shard)) === this.#options.identity;
  }

  /** Why this process can hold no Lease; undefined if it can. */
  get refusal(): string | undefined {
    for (const { refusal } of this.#electors.values()) if (refusal !== undefined) return refusal;
    return undefined;
  }

  /** Whether one of the elections makes no step. */
  get isStuck(): boolean {
    return [...this.#electors.values()].some(({ isStuck }) => isStuck);
  }

  /** Writes the Lease of a shard at once, because its annotations have changed. */
  renew(shard: number): void {
    this.#electors.get(this.shardName(shard))?.poke();
  }

  /** Takes a change of any Lease of the namespace from a watch; undefined if it was deleted. */
  changed(name: string, lease: Lease | undefined): void {
    if (name !== this.#options.name && !name.startsWith(`${this.#options.name}-`)) return;
    this.book.changed(name, lease);
    this.#electors.get(name)?.changed(lease);
    this.#decide();
  }

  /**
   * Holds Leases and works on shards until `signal` aborts. The watch must have shown all Leases before.
   *
   * @throws Error if the work on a lost shard does not end; what the work throws
   */
  async run(signal: AbortSignal, work: ShardWork): Promise<void> {
    this.#work = work;
    this.#decide();
    const shards = new Map(Array.from({ length: this.shards }, (_, shard) => [this.shardName(shard), shard]));
    const running = [...this.#electors].map(([name, elector]) =>
      elector.run(signal, (over) => {
        const shard = shards.get(name);
        const term = shard === undefined ? idle(over) : work.begin(shard, over);
        this.#decide();
        return term;
      }),
    );
    try {
      await Promise.all(running);
    } finally {
      this.#work = undefined;
      this.#timer?.cancel();
    }
  }

  #decide(): void {
    if (!this.#work) return;
    const before = this.#wanted;
    this.#wanted = decideLeases(this.#snapshot());
    const differs = (name: string, a: boolean, b: boolean) => a !== b && this.#electors.get(name)?.poke();
    differs(this.#options.name, before.common, this.#wanted.common);
    for (let index = 0; index < this.shards; index++) {
      differs(this.memberName(index), before.member === index, this.#wanted.member === index);
      differs(this.shardName(index), before.shards.has(index), this.#wanted.shards.has(index));
    }
    this.#work.changed();
    this.#decideAgain();
  }

  /** Decides again when the next Lease lapses. */
  #decideAgain(): void {
    const { clock } = this.#options;
    this.#timer?.cancel();
    const ms = this.book.lapseInMs;
    this.#timer = Number.isFinite(ms) ? clock.setTimer(() => this.#decide(), Math.ceil(ms) + 1) : undefined;
  }

  #snapshot() {
    const { identity, shards, name } = this.#options;
    const indexes = Array.from({ length: shards }, (_, index) => index);
    const agreed = this.book.holderOf(name) === undefined ? undefined : this.#numberOf(name);
    const isOtherNumberAtWork = [...this.book.names()].some((other) => this.#isOfOtherNumber(other));
    this.#tell(agreed, isOtherNumberAtWork);
    const holderOf = (lease: string) => {
      if (this.#electors.get(lease)?.isLeader) return identity;
      // Released, but the watch has not shown it yet.
      const holder = this.book.holderOf(lease);
      return holder === identity ? undefined : holder;
    };
    return {
      ...{ identity, shards, agreed, isOtherNumberAtWork },
      members: indexes.map((index) => holderOf(this.memberName(index))),
      holders: indexes.map((index) => holderOf(this.shardName(index))),
    };
  }

  #tell(agreed: number | undefined, isOtherNumberAtWork: boolean): void {
    const { shards, log } = this.#options;
    const isOther = isOtherNumberAtWork || (agreed !== undefined && agreed !== shards);
    if (isOther && !this.#isOther) log.warn({ shards, agreed }, "replicas with another number of shards work, waiting");
    this.#isOther = isOther;
  }

  #isOfOtherNumber(name: string): boolean {
    const isShard = /^-shard-[0-9]+$/.test(name.slice(this.#options.name.length));
    return isShard && this.book.holderOf(name) !== undefined && this.#numberOf(name) !== this.shards;
  }

  /** The number of shards that a Lease carries. Without an annotation it is of a replica without shards. */
  #numberOf(name: string): number {
    return Number(this.book.get(name)?.metadata.annotations?.[shardsAnnotation] ?? 1);
  }

  #add(name: string, isWanted: () => boolean, annotations: () => Annotations = () => ({})): void {
    const { client, namespace, identity, timing, clock, random, log, shards } = this.#options;
    const elector = new LeaderElector({
      access: new LeaseAccess({ client, clock, namespace, name }),
      ...{ namespace, name, identity, timing, clock, random, isWanted },
      log: withLease(log, name),
      annotations: () => ({ ...annotations(), [shardsAnnotation]: String(shards) }),
    });
    this.#electors.set(name, elector);
  }
}

/** A term without work. */
function idle(over: AbortSignal): Term {
  const drained = aborted(over);
  return { drained, ended: drained.then(() => true) };
}

/** A log that names the Lease in each line. */
function withLease(log: Log, lease: string): Log {
  const line = (level: keyof Log) => (fields: object, message: string) => log[level]({ lease, ...fields }, message);
  return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
}
