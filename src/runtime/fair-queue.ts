import { Fifo } from "./fifo.ts";

/** An element of a queue. `withdrawn`: it was queued again with a higher priority, or is no longer needed. */
export interface Waiting {
  readonly priority: number;
  /** The owner, usually a namespace. Within a priority, flows take turns. */
  readonly flow: string;
  withdrawn: boolean;
}

/**
 * Whether the first element of a flow may be taken. False skips the flow in this take. Names of groups park the flow:
 * it is not looked at again until `wake` is called for one of the groups.
 */
export type Eligible = (flow: string, priority: number) => boolean | readonly string[];

/** Credit of a priority at which its next element comes before higher priorities. It is also the maximum. */
const dueCredit = 1;
/** Minimum number of a flow's elements at which the withdrawn ones are dropped. */
const cleanAtLeast = 64;

/**
 * A queue that takes the highest priority first. Within a priority, flows take turns, so that a tenant with ten
 * thousand elements does not delay another tenant's single one. Within a flow, elements are first in, first out. All
 * operations are O(log n) or better, amortized, apart from flows that `eligible` skips.
 */
export class FairQueue<E extends Waiting> {
  /** The highest priority first. */
  readonly #lanes: Lane<E>[] = [];
  readonly #groups = new Map<string, Group<E>>();
  readonly #share: (priority: number) => number;

  /**
   * @param share elements that a waiting priority gains for each element that another one takes, so that it does not
   *   starve. Default 0: a higher priority always comes first.
   */
  constructor(share: (priority: number) => number = () => 0) {
    this.#share = share;
  }

  push(waiting: E): void {
    this.#laneOf(waiting.priority).push(waiting);
  }

  /** Takes the next element; undefined if no element is eligible. */
  take(eligible: Eligible = always): E | undefined {
    for (const lane of this.#lanes.filter(({ credit }) => credit >= dueCredit)) {
      const due = this.#takeFrom(lane, eligible);
      if (due) return due;
    }
    for (let at = 0; at < this.#lanes.length; ) {
      const lane = this.#lanes[at]!;
      const waiting = this.#takeFrom(lane, eligible);
      if (waiting) return waiting;
      if (this.#lanes[at] === lane) at++;
    }
    return undefined;
  }

  /** Takes the next element of one priority, even if higher priorities wait; undefined if none is eligible. */
  takeOf(priority: number, eligible: Eligible = always): E | undefined {
    const lane = this.#lanes.find((one) => one.priority === priority);
    return lane && this.#takeFrom(lane, eligible);
  }

  /** Whether elements of a priority wait; true also if all of them are withdrawn. */
  has(priority: number): boolean {
    return this.#lanes.some((lane) => lane.priority === priority);
  }

  /** Whether a priority has the credit for an element before higher priorities. */
  isDue(priority: number): boolean {
    return this.#lanes.some((lane) => lane.priority === priority && lane.credit >= dueCredit);
  }

  /**
   * Wakes parked flows of a group, those that have waited longest first, until `count` of its flows are awake that have
   * not taken an element yet.
   *
   * @param except a flow that stays parked
   * @returns whether a flow was woken
   */
  wake(name: string, count: number, except?: string): boolean {
    const group = this.#groups.get(name);
    if (!group) return false;
    let isAnyWoken = false;
    for (const flow of group.parked) {
      if (group.awake >= count) break;
      if (flow.name === except) continue;
      flow.wokenBy = group;
      group.awake++;
      this.#unpark(flow);
      flow.lane.ready.push(flow);
      isAnyWoken = true;
    }
    return isAnyWoken;
  }

  #laneOf(priority: number): Lane<E> {
    let at = 0;
    while (at < this.#lanes.length && this.#lanes[at]!.priority > priority) at++;
    const known = this.#lanes[at];
    if (known?.priority === priority) return known;
    const lane = new Lane<E>(priority);
    this.#lanes.splice(at, 0, lane);
    return lane;
  }

  #takeFrom(lane: Lane<E>, eligible: Eligible): E | undefined {
    const skipped: Flow<E>[] = [];
    let taken: E | undefined;
    for (let flow = lane.ready.shift(); flow && !taken; flow = taken ? undefined : lane.ready.shift()) {
      const verdict = flow.hasNext() ? eligible(flow.name, lane.priority) : undefined;
      if (verdict === false) {
        skipped.push(flow);
        continue;
      }
      const { wokenBy } = flow;
      flow.wokenBy = undefined;
      if (wokenBy) wokenBy.awake--;
      if (verdict === true) taken = flow.elements.shift();
      else if (verdict) this.#park(flow, verdict);
      else lane.drop(flow);
      // The flow did not use what it was woken for: the next one of the group can.
      if (wokenBy && verdict !== true && !flow.groups.includes(wokenBy)) this.wake(wokenBy.name, wokenBy.awake + 1);
      if (wokenBy) this.#dropIfUnused(wokenBy);
      if (verdict === true && flow.hasNext()) lane.ready.push(flow);
      else if (verdict === true) lane.drop(flow);
    }
    for (const flow of skipped.reverse()) lane.ready.unshift(flow);
    if (taken) this.#spend(lane);
    if (lane.size === 0) this.#lanes.splice(this.#lanes.indexOf(lane), 1);
    return taken;
  }

