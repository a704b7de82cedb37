import type { Identity } from "../../aws/identity.ts";
import type { KeyNotice, ParameterNotice } from "../../aws/notice.ts";
import { parseQueueUrl } from "../../aws/queue-url.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import { type Reference, referenceKey } from "../../parameters/reference.ts";
import type { Announced } from "../../parameters/subscription.ts";
import { type Clock, type Random, sleep, type Timer } from "../../runtime/clock.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Log } from "../../runtime/log.ts";
import type { Asked } from "../conditions.ts";
import { type AnyConnection, sqsEndpoint } from "../connection/resolve.ts";
import { isAnnouncedByAws } from "./announced.ts";
import { eventsCondition } from "./condition.ts";
import { type Member, placeOf, Queue } from "./queue.ts";

export interface EventHubOptions {
  observer: {
    /** Looks at what a parameter's name concerns. Rejects only for defects. */
    announced(identity: Identity, account: string, name: string): Promise<Announced>;
    /** Brings the polls of an identity back to their own intervals. */
    replan(identityKey: string): void;
  };
  keys: {
    /** Looks at a KMS key as the identities that use it. Rejects only for defects. */
    announced(
      identityKeys: ReadonlySet<string>,
      arn: string,
    ): Promise<{ isHeard: boolean; dependants: readonly string[] }>;
  };
  syncedSecrets: {
    /** Resolves when the next reconciles of these have ended: true where none of them has to be tried again. */
    settled(keys: readonly string[]): Promise<boolean>;
  };
  /** The operator's `--cluster-name`; empty where it has none. */
  clusterName: string;
  clock: Clock;
  random: Random;
  metrics: Metrics;
  log: Log;
  /** Called with a connection's key when its condition may have changed. */
  changed: (connectionKey: string) => void;
}

/** Milliseconds that an event's dependants may take after the look; the event is then left to come again. */
export const settleWithinMs = 20_000;
/** Milliseconds before and after a change was found in which its event may come: events are late, and not in order. */
export const lateMs = 60_000;

/**
 * Turns the events of connections' queues into looks, and knows whose polls may therefore be fewer. A queue is believed
 * to announce what happens in an account and region once it has done so: never after a start, and not any more when a
 * poll finds what it has kept from us, or when it is not received from.
 */
export class EventHub {
  readonly #options: EventHubOptions;
  readonly #members = new Map<string, Member>();
  readonly #byIdentity = new Map<string, Set<Member>>();
  readonly #queues = new Map<string, Queue>();
  /** Changes that no event has announced so far, by the key of the reference. */
  readonly #missing = new Map<string, Timer>();
  readonly #stopping = new Set<Promise<void>>();
  #receives = false;

  constructor(options: EventHubOptions) {
    this.#options = options;
  }

