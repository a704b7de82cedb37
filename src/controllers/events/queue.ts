import type { Identity } from "../../aws/identity.ts";
import { InWork } from "../../aws/in-work.ts";
import type { Health } from "../../aws/queue-access.ts";
import { Receiver, type ReceiverOptions } from "../../aws/receiver.ts";
import { RecentNotices } from "./recent.ts";

/** A connection that names a queue. */
export interface Member {
  /** As `connectionKey` makes them. */
  key: string;
  queueUrl: string;
  /** The one queue that the URL is a spelling of; undefined where there is a problem. */
  queueKey: string | undefined;
  /** Why the URL is of no use; nothing is then received. */
  problem: string | undefined;
  /** Whether the queue is of another account than the identity. */
  isForeign: boolean;
  /** Receives. */
  identity: Identity;
  /** AWS account of the parameters that are read. */
  account: string;
  /** The identities that read parameters, by their keys. */
  readers: Map<string, Identity>;
}

/** Where an event happened, and so what a queue proves itself for. */
export function placeOf({ account, identity }: Member): string {
  return `${account}/${identity.region}`;
}

export type QueueOptions = Omit<ReceiverOptions, "queueUrl" | "isForeign" | "identity" | "inWork" | "changed"> & {
  /** Milliseconds that names are remembered. */
  recentMs: number;
  /** Called when a receiver's health has changed, after it has. */
  changed: (identityKey: string) => void;
};

/** A queue with the connections that name it, and a receiver for each identity among them. */
export class Queue {
  /** As the first connection spells it, for messages and metrics. */
  readonly url: string;
  /** By their keys. */
  readonly members = new Map<string, Member>();
  /** Places for which an event of this queue has led to a change that a look found. */
  readonly proved = new Set<string>();
  /** What its events have lately been about, in places where it has members. */
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

  /** Starts a receiver for every identity that has none, and stops those that nobody needs. */
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

  /** Resolves when every receiver has ended, those that were stopped before too. */
  async stop(): Promise<void> {
    for (const key of [...this.#receivers.keys()]) this.#stop(key);
    await Promise.all(this.#stopping);
  }

  health(identityKey: string): Health {
    return this.#receivers.get(identityKey)?.health ?? { state: "pending" };
  }

  /** Whether messages come: one receiver is enough to get them all. */
  get isWell(): boolean {
    return [...this.#receivers.values()].some(({ health }) => health.state === "ok");
  }

  /** The connections of a place. */
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
