import { InWork } from "../../aws/events/in-work.ts";
import type { Health } from "../../aws/events/queue-access.ts";
import { Receiver, type ReceiverOptions } from "../../aws/events/receiver.ts";
import type { Identity } from "../../aws/identity.ts";
import { RecentNotices } from "./recent.ts";

/** A connection that names a queue. */
export interface Member {
  /** A key of `connectionKey`. */
  key: string;
  queueUrl: string;
  /** The queue's canonical key for all spellings of its URL; undefined if there is a problem. */
  queueKey: string | undefined;
  /** Why the URL cannot be used; nothing is received then. */
  problem: string | undefined;
  /** Whether the queue belongs to another account than the identity. */
  isForeign: boolean;
  /** The identity that receives. */
  identity: Identity;
  /** AWS account of the parameters that are read. */
  account: string;
  /** The identities that read parameters, by their keys. */
  readers: Map<string, Identity>;
}

/** The account and region of an event, for which a queue is proved. */
export function placeOf({ account, identity }: Member): string {
  return `${account}/${identity.region}`;
}

export type QueueOptions = Omit<ReceiverOptions, "queueUrl" | "isForeign" | "identity" | "inWork" | "changed"> & {
  /** Milliseconds that names are kept. */
  recentMs: number;
  /** Called after a receiver's health has changed. */
  changed: (identityKey: string) => void;
};

/** A queue with the connections that name it, and one receiver for each of their identities. */
export class Queue {
  /** In the first connection's spelling, for messages and metrics. */
  readonly url: string;
  /** By connection key. */
  readonly members = new Map<string, Member>();
  /** Places for which an event of this queue led to a change that a look found. */
  readonly proved = new Set<string>();
  /** The parameters of recent events, in places where the queue has members. */
  readonly recent: RecentNotices;
  readonly #options: QueueOptions;
  readonly #inWork: InWork;
  readonly #receivers = new Map<string, Receiver>();
  readonly #stopping = new Set<Promise<void>>();

  constructor(url: string, options: QueueOptions) {
    this.url = url;
    this.#options = options;
    this.#inWork = new InWork(options.clock);
    this.recent = new RecentNotices(options.clock, options.recentMs);
  }

  /** Starts a receiver for every identity that has none, and stops the unused ones. */
  receive(): void {
    const wanted = new Map([...this.members.values()].map((member) => [member.identity.key, member]));
    for (const [key, { identity, queueUrl, isForeign }] of wanted) {
      if (this.#receivers.has(key)) continue;
      const changed = () => this.#options.changed(key);
      const inWork = this.#inWork;
      const receiver = new Receiver({ ...this.#options, queueUrl, isForeign, identity, inWork, changed });
      this.#receivers.set(key, receiver);
      receiver.start();
    }
    for (const key of this.#receivers.keys()) if (!wanted.has(key)) this.#stop(key);
  }

  /** Resolves when every receiver has ended, including those stopped earlier. */
  async stop(): Promise<void> {
    for (const key of [...this.#receivers.keys()]) this.#stop(key);
    await Promise.all(this.#stopping);
  }

  health(identityKey: string): Health {
    return this.#receivers.get(identityKey)?.health ?? { state: "pending" };
  }

  /** Whether messages are received: one healthy receiver gets all of them. */
  get isWell(): boolean {
    return [...this.#receivers.values()].some(({ health }) => health.state === "ok");
  }

  /** The connections at a place. */
  membersAt(place: string): Member[] {
    return [...this.members.values()].filter((member) => placeOf(member) === place);
  }

  #stop(key: string): void {
    const stopping = this.#receivers.get(key)!.stop();
    this.#receivers.delete(key);
    this.#stopping.add(stopping);
    void stopping.finally(() => this.#stopping.delete(stopping));
  }
}
