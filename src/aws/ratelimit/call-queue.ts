import { Fifo } from "../../runtime/fifo.ts";
import { byLane, type Lane, lanes } from "../../runtime/lane.ts";

/** A call that waits for its turn. */
export interface Waiting {
  readonly lane: Lane;
  /** The identity that makes it. */
  readonly identityKey: string;
  /** The namespace that the call is for: within a lane, namespaces take turns. */
  readonly namespace: string;
  /** When it was first queued, in monotonic milliseconds. */
  readonly since: number;
}

/** The calls of one namespace as one identity. */
interface Caller<W> {
  readonly key: string;
  readonly waiting: Record<Lane, Fifo<W>>;
  /** Lanes in which it is queued. */
  readonly turns: Set<Lane>;
}

/** The callers of one identity that have waiting calls. */
interface Callers<W> {
  readonly all: Set<Caller<W>>;
  /** Callers that were skipped, because the identity could make no call. */
  readonly passedOver: Set<Caller<W>>;
}

/** The waiting calls: in every lane, each namespace of each identity takes turns. */
export class CallQueue<W extends Waiting> {
  readonly #callers = new Map<string, Caller<W>>();
  readonly #identities = new Map<string, Callers<W>>();
  readonly #turns = byLane(() => new Fifo<Caller<W>>());
  /** Calls that wait, by lane. */
  readonly depth = byLane(() => 0);

  /** @param as `first`: before the other calls of its namespace and lane */
  add(waiting: W, as: "first" | "last"): void {
    const { lane } = waiting;
    const caller = this.#caller(waiting);
    if (as === "first") caller.waiting[lane].unshift(waiting);
    else caller.waiting[lane].push(waiting);
    this.depth[lane] += 1;
    this.#queue(caller, lane);
  }

  /** Whether a lane has a turn to take. Skipped callers have none. */
  hasTurn(lane: Lane): boolean {
    return this.#turns[lane].size > 0;
  }

  /** Whether an identity has waiting calls. */
  has(identityKey: string): boolean {
    return this.#identities.has(identityKey);
  }

  /**
   * Takes the next turn of a lane.
   *
   * @param isBlocked whether an identity can make no call now: it is skipped until `resume`
   * @returns the call; undefined if the caller was skipped or has no call in this lane any more
   */
  take(lane: Lane, isBlocked: (identityKey: string) => boolean): W | undefined {
    const caller = this.#turns[lane].shift()!;
    caller.turns.delete(lane);
    const waiting = caller.waiting[lane].peek();
    if (!waiting) return undefined;
    const { identityKey } = waiting;
    if (isBlocked(identityKey)) {
      this.#identities.get(identityKey)!.passedOver.add(caller);
      return undefined;
    }
    caller.waiting[lane].shift();
    this.depth[lane] -= 1;
    if (caller.waiting[lane].size > 0) this.#queue(caller, lane);
    else this.#dropIfEmpty(caller, identityKey);
    return waiting;
  }

  /** Gives the skipped callers of an identity their turns again. @returns whether there were any */
  resume(identityKey: string): boolean {
    const { passedOver } = this.#identities.get(identityKey) ?? {};
    const callers = [...(passedOver ?? [])];
    passedOver?.clear();
    for (const caller of callers) {
      for (const lane of lanes) if (caller.waiting[lane].size > 0) this.#queue(caller, lane);
    }
    return callers.length > 0;
  }

  /** Removes and returns all calls. */
  clear(): W[] {
    const all: W[] = [];
    for (const { waiting } of this.#callers.values()) {
      for (const lane of lanes) {
        this.depth[lane] -= waiting[lane].size;
        for (let call = waiting[lane].shift(); call; call = waiting[lane].shift()) all.push(call);
      }
    }
    this.#callers.clear();
    this.#identities.clear();
    return all;
  }

  /** When the oldest call of a lane was queued, in monotonic milliseconds; undefined if none waits. */
  oldestSince(lane: Lane): number | undefined {
    let oldest: number | undefined;
    for (const { waiting } of this.#callers.values()) {
      const first = waiting[lane].peek();
      if (first) oldest = Math.min(oldest ?? first.since, first.since);
    }
    return oldest;
  }

  #caller({ identityKey, namespace }: Waiting): Caller<W> {
    const key = `${identityKey}\n${namespace}`;
    let caller = this.#callers.get(key);
    if (!caller) {
      caller = { key, waiting: byLane(() => new Fifo<W>()), turns: new Set() };
      this.#callers.set(key, caller);
      const callers = this.#identities.get(identityKey) ?? { all: new Set(), passedOver: new Set() };
      callers.all.add(caller);
      this.#identities.set(identityKey, callers);
    }
    return caller;
  }

  /** Queues a caller in a lane, once. */
  #queue(caller: Caller<W>, lane: Lane): void {
    if (caller.turns.has(lane)) return;
    caller.turns.add(lane);
    this.#turns[lane].push(caller);
  }

  #dropIfEmpty(caller: Caller<W>, identityKey: string): void {
    if (lanes.some((lane) => caller.waiting[lane].size > 0)) return;
    this.#callers.delete(caller.key);
    const { all, passedOver } = this.#identities.get(identityKey)!;
    all.delete(caller);
    passedOver.delete(caller);
    if (all.size === 0) this.#identities.delete(identityKey);
  }
}
