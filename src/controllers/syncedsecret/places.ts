import { namespaceOf } from "../../runtime/fair-queue.ts";
import type { Lane } from "../../runtime/lane.ts";

/**
 * Reconciles in bulk under way at once: of one connection's users, and of all, which they share evenly; what a person
 * waits for is not counted against it. A namespace has some whatever others hold of its connection's. Some of the
 * operator's places stay free, so that connections that hang together hold back nobody.
 */
const bulkAtOnce = { ofConnection: { least: 10, most: 400 }, ofNamespace: 10, all: 900 };
/**
 * Places that are given away together, or a quarter of the connection's where that is less: ten that begin at once fill
 * their calls to AWS, ten names each, however many names one has.
 */
const together = 10;

/** Who has, or waits for, places of a connection. */
interface Users {
  /** Reconciles under way, and keys that have been given a place and are to begin. */
  underWay: number;
  invited: number;
  /** Reconciles under way by namespace. */
  readonly byNamespace: Map<string, number>;
  /** Keys that wait for a place, by namespace: the first is the next whose turn it is. */
  readonly parked: Map<string, Set<string>>;
}

/**
 * Shares out places for reconciles in bulk: neither a connection that hangs, nor a namespace whose role or webhooks do, must
 * hold every place. Namespaces take turns.
 */
export class Places {
  /** By the connection that they wait for; one that nobody uses is left out. */
  readonly #users = new Map<string, Users>();
  /** Connections with reconciles under way, and the number of these. */
  #active = 0;
  #underWay = 0;
  /** Keys that wait for a place, by key the connection: a key that has moved to another waits there alone. */
  readonly #waitsAt = new Map<string, string>();
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
    if (by === undefined) return undefined;
    const users = this.#usersOf(by);
    users.invited -= 1;
    this.#dropIfUnused(by, users);
    return by;
  }

  /** @returns whether there is a place; where there is none, the key waits until it is invited */
  enter(connection: string, key: string, lane: Lane): boolean {
    const namespace = namespaceOf(key);
    const users = this.#usersOf(connection);
    const hasPlace = lane !== "bulk" || this.#isFree(users, namespace);
    if (hasPlace) this.#count(users, namespace, 1);
    // Where it waits here already, it keeps its turn.
    if (hasPlace || this.#waitsAt.get(key) !== connection) this.#unpark(key, namespace);
    if (hasPlace) return true;
    const parked = users.parked.get(namespace) ?? new Set();
    users.parked.set(namespace, parked.add(key));
    this.#waitsAt.set(key, connection);
    return false;
  }

  /** Gives a place of a connection back, and those that are free, once they are enough, to the next that wait. */
  leave(connection: string, key: string): void {
    const namespace = namespaceOf(key);
    const users = this.#usersOf(connection);
    this.#count(users, namespace, -1);
    const [most, taken] = [this.#of(users), users.underWay + users.invited];
    const isEnough = taken === 0 || most - taken >= Math.min(together, Math.floor(most / 4));
    for (let free = most - taken; isEnough && free > 0 && users.parked.size > 0; free--) this.invite(connection);
    // Where it was one beyond what the connection has, it is for a namespace that has few.
    const next = taken < most ? undefined : [...users.parked.keys()].find((one) => this.#isFree(users, one));
    if (next !== undefined) this.#invite(connection, users, next);
    this.#dropIfUnused(connection, users);
  }

  /** Gives a place that nobody has used to the next that waits for one. */
  invite(connection: string): void {
    const users = this.#users.get(connection);
    const [next] = users?.parked.keys() ?? [];
    if (next !== undefined) this.#invite(connection, users!, next);
  }

  isParked(connection: string, key: string): boolean {
    return this.#waitsAt.get(key) === connection;
  }

  /** Whether keys wait for a place. */
  get isHolding(): boolean {
    return this.#waitsAt.size > 0;
  }

  /** Has a namespace's first key come, and the namespace wait for its next turn. */
  #invite(connection: string, users: Users, namespace: string): void {
    const keys = users.parked.get(namespace);
    const [next] = keys ?? [];
    if (next === undefined) return;
    keys!.delete(next);
    this.#waitsAt.delete(next);
    users.parked.delete(namespace);
    if (keys!.size > 0) users.parked.set(namespace, keys!);
    users.invited += 1;
    this.#invited.set(next, connection);
    this.#come(next);
  }

  /** Has a key wait for a place no more. */
  #unpark(key: string, namespace: string): void {
    const connection = this.#waitsAt.get(key);
    if (connection === undefined) return;
    this.#waitsAt.delete(key);
    const users = this.#usersOf(connection);
    const keys = users.parked.get(namespace)!;
    keys.delete(key);
    if (keys.size === 0) users.parked.delete(namespace);
    this.#dropIfUnused(connection, users);
  }

  #usersOf(connection: string): Users {
    let users = this.#users.get(connection);
    if (!users) {
      users = { underWay: 0, invited: 0, byNamespace: new Map(), parked: new Map() };
      this.#users.set(connection, users);
    }
    return users;
  }

  #dropIfUnused(connection: string, { underWay, invited, parked }: Users): void {
    if (underWay + invited + parked.size === 0) this.#users.delete(connection);
  }

  #count(users: Users, namespace: string, by: 1 | -1): void {
    const wasActive = users.underWay > 0;
    users.underWay += by;
    this.#underWay += by;
    this.#active += Number(users.underWay > 0) - Number(wasActive);
    const own = (users.byNamespace.get(namespace) ?? 0) + by;
    if (own > 0) users.byNamespace.set(namespace, own);
    else users.byNamespace.delete(namespace);
  }

  #isFree(users: Users, namespace: string): boolean {
    if (users.underWay < this.#of(users)) return true;
    return this.#underWay < bulkAtOnce.all && (users.byNamespace.get(namespace) ?? 0) < bulkAtOnce.ofNamespace;
  }

  #of({ underWay }: Users): number {
    const { ofConnection, all } = bulkAtOnce;
    const active = this.#active + (underWay > 0 ? 0 : 1);
    return Math.min(Math.max(Math.floor(all / active), ofConnection.least), ofConnection.most);
  }
}
