import type { Waiters } from "../runtime/cancellation.ts";
import { FairQueue, type Waiting } from "../runtime/fair-queue.ts";
import { type Lane, moreUrgent, priorityOf } from "../runtime/lane.ts";
import type { Read } from "./reader.ts";

/** One name that is to be read. */
export interface PendingRead {
  readonly name: string;
  readonly decrypt: boolean;
  lane: Lane;
  /** Whether it is to be found out what is missing about a name that AWS calls invalid. */
  asksWhy: boolean;
  /** Whose turn its calls take. */
  readonly namespace: string;
  /** Who waits for the answer: an ask that nobody wants any more is left out of its call. */
  readonly waiters: Waiters;
  readonly answer: Promise<Read>;
  readonly resolve: (read: Read) => void;
  /** Has whoever waits be told that nobody does any more. */
  readonly cancel: () => void;
}

/** Names the ask and does not hold it: a place that was withdrawn may stay in the queue after the answer. */
interface Turn extends Waiting {
  readonly name: string;
}

/** An ask that waits, and its place in the turns of each namespace that wants it. */
interface Queued {
  readonly pendingRead: PendingRead;
  readonly turns: Map<string, Turn>;
}

/** What is asked of one identity, with or without decryption, and not yet sent. Within a lane, namespaces take turns. */
export class PendingReads {
  #queue = new FairQueue<Turn>();
  readonly #queued = new Map<string, Queued>();
  /** Asks that wait, by lane. */
  readonly #depth = new Map<Lane, number>();

  get size(): number {
    return this.#queued.size;
  }

  /** Asks that wait in a lane. */
  depth(lane: Lane): number {
    return this.#depth.get(lane) ?? 0;
  }

  get(name: string): PendingRead | undefined {
    return this.#queued.get(name)?.pendingRead;
  }

  /** @param flow whose ask it is: a namespace */
  add(pendingRead: PendingRead, flow: string): void {
    const queued = { pendingRead, turns: new Map<string, Turn>() };
    this.#queued.set(pendingRead.name, queued);
    this.#queue.push(turnOf(queued, flow));
    this.#count(pendingRead.lane, 1);
  }

  /**
   * Moves an ask that waits into a more urgent lane; in its own lane, gives it a place among another namespace's too,
   * and the first that is taken answers both.
   *
   * @returns whether it is in another lane now
   */
  hurry(pendingRead: PendingRead, lane: Lane, flow: string): boolean {
    const queued = this.#queued.get(pendingRead.name)!;
    if (moreUrgent(pendingRead.lane, lane) === pendingRead.lane) {
      if (pendingRead.lane === lane && !queued.turns.has(flow)) this.#queue.push(turnOf(queued, flow));
      return false;
    }
    const flows = [...queued.turns.keys()].filter((other) => other !== flow);
    withdraw(queued);
    this.#count(pendingRead.lane, -1);
    pendingRead.lane = lane;
    this.add(pendingRead, flow);
    const hurried = this.#queued.get(pendingRead.name)!;
    for (const other of flows) this.#queue.push(turnOf(hurried, other));
    return true;
  }

  /** Takes an ask out, from the lane that was granted a call, or else the most urgent. */
  take(granted: Lane): PendingRead | undefined {
    const turn = this.#queue.takeOf(priorityOf(granted)) ?? this.#queue.take();
    if (!turn) return undefined;
    const queued = this.#queued.get(turn.name)!;
    withdraw(queued);
    this.#queued.delete(turn.name);
    this.#count(queued.pendingRead.lane, -1);
    if (this.#queued.size === 0) this.#queue = new FairQueue();
    return queued.pendingRead;
  }

  #count(lane: Lane, by: number): void {
    this.#depth.set(lane, this.depth(lane) + by);
  }
}

/** Makes an ask's place in the turns of a namespace. */
function turnOf({ pendingRead, turns }: Queued, flow: string): Turn {
  const turn = { name: pendingRead.name, flow, priority: priorityOf(pendingRead.lane), withdrawn: false };
  turns.set(flow, turn);
  return turn;
}

function withdraw({ turns }: Queued): void {
  for (const turn of turns.values()) turn.withdrawn = true;
}
