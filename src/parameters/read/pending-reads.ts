import type { ParameterRecord } from "../../aws/ssm.ts";
import type { Waiters } from "../../runtime/cancellation.ts";
import type { Failure } from "../../runtime/failure.ts";
import { FairQueue, type Waiting } from "../../runtime/fair-queue.ts";
import { type Lane, moreUrgent, priorityOf } from "../../runtime/lane.ts";
import type { Span } from "../../runtime/tracing.ts";

/** AWS's answer for one name. The observer decides whether a `missing` parameter has been deleted. */
export type Read =
  | { state: "found"; record: ParameterRecord }
  | { state: "missing"; reason: "ParameterNotFound" | "VersionNotFound"; requestId?: string | undefined }
  | { state: "failed"; failure: Failure };

/** A read that has not been sent. */
export interface PendingRead {
  readonly name: string;
  readonly decrypt: boolean;
  lane: Lane;
  /** Whether to find out why AWS calls the name invalid. */
  asksWhy: boolean;
  /** The namespace that its calls are queued under. */
  readonly namespace: string;
  /** The callers that wait for the answer: a read that none of them wants is left out of its call. */
  readonly waiters: Waiters;
  /** The spans of the callers: its call is a step of each. */
  span: Span;
  readonly answer: Promise<Read>;
  readonly resolve: (read: Read) => void;
  /** Rejects the answer with Canceled. */
  readonly cancel: () => void;
}

/** Refers to the read by name: a withdrawn turn may stay in the queue after the answer and must not retain the read. */
interface Turn extends Waiting {
  readonly name: string;
}

/** A pending read, and its turn in the queue of each namespace that wants it. */
interface Queued {
  readonly pendingRead: PendingRead;
  readonly turns: Map<string, Turn>;
}

/** The pending reads of one identity, with or without decryption. Within a lane, namespaces take turns. */
export class PendingReads {
  #queue = new FairQueue<Turn>();
  readonly #queued = new Map<string, Queued>();
  /** Pending reads, by lane. */
  readonly #depth = new Map<Lane, number>();

  get size(): number {
    return this.#queued.size;
  }

  /** How many reads are pending in a lane. */
  depth(lane: Lane): number {
    return this.#depth.get(lane) ?? 0;
  }

  get(name: string): PendingRead | undefined {
    return this.#queued.get(name)?.pendingRead;
  }

  /** @param flow the namespace that the read is for */
  add(pendingRead: PendingRead, flow: string): void {
    const queued = { pendingRead, turns: new Map<string, Turn>() };
    this.#queued.set(pendingRead.name, queued);
    this.#queue.push(turnOf(queued, flow));
    this.#count(pendingRead.lane, 1);
  }

  /**
   * Moves a pending read into a more urgent lane. In its own lane, gives it a turn in another namespace as well; the
   * first turn taken answers both.
   *
   * @returns whether the read has changed its lane
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

  /** Takes a read from the lane that was granted a call, or else the most urgent one. */
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

/** Makes a read's turn in a namespace. */
function turnOf({ pendingRead, turns }: Queued, flow: string): Turn {
  const turn = { name: pendingRead.name, flow, priority: priorityOf(pendingRead.lane), withdrawn: false };
  turns.set(flow, turn);
  return turn;
}

function withdraw({ turns }: Queued): void {
  for (const turn of turns.values()) turn.withdrawn = true;
}