  /** Receives from here on: of several replicas, only the one that leads may, or each would see a part. */
  begin(): void {
    this.#receives = true;
    for (const queue of this.#queues.values()) this.#receive(queue);
  }

  /** Receives no more, and resolves when nothing is under way. What was not done with comes again to whoever is next. */
  async stop(): Promise<void> {
    this.#receives = false;
    for (const timer of this.#missing.values()) timer.cancel();
    this.#missing.clear();
    for (const queue of this.#queues.values()) {
      this.#options.metrics.silences.delete(queue.url);
      this.#track(queue.stop());
    }
    await Promise.all(this.#stopping);
  }

  /** Takes what a connection has come to, and who reads for it. */
  resolved(
    key: string,
    connection: AnyConnection,
    { receiver: identity, receiverAccount, account, readers }: Resolved,
  ): void {
    const queueUrl = connection.spec.events?.queueUrl;
    if (queueUrl === undefined) {
      this.removed(key);
      return;
    }
    const { region } = identity;
    const parsed = parseQueueUrl(queueUrl, { region, endpoint: sqsEndpoint(connection) });
    const problem = "problem" in parsed ? parsed.problem : undefined;
    const queue = "queue" in parsed ? parsed.queue : undefined;
    const queueKey = queue && [queue.origin, region, queue.account, queue.name].join(" ");
    const isForeign = queue !== undefined && queue.account !== receiverAccount;
    const reading = new Map(readers.map((reader) => [reader.key, reader]));
    const member: Member = { key, queueUrl, queueKey, problem, isForeign, identity, account, readers: reading };
    const before = this.#members.get(key);
    if (before && isSame(before, member)) return;
    this.#join(member);
    if (before) this.#leave(before);
  }

  /** Takes word of an identity that comes to read for a connection. */
  joined(key: string, identity: Identity): void {
    const member = this.#members.get(key);
    if (!member || member.identity.region !== identity.region) return;
    member.readers.set(identity.key, identity);
    this.#index(member, identity.key);
  }

  /** Takes word that an identity reads no more for a connection. */
  left(key: string, identityKey: string): void {
    const member = this.#members.get(key);
    if (!member?.readers.delete(identityKey)) return;
    this.#unindex(member, identityKey);
  }

  /** Takes word that a connection is no more, or grants nothing at the moment. */
  removed(key: string): void {
    const before = this.#members.get(key);
    if (!before) return;
    this.#members.delete(key);
    this.#leave(before);
  }

  /** What a connection says of its queue; undefined where it names none, or nothing is known yet. */
  condition(key: string): Asked | undefined {
    const member = this.#members.get(key);
    if (!member) return undefined;
    return eventsCondition(member, this.#queueOf(member)?.health(member.identity.key) ?? { state: "pending" });
  }

  /** Whether the queue that a connection names has proved itself for it. */
  isProved(key: string): boolean {
    const member = this.#members.get(key);
    return member !== undefined && this.#proof(member) !== undefined;
  }

  /** Whether changes of a reference can be relied upon to be announced, so that its polls may be fewer. */
  isAnnounced(reference: Reference): boolean {
    return this.#provedFor(reference).length > 0;
  }

  /**
   * Takes word that a poll found a change of an announced reference. Where no event has been about it, nor comes while
   * it may still be late, its queue is not believed any more.
   */
  missed(reference: Reference): void {
    const key = referenceKey(reference);
    if (this.#missing.has(key)) return;
    const proofs = this.#provedFor(reference);
    const isRecent = () => proofs.some(({ queue, place }) => queue.recent.has(place, reference));
    if (isRecent()) return;
    const timer = this.#options.clock.setTimer(() => {
      this.#missing.delete(key);
      if (isRecent()) return;
      this.#options.metrics.eventsMissed.inc();
      for (const { queue, place } of proofs) {
        if (!queue.proved.has(place)) continue;
        const what = reference.kind === "path" ? reference.path : reference.name;
        this.#options.log.warn(
          { queue: queue.url, parameter: what },
          "a change was not announced; polls are not stretched any more",
        );
        this.#withdraw(queue, place);
      }
    }, lateMs);
    this.#missing.set(key, timer);
  }

  #provedFor(reference: Reference): Proof[] {
    return [...(this.#byIdentity.get(reference.identity.key) ?? [])].flatMap((member) => {
      const proof = isAnnouncedByAws(reference, member.account) ? this.#proof(member) : undefined;
      return proof ? [proof] : [];
    });
  }

  /** By what a member's place is proved: another's receiver is no word on what its own identity may. */
  #proof(member: Member): Proof | undefined {
    const queue = this.#queueOf(member);
    const place = placeOf(member);
    if (!queue?.proved.has(place) || queue.health(member.identity.key).state !== "ok") return undefined;
    return { queue, place };
  }

