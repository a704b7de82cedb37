import type { Lane } from "../../runtime/lane.ts";

/**
 * Reconciles in bulk under way at once: of one connection's users, and of all, which they share evenly; what a person
 * waits for is not counted against it. Some of the operator's places stay free, so that connections that hang together
 * hold back nobody.
 */
const bulkAtOnce = { ofConnection: { least: 10, most: 400 }, all: 900 };

/** Shares out places for reconciles in bulk: one connection that hangs must not hold every place. */
export class Places {
  /** Reconciles under way, by the connection that they wait for. */
  readonly #underWay = new Map<string, number>();
  /** Keys that wait for a place of their connection, in the order in which they came. */
  readonly #parked = new Map<string, Set<string>>();
  /** Keys that were given a place, by the connection that gave it: one that has no use for it passes it on. */
  readonly #invited = new Map<string, string>();
  readonly #come: (key: string) => void;

  /** @param come has a key, whose turn it is, worked on soon */
  constructor(come: (key: string) => void) {
    this.#come = come;
  }

  /** Takes back the invitation by which a key may have come. @returns the connection that gave it */
  arrived(key: string): string | undefined {
    const by = this.#invited.get(key);
    this.#invited.delete(key);
    return by;
  }

  /** @returns whether there is a place; where there is none, the key waits until it is invited */
  enter(connection: string, key: string, lane: Lane): boolean {
    const underWay = this.#underWay.get(connection) ?? 0;
    if (lane === "bulk" && underWay >= this.#of(connection)) {
      const parked = this.#parked.get(connection) ?? new Set();
      this.#parked.set(connection, parked.add(key));
      return false;
    }
    this.#underWay.set(connection, underWay + 1);
    return true;
  }

  /** Gives a place of a connection back, and to the next that waits for one. */
  leave(connection: string): void {
    const left = (this.#underWay.get(connection) ?? 1) - 1;
    if (left > 0) this.#underWay.set(connection, left);
    else this.#underWay.delete(connection);
    // Two, so that a connection whose share has grown comes to use it.
    for (let free = Math.min(this.#of(connection) - left, 2); free > 0; free--) this.invite(connection);
  }

  /** Gives a place that nobody has used to the next that waits for one. */
  invite(connection: string): void {
    const parked = this.#parked.get(connection);
    const [next] = parked ?? [];
    if (next === undefined) return;
    parked!.delete(next);
    if (parked!.size === 0) this.#parked.delete(connection);
    this.#invited.set(next, connection);
    this.#come(next);
  }

  isParked(connection: string, key: string): boolean {
    return this.#parked.get(connection)?.has(key) ?? false;
  }

  /** Whether keys wait for a place. */
  get isHolding(): boolean {
    return this.#parked.size > 0;
  }

  #of(connection: string): number {
    const { ofConnection, all } = bulkAtOnce;
    const active = this.#underWay.size + (this.#underWay.has(connection) ? 0 : 1);
    return Math.min(Math.max(Math.floor(all / active), ofConnection.least), ofConnection.most);
  }
}
