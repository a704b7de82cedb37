import { FairQueue, type Waiting } from "../runtime/fair-queue.ts";
import { type Lane, moreUrgent, priorityOf } from "../runtime/lane.ts";
import type { Read } from "./reader.ts";

/** One name that is to be read. */
export interface Ask {
  readonly name: string;
  readonly decrypt: boolean;
  lane: Lane;
  readonly answer: Promise<Read>;
  readonly resolve: (read: Read) => void;
}

interface Place extends Waiting {
  readonly ask: Ask;
}

/** What is asked of one identity, with or without decryption, and not yet sent. Within a lane, namespaces take turns. */
export class Asks {
  readonly #queue = new FairQueue<Place>();
  readonly #places = new Map<string, Place>();
  /** Asks that wait, by lane. */
  readonly #depth = new Map<Lane, number>();

  get size(): number {
    return this.#places.size;
  }

  /** Asks that wait in a lane. */
  depth(lane: Lane): number {
    return this.#depth.get(lane) ?? 0;
  }

  get(name: string): Ask | undefined {
    return this.#places.get(name)?.ask;
  }

  /** @param flow whose ask it is: a namespace */
  add(ask: Ask, flow: string): void {
    const place = { ask, flow, priority: priorityOf(ask.lane), withdrawn: false };
    this.#places.set(ask.name, place);
    this.#queue.push(place);
    this.#count(ask.lane, 1);
  }

  /** Moves an ask that waits into a more urgent lane. @returns whether it was moved */
  hurry(ask: Ask, lane: Lane, flow: string): boolean {
    if (moreUrgent(ask.lane, lane) === ask.lane) return false;
    this.#places.get(ask.name)!.withdrawn = true;
    this.#count(ask.lane, -1);
    ask.lane = lane;
    this.add(ask, flow);
    return true;
  }

  /** Takes an ask out, from the lane that was granted a call, or else the most urgent. */
  take(granted: Lane): Ask | undefined {
    const place = this.#queue.takeOf(priorityOf(granted)) ?? this.#queue.take();
    if (!place) return undefined;
    this.#places.delete(place.ask.name);
    this.#count(place.ask.lane, -1);
    return place.ask;
  }

  #count(lane: Lane, by: number): void {
    this.#depth.set(lane, this.depth(lane) + by);
  }
}
