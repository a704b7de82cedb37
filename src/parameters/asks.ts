import type { Waiters } from "../runtime/cancellation.ts";
import { FairQueue, type Waiting } from "../runtime/fair-queue.ts";
import { type Lane, moreUrgent, priorityOf } from "../runtime/lane.ts";
import type { Read } from "./reader.ts";

/** One name that is to be read. */
export interface Ask {
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
interface Place extends Waiting {
  readonly name: string;
}

/** An ask that waits, and its place in the turns of each namespace that wants it. */
interface Queued {
  readonly ask: Ask;
  readonly places: Map<string, Place>;
}

/** What is asked of one identity, with or without decryption, and not yet sent. Within a lane, namespaces take turns. */
export class Asks {
  #queue = new FairQueue<Place>();
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

  get(name: string): Ask | undefined {
    return this.#queued.get(name)?.ask;
  }

  /** @param flow whose ask it is: a namespace */
  add(ask: Ask, flow: string): void {
    const queued = { ask, places: new Map<string, Place>() };
    this.#queued.set(ask.name, queued);
    this.#queue.push(placeOf(queued, flow));
    this.#count(ask.lane, 1);
  }

  /**
   * Moves an ask that waits into a more urgent lane; in its own lane, gives it a place among another namespace's too,
   * and the first that is taken answers both.
   *
   * @returns whether it is in another lane now
   */
  hurry(ask: Ask, lane: Lane, flow: string): boolean {
    const queued = this.#queued.get(ask.name)!;
    if (moreUrgent(ask.lane, lane) === ask.lane) {
      if (ask.lane === lane && !queued.places.has(flow)) this.#queue.push(placeOf(queued, flow));
      return false;
    }
    const flows = [...queued.places.keys()].filter((other) => other !== flow);
    withdraw(queued);
    this.#count(ask.lane, -1);
    ask.lane = lane;
    this.add(ask, flow);
    const hurried = this.#queued.get(ask.name)!;
    for (const other of flows) this.#queue.push(placeOf(hurried, other));
    return true;
  }

  /** Takes an ask out, from the lane that was granted a call, or else the most urgent. */
  take(granted: Lane): Ask | undefined {
    const place = this.#queue.takeOf(priorityOf(granted)) ?? this.#queue.take();
    if (!place) return undefined;
    const queued = this.#queued.get(place.name)!;
    withdraw(queued);
    this.#queued.delete(place.name);
    this.#count(queued.ask.lane, -1);
    if (this.#queued.size === 0) this.#queue = new FairQueue();
    return queued.ask;
  }

  #count(lane: Lane, by: number): void {
    this.#depth.set(lane, this.depth(lane) + by);
  }
}

/** Makes an ask's place in the turns of a namespace. */
function placeOf({ ask, places }: Queued, flow: string): Place {
  const place = { name: ask.name, flow, priority: priorityOf(ask.lane), withdrawn: false };
  places.set(flow, place);
  return place;
}

function withdraw({ places }: Queued): void {
  for (const place of places.values()) place.withdrawn = true;
}
