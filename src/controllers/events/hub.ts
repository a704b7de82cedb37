import type { AnyConnection } from "../../api/any-connection.ts";
import type { KeyNotice, ParameterNotice } from "../../aws/events/notice.ts";
import { parseQueueUrl } from "../../aws/events/queue-url.ts";
import type { Identity } from "../../aws/identity.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import { type Reference, referenceKey } from "../../parameters/read/reference.ts";
import type { Announced } from "../../parameters/subscription.ts";
import { type Clock, type Random, sleep, type Timer } from "../../runtime/clock.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Log } from "../../runtime/log.ts";
import type { Asked } from "../conditions.ts";
import { sqsEndpoint } from "../endpoints.ts";
import { isAnnouncedByAws } from "./announced.ts";
import { eventsCondition } from "./condition.ts";
import { type Member, placeOf, Queue } from "./queue.ts";

export interface EventHubOptions {
  observer: {
    /** Looks at the references that a parameter's name concerns. Rejects only for defects. */
    announced(identity: Identity, account: string, name: string): Promise<Announced>;
    /** Restores an identity's poll intervals. */
    replan(identityKey: string): void;
  };
  keys: {
    /** Checks a KMS key with the identities that use it. Rejects only for defects. */
    announced(
      identityKeys: ReadonlySet<string>,
      arn: string,
    ): Promise<{ isHeard: boolean; dependants: readonly string[] }>;
  };
  syncedSecrets: {
    /** Resolves when the next reconcile of each key has finished: true if none of them has to be retried. */
    settled(keys: readonly string[]): Promise<boolean>;
  };
  /** The operator's `--cluster-name`; empty if not set. */
  clusterName: string;
  clock: Clock;
  random: Random;
  metrics: Metrics;
  log: Log;
  /** Called with a connection's key when its condition may have changed. */
  changed: (connectionKey: string) => void;
}

/** Milliseconds that dependants may take after the look. After that, the message is left for redelivery. */
export const settleWithinMs = 20_000;
/**
 * Milliseconds before and after a detected change in which its event may arrive: events may be late and out of order.
 */
export const lateMs = 60_000;

/**
 * Turns the events of connections' queues into looks, and decides whose polls may be stretched. A queue is proved for
 * an account and region by an event that led to a change. A restart, a change that only a poll found, or a failure to
 * receive revokes the proof.
 */
export class EventHub {
  readonly #options: EventHubOptions;
  readonly #members = new Map<string, Member>();
  readonly #byIdentity = new Map<string, Set<Member>>();
  readonly #queues = new Map<string, Queue>();
  /** Detected changes without an event so far, by the key of the reference. */
  readonly #missing = new Map<string, Timer>();
  readonly #stopping = new Set<Promise<void>>();
  #receives = false;

  constructor(options: EventHubOptions) {
    this.#options = options;
  }

  /** Starts to receive. Only the leader may: several replicas would each get a part of the messages. */
  begin(): void {
    this.#receives = true;
    for (const queue of this.#queues.values()) this.#receive(queue);
  }

  /**
   * Stops receiving, and resolves when nothing is in flight. Unfinished messages are redelivered to the next leader.
   */
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

  /** Takes a resolved connection and its readers. */
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
    const reading = new Map(readers.filter((one) => isIn(one, account)).map((reader) => [reader.key, reader]));
    const member: Member = { key, queueUrl, queueKey, problem, isForeign, identity, account, readers: reading };
    const before = this.#members.get(key);
    if (before && isSame(before, member)) return;
    this.#join(member);
    if (before) this.#leave(before);
  }

  /** Adds an identity that reads for a connection. */
  joined(key: string, identity: Identity): void {
    const member = this.#members.get(key);
    if (!member || member.identity.region !== identity.region || !isIn(identity, member.account)) return;
    member.readers.set(identity.key, identity);
    this.#index(member, identity.key);
  }

  /** Removes an identity that no longer reads for a connection. */
  left(key: string, identityKey: string): void {
    const member = this.#members.get(key);
    if (!member?.readers.delete(identityKey)) return;
    this.#unindex(member, identityKey);
  }

  /** Removes a connection that was deleted or currently grants nothing. */
  removed(key: string): void {
    const before = this.#members.get(key);
    if (!before) return;
    this.#members.delete(key);
    this.#leave(before);
  }

  /** The queue condition of a connection; undefined if it names no queue or the state is unknown. */
  condition(key: string): Asked | undefined {
    const member = this.#members.get(key);
    if (!member) return undefined;
    return eventsCondition(member, this.#queueOf(member)?.health(member.identity.key) ?? { state: "pending" });
  }

  /** Whether a connection's queue is proved for it. */
  isProved(key: string): boolean {
    const member = this.#members.get(key);
    return member !== undefined && this.#proof(member) !== undefined;
  }

  /** Whether changes of a reference are reliably announced, so that its polls may be stretched. */
  isAnnounced(reference: Reference): boolean {
    return this.#provedFor(reference).length > 0;
  }

  /**
   * Handles a change of an announced reference that a poll found. If no event for it has arrived or arrives within the
   * allowed delay, the queue's proof is revoked.
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
          "change was not announced by an event, no longer stretching polls",
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

  /**
   * The proof for a member. Its own identity's receiver must be healthy: another receiver does not show what this
   * identity may do.
   */
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
    if (!this.#receives) return;
    const { clock, metrics } = this.#options;
    const at = clock.monotonic();
    metrics.silences.set(url, () => (clock.monotonic() - at) / 1_000);
  }

  /**
   * Looks with every identity that a notice concerns, and waits until the dependants are written. It waits even if this
   * look found no change: the look of an earlier delivery may have, without a write so far.
   *
   * @throws Failure if this was not done in time, or must be repeated
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
      throw new Failure("Unreachable", "retry", "its parameter could not be checked");
    }
    if (!(await this.#areSettled([...new Set(seen.flatMap(({ dependants }) => dependants))]))) {
      throw new Failure("Unreachable", "retry", "not all of its SyncedSecrets were updated in time");
    }
  }

  /**
   * Checks a key for every connection of the queue that uses it, also for a key of another account whose events are
   * forwarded to this queue. It proves nothing about the queue's parameter events.
   *
   * @throws Failure if this was not done in time, or must be repeated
   */
  async #handleKey(queue: Queue, { name }: KeyNotice): Promise<void> {
    const identities = new Set([...queue.members.values()].flatMap(({ readers }) => [...readers.keys()]));
    const { isHeard, dependants } = await this.#options.keys.announced(identities, name);
    if (!isHeard) throw new Failure("Unreachable", "retry", "the key could not be checked");
    if (!(await this.#areSettled([...new Set(dependants)]))) {
      throw new Failure("Unreachable", "retry", "not all of its SyncedSecrets were updated in time");
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
    this.#options.log.info({ queue: queue.url, place }, "queue announces changes, stretching polls");
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

/** A resolved connection with a queue. */
export interface Resolved {
  /** The identity that receives. */
  receiver: Identity;
  /** The receiver's AWS account. */
  receiverAccount: string;
  /** AWS account of the parameters that are read. */
  account: string;
  /** The identities that read parameters so far; `joined` and `left` report later changes. */
  readers: readonly Identity[];
}

/** A proved queue. */
interface Proof {
  queue: Queue;
  place: string;
}

/** Reports whether an identity may read in an account; one without a role is where its connection is. */
function isIn({ account }: Identity, of: string): boolean {
  return account === undefined || account === of;
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