  #queueOf({ queueKey }: Member): Queue | undefined {
    return queueKey === undefined ? undefined : this.#queues.get(queueKey);
  }

  #join(member: Member): void {
    const { queueKey, queueUrl, key } = member;
    this.#members.set(key, member);
    for (const identityKey of member.readers.keys()) this.#index(member, identityKey);
    if (queueKey === undefined) return;
    const queue = this.#queues.get(queueKey) ?? this.#newQueue(queueUrl);
    this.#queues.set(queueKey, queue);
    queue.members.set(key, member);
    if (this.#receives) this.#receive(queue);
  }

  #leave(member: Member): void {
    const { queueKey, key } = member;
    for (const identityKey of member.readers.keys()) this.#unindex(member, identityKey);
    const queue = this.#queueOf(member);
    if (!queue) return;
    if (queue.members.get(key) === member) queue.members.delete(key);
    const place = placeOf(member);
    const wasProved = queue.proved.has(place);
    if (queue.membersAt(place).length === 0) queue.proved.delete(place);
    if (queue.members.size === 0) {
      this.#queues.delete(queueKey!);
      this.#options.metrics.silences.delete(queue.url);
      this.#track(queue.stop());
    } else if (this.#receives) {
      this.#receive(queue);
      this.#withdrawWhereSilent(queue);
    }
    if (wasProved) for (const identityKey of member.readers.keys()) this.#options.observer.replan(identityKey);
  }

  #index(member: Member, identityKey: string): void {
    this.#byIdentity.set(identityKey, (this.#byIdentity.get(identityKey) ?? new Set()).add(member));
  }

  #unindex(member: Member, identityKey: string): void {
    const members = this.#byIdentity.get(identityKey);
    members?.delete(member);
    if (members?.size === 0) this.#byIdentity.delete(identityKey);
  }

  #newQueue(url: string): Queue {
    const { clusterName, clock, random, metrics, log } = this.#options;
    const queue = new Queue(url, {
      ...{ clusterName, clock, random, metrics, log, recentMs: lateMs },
      handle: (notice) => (notice.kind === "key" ? this.#handleKey(queue, notice) : this.#handle(queue, notice)),
      heard: () => this.#heard(queue),
      changed: (identityKey) => this.#healthChanged(queue, identityKey),
    });
    return queue;
  }

  #receive(queue: Queue): void {
    const { silences } = this.#options.metrics;
    queue.receive();
    if (!silences.has(queue.url)) this.#heard(queue);
  }

  #heard({ url }: Queue): void {
    const { clock, metrics } = this.#options;
    const at = clock.monotonic();
    metrics.silences.set(url, () => (clock.monotonic() - at) / 1_000);
  }

  /**
   * Has everybody look whom a notice concerns, and waits for what depends on it to be written: also where this look saw
   * nothing new, for the look of an earlier delivery may have, and that has not been written yet.
   *
   * @throws Failure where that was not done in time, or has to be done again
   */
  async #handle(queue: Queue, { account, region, name }: ParameterNotice): Promise<void> {
    const { observer } = this.#options;
    const place = `${account}/${region}`;
    const identities = new Map(queue.membersAt(place).flatMap(({ readers }) => [...readers]));
    if (identities.size === 0) return;
    queue.recent.add(place, name);
    const looks = [...identities.values()].map((identity) => observer.announced(identity, account, name));
    const seen = await Promise.all(looks);
    if (seen.some(({ changed }) => changed)) this.#prove(queue, place);
    if (!seen.every(({ isHeard }) => isHeard)) {
      throw new Failure("Unreachable", "retry", "what it concerns could not be looked at");
    }
    if (!(await this.#areSettled([...new Set(seen.flatMap(({ dependants }) => dependants))]))) {
      throw new Failure("Unreachable", "retry", "not all of its SyncedSecrets could be brought up to date");
    }
  }

  /**
   * Has a key looked at by every connection of the queue that uses it: also where the key is of another account, whose
   * events are sent on to this queue. It proves nothing of what the queue announces of parameters.
   *
   * @throws Failure where that was not done in time, or has to be done again
   */
  async #handleKey(queue: Queue, { name }: KeyNotice): Promise<void> {
    const identities = new Set([...queue.members.values()].flatMap(({ readers }) => [...readers.keys()]));
    const { isHeard, dependants } = await this.#options.keys.announced(identities, name);
    if (!isHeard) throw new Failure("Unreachable", "retry", "the key could not be looked at");
    if (!(await this.#areSettled([...new Set(dependants)]))) {
      throw new Failure("Unreachable", "retry", "not all of its SyncedSecrets could be brought up to date");
    }
  }

  async #areSettled(keys: readonly string[]): Promise<boolean> {
    const { clock, syncedSecrets } = this.#options;
    const over = new AbortController();
    const late = sleep(clock, settleWithinMs, over.signal).then(() => false);
    try {
      return await Promise.race([syncedSecrets.settled(keys), late]);
    } finally {
      over.abort();
    }
  }

  #prove(queue: Queue, place: string): void {
    if (queue.proved.has(place) || !queue.isWell || queue.membersAt(place).length === 0) return;
    queue.proved.add(place);
    for (const { key } of queue.membersAt(place)) this.#options.changed(key);
    this.#options.log.info({ queue: queue.url, place }, "a queue announces changes; polls are stretched");
  }

  #withdraw(queue: Queue, place: string): void {
    if (!queue.proved.delete(place)) return;
    const members = queue.membersAt(place);
    for (const { key } of members) this.#options.changed(key);
    this.#replan(members);
  }

  #withdrawWhereSilent(queue: Queue): void {
    if (!queue.isWell) for (const place of [...queue.proved]) this.#withdraw(queue, place);
  }

  #healthChanged(queue: Queue, identityKey: string): void {
    this.#withdrawWhereSilent(queue);
    const concerned = [...queue.members.values()].filter(({ identity }) => identity.key === identityKey);
    if (queue.proved.size > 0 && queue.health(identityKey).state !== "ok") this.#replan(concerned);
    for (const { key } of concerned) this.#options.changed(key);
  }

  #replan(members: readonly Member[]): void {
    const keys = new Set(members.flatMap(({ readers }) => [...readers.keys()]));
    for (const key of keys) this.#options.observer.replan(key);
  }

  #track(stopping: Promise<void>): void {
    this.#stopping.add(stopping);
    void stopping.finally(() => this.#stopping.delete(stopping));
  }
}

/** What a connection with a queue has come to. */
export interface Resolved {
  /** Who receives. */
  receiver: Identity;
  /** Of whoever receives. */
  receiverAccount: string;
  /** AWS account of the parameters that are read. */
  account: string;
  /** The identities that read parameters so far; `joined` and `left` tell of the others. */
  readers: readonly Identity[];
}

/** What a queue has proved. */
interface Proof {
  queue: Queue;
  place: string;
}

function isSame(a: Member, b: Member): boolean {
  return (
    a.queueUrl === b.queueUrl &&
    a.problem === b.problem &&
    a.isForeign === b.isForeign &&
    a.identity.key === b.identity.key &&
    a.account === b.account &&
    [...b.readers.keys()].every((key) => a.readers.has(key))
  );
}