  #park(flow: Flow<E>, names: readonly string[]): void {
    flow.groups = names.map((name) => {
      const group = this.#groups.get(name) ?? { name, parked: new Set(), awake: 0 };
      this.#groups.set(name, group);
      group.parked.add(flow);
      return group;
    });
  }

  #unpark(flow: Flow<E>): void {
    for (const group of flow.groups) {
      group.parked.delete(flow);
      this.#dropIfUnused(group);
    }
    flow.groups = [];
  }

  #dropIfUnused({ name, parked, awake }: Group<E>): void {
    if (parked.size === 0 && awake === 0) this.#groups.delete(name);
  }

  #spend(taken: Lane<E>): void {
    for (const lane of this.#lanes) {
      if (lane === taken) lane.credit = Math.max(lane.credit - dueCredit, 0);
      else lane.credit = Math.min(lane.credit + this.#share(lane.priority), dueCredit);
    }
  }
}

function always(): boolean {
  return true;
}

/** Flows that are parked for the same reason. */
interface Group<E extends Waiting> {
  readonly name: string;
  readonly parked: Set<Flow<E>>;
  /** Flows that were woken and have not been looked at since. */
  awake: number;
}

/** The waiting elements of one flow in one priority. */
class Flow<E extends Waiting> {
  readonly name: string;
  readonly lane: Lane<E>;
  elements = new Fifo<E>();
  /** Number of elements at which the withdrawn ones are dropped: a parked flow may wait for long. */
  #cleanAt = cleanAtLeast;
  /** The groups that the flow is parked in; empty if it is ready. */
  groups: readonly Group<E>[] = [];
  wokenBy: Group<E> | undefined;

  constructor(name: string, lane: Lane<E>) {
    this.name = name;
    this.lane = lane;
  }

  push(waiting: E): void {
    if (this.elements.size >= this.#cleanAt) {
      const kept = new Fifo<E>();
      for (let one = this.elements.shift(); one; one = this.elements.shift()) if (!one.withdrawn) kept.push(one);
      this.elements = kept;
      this.#cleanAt = Math.max(2 * kept.size, cleanAtLeast);
    }
    this.elements.push(waiting);
  }

  /** Drops withdrawn elements at the front. @returns whether an element is left */
  hasNext(): boolean {
    while (this.elements.peek()?.withdrawn) this.elements.shift();
    return this.elements.size > 0;
  }
}

/** The waiting elements of one priority. */
class Lane<E extends Waiting> {
  readonly priority: number;
  credit = 0;
  /** The flows that are not parked, in the order of their turns. */
  readonly ready = new Fifo<Flow<E>>();
  readonly #flows = new Map<string, Flow<E>>();

  constructor(priority: number) {
    this.priority = priority;
  }

  /** Number of flows, including parked ones. */
  get size(): number {
    return this.#flows.size;
  }

  push(waiting: E): void {
    let flow = this.#flows.get(waiting.flow);
    if (!flow) {
      flow = new Flow(waiting.flow, this);
      this.#flows.set(waiting.flow, flow);
      this.ready.push(flow);
    }
    flow.push(waiting);
  }

  drop(flow: Flow<E>): void {
    this.#flows.delete(flow.name);
  }
}

/** The flow of a key `namespace/name`: its namespace; empty for a key without one. */
export function namespaceOf(key: string): string {
  const slash = key.indexOf("/");
  return slash < 0 ? "" : key.slice(0, slash);
}
