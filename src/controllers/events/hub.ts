import type { ClusterAWSConnection } from "../../api/types.ts";
import type { Identity } from "../../aws/identity.ts";
import type { ParameterNotice } from "../../aws/notice.ts";
import { parseQueueUrl } from "../../aws/queue-url.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import { type Reference, referenceKey } from "../../parameters/reference.ts";
import { type Clock, type Random, sleep, type Timer } from "../../runtime/clock.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Log } from "../../runtime/log.ts";
import type { Asked } from "../conditions.ts";
import type { AnyConnection } from "../connection/resolve.ts";
import { concerns, isAnnouncedByAws } from "./announced.ts";
import { eventsCondition } from "./condition.ts";
import { type Member, placeOf, Queue } from "./queue.ts";
import { RecentNotices } from "./recent.ts";

export interface EventHubOptions {
  observer: {
    /**
     * Looks at what a parameter's name concerns; resolves to the namespace/name of the dependants for which something
     * has changed. Rejects only for defects.
     */
    announced(identity: Identity, account: string, name: string): Promise<readonly string[]>;
    /** Brings the polls of an identity back to their own intervals. */
    replan(identityKey: string): void;
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

/** Milliseconds that an event's dependants may take; the event is then left to come again. */
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
  readonly #recent: RecentNotices;
  /** Changes that no event has announced so far, by the key of the reference. */
  readonly #missing = new Map<string, Timer>();
  readonly #stopping = new Set<Promise<void>>();
  #receives = false;

  constructor(options: EventHubOptions) {
    this.#options = options;
    this.#recent = new RecentNotices(options.clock, lateMs);
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

  /** Takes what a connection has come to. */
  resolved(key: string, connection: AnyConnection, identity: Identity, account: string): void {
    const queueUrl = connection.spec.events?.queueUrl;
    if (queueUrl === undefined) {
      this.removed(key);
      return;
    }
    const endpoints =
      connection.kind === "ClusterAWSConnection" ? (connection as ClusterAWSConnection).spec.endpoints : {};
    const parsed = parseQueueUrl(queueUrl, { region: identity.region, endpoint: endpoints?.sqs });
    const problem = "problem" in parsed ? parsed.problem : undefined;
    const member: Member = { key, queueUrl, problem, identity, account };
    const before = this.#members.get(key);
    if (before && isSame(before, member)) return;
    this.#join(member);
    if (before) this.#leave(before);
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
    const { queueUrl, problem, identity } = member;
    return eventsCondition(queueUrl, problem, this.#queues.get(queueUrl)!.health(identity.key));
  }

  /** Whether the queue that a connection names has proved itself for it. */
  isProved(key: string): boolean {
    const member = this.#members.get(key);
    if (!member) return false;
    const queue = this.#queues.get(member.queueUrl)!;
    return queue.isWell && queue.proved.has(placeOf(member));
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
    if (this.#missing.has(key) || this.#isRecent(reference)) return;
    const timer = this.#options.clock.setTimer(() => {
      this.#missing.delete(key);
      if (this.#isRecent(reference)) return;
      this.#options.metrics.eventsMissed.inc();
      for (const { queue, place } of this.#provedFor(reference)) {
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

  #provedFor(reference: Reference): { queue: Queue; place: string }[] {
    const found: { queue: Queue; place: string }[] = [];
    for (const member of this.#byIdentity.get(reference.identity.key) ?? []) {
      const queue = this.#queues.get(member.queueUrl)!;
      const place = placeOf(member);
      if (!queue.proved.has(place) || !queue.isWell || !isAnnouncedByAws(reference, member.account)) continue;
      found.push({ queue, place });
    }
    return found;
  }

  #isRecent(reference: Reference): boolean {
    const members = [...(this.#byIdentity.get(reference.identity.key) ?? [])];
    return members.some(({ account, identity }) =>
      this.#recent.some(account, identity.region, (name) => concerns(name, reference)),
    );
  }

  #join(member: Member): void {
    const { queueUrl, identity, key } = member;
    this.#members.set(key, member);
    this.#byIdentity.set(identity.key, (this.#byIdentity.get(identity.key) ?? new Set()).add(member));
    const queue = this.#queues.get(queueUrl) ?? this.#newQueue(queueUrl);
    queue.members.set(key, member);
    if (this.#receives) this.#receive(queue);
  }

  #leave(member: Member): void {
    const { queueUrl, identity, key } = member;
    const others = this.#byIdentity.get(identity.key)!;
    others.delete(member);
    if (others.size === 0) this.#byIdentity.delete(identity.key);
    const queue = this.#queues.get(queueUrl)!;
    if (queue.members.get(key) === member) queue.members.delete(key);
    const place = placeOf(member);
    if (queue.proved.has(place)) this.#options.observer.replan(identity.key);
    if (queue.membersAt(place).length === 0) queue.proved.delete(place);
    if (queue.members.size === 0) {
      this.#queues.delete(queueUrl);
      this.#options.metrics.silences.delete(queueUrl);
      this.#track(queue.stop());
    } else if (this.#receives) this.#receive(queue);
  }

  #newQueue(url: string): Queue {
    const { clusterName, clock, random, metrics, log } = this.#options;
    const queue = new Queue(url, {
      ...{ clusterName, clock, random, metrics, log },
      handle: (notice) => this.#handle(queue, notice),
      heard: () => this.#heard(queue),
      changed: (identityKey) => this.#healthChanged(queue, identityKey),
    });
    this.#queues.set(url, queue);
    return queue;
  }

  #receive(queue: Queue): void {
    const { silences } = this.#options.metrics;
    if (queue.receive() === 0) silences.delete(queue.url);
    else if (!silences.has(queue.url)) this.#heard(queue);
  }

  #heard({ url }: Queue): void {
    const { clock, metrics } = this.#options;
    const at = clock.monotonic();
    metrics.silences.set(url, () => (clock.monotonic() - at) / 1_000);
  }

  /** Has everybody look whom a notice concerns. @throws Failure where that was not done in time, or has to be done again */
  async #handle(queue: Queue, notice: ParameterNotice): Promise<void> {
    const { clock } = this.#options;
    this.#recent.add(notice);
    const over = new AbortController();
    const late = sleep(clock, settleWithinMs, over.signal).then(() => false);
    try {
      const isDone = await Promise.race([this.#spread(queue, notice), late]);
      if (!isDone)
        throw new Failure("Unreachable", "retry", "not all of its SyncedSecrets could be brought up to date");
    } finally {
      over.abort();
    }
  }

  async #spread(queue: Queue, { account, region, name }: ParameterNotice): Promise<boolean> {
    const { observer, syncedSecrets } = this.#options;
    const place = `${account}/${region}`;
    const identities = new Map(queue.membersAt(place).map(({ identity }) => [identity.key, identity]));
    const looks = [...identities.values()].map((identity) => observer.announced(identity, account, name));
    const keys = [...new Set((await Promise.all(looks)).flat())];
    if (keys.length === 0) return true;
    this.#prove(queue, place);
    return syncedSecrets.settled(keys);
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
    for (const key of new Set(members.map(({ identity }) => identity.key))) this.#options.observer.replan(key);
  }

  #healthChanged(queue: Queue, identityKey: string): void {
    if (!queue.isWell) for (const place of [...queue.proved]) this.#withdraw(queue, place);
    for (const { key, identity } of queue.members.values()) {
      if (identity.key === identityKey) this.#options.changed(key);
    }
  }

  #track(stopping: Promise<void>): void {
    this.#stopping.add(stopping);
    void stopping.finally(() => this.#stopping.delete(stopping));
  }
}

function isSame(a: Member, b: Member): boolean {
  return (
    a.queueUrl === b.queueUrl && a.problem === b.problem && a.identity.key === b.identity.key && a.account === b.account
  );
}
