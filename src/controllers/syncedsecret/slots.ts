import { namespaceOf } from "../../runtime/fair-queue.ts";
import { byLane, type Lane } from "../../runtime/lane.ts";

/**
 * Reconciles under way at once in each lane, those that wait for AWS or for the API server included: they bound memory.
 * Connections share `all` evenly, those of one namespace as one. No namespace can take what `least` guarantees another,
 * however many of its reconciles hang.
 */
const bounds = { ofConnection: { least: 10, most: 400 }, ofNamespace: { least: 10, most: 600 }, all: 900 };
/**
 * Slots that are granted together, or a quarter of the connection's where that is less: ten reconciles that begin at
 * once fill their calls to AWS, ten names each, however many names one reconcile has.
 */
const together = 10;

/** Reconciles of one connection in one lane. */
interface Users {
  /** Who shares the slots: the connection, or the namespace of a namespaced one. */
  readonly owner: string;
  /** Reconciles under way, and keys that have been granted a slot and are to begin. */
  underWay: number;
  invited: number;
  /** Reconciles under way by namespace. */
  readonly byNamespace: Map<string, number>;
  /** Keys that wait for a slot, by namespace: the first is the next whose turn it is. */
  readonly parked: Map<string, Set<string>>;
}

/** A slot in use, or granted: of which lane and connection. */
export interface Slot {
  readonly connection: string;
  readonly lane: Lane;
}

/**
 * Bounds the reconciles under way by lane, connection and namespace; namespaces take turns. There is no bound beyond
 * these: reconciles that hang keep no other namespace waiting, in its own connection or in another.
 */
export class ReconcileSlots {
  readonly #lanes: Record<Lane, LaneSlots>;
  /** Keys that wait for a slot. */
  readonly #parked = new Map<string, Slot>();
  /** Keys that were granted a slot and have not come yet. */
  readonly #invited = new Map<string, Slot>();

  /** @param come has a key, whose turn it is, worked on soon */
  constructor(come: (key: string, lane: Lane) => void) {
    const laneSlots = (lane: Lane) =>
      new LaneSlots((connection, key) => {
        this.#parked.delete(key);
        this.#invited.set(key, { connection, lane });
        come(key, lane);
      });
    this.#lanes = byLane(laneSlots);
  }

  /** Takes back the invitation by which a key may have come. @returns the slot that it was granted */
  arrived(key: string): Slot | undefined {
    const slot = this.#invited.get(key);
    if (!slot) return undefined;
    this.#invited.delete(key);
    this.#lanes[slot.lane].arrived(slot.connection);
    return slot;
  }

  /** @returns the slot, to be given to `leave`; undefined where there is none: the key waits until it is invited */
  enter(connection: string, key: string, lane: Lane): Slot | undefined {
    const laneSlots = this.#lanes[lane];
    const parked = this.#parked.get(key);
    const isFree = laneSlots.take(connection, namespaceOf(key));
    // Where it waits here already, it keeps its turn.
    if (!isFree && parked?.connection === connection && parked.lane === lane) return undefined;
    this.drop(key);
    const slot = { connection, lane };
    if (isFree) return slot;
    laneSlots.park(connection, key);
    this.#parked.set(key, slot);
    return undefined;
  }

  /** Gives a slot back, and those that are free, once they are enough, to the next that wait. */
  leave({ connection, lane }: Slot, key: string): void {
    this.#lanes[lane].leave(connection, namespaceOf(key));
  }

  /** Grants a slot that nobody has used to the next that waits for one. */
  pass({ connection, lane }: Slot): void {
    this.#lanes[lane].pass(connection);
  }

  /** Has a key wait for a slot no more. */
  drop(key: string): void {
    const slot = this.#parked.get(key);
    if (!slot) return;
    this.#parked.delete(key);
    this.#lanes[slot.lane].unpark(slot.connection, key);
  }

  isParked(key: string): boolean {
    return this.#parked.has(key);
  }

  /** Whether keys wait for a slot. */
  get isHolding(): boolean {
    return this.#parked.size > 0;
  }
}

/** The slots of one lane. */
class LaneSlots {
  /** By connection; one that nobody uses is left out. */
  readonly #users = new Map<string, Users>();
  /** Reconciles under way, by who shares the slots. */
  readonly #byOwner = new Map<string, number>();
  /** Reconciles under way, by namespace. */
  readonly #byNamespace = new Map<string, number>();
  /** Connections at which a namespace's keys wait. */
  readonly #waitsAt = new Map<string, Set<string>>();
  #underWay = 0;
  readonly #come: (connection: string, key: string) => void;

  constructor(come: (connection: string, key: string) => void) {
    this.#come = come;
  }

  arrived(connection: string): void {
    const users = this.#usersOf(connection);
    users.invited -= 1;
    this.#dropIfUnused(connection, users);
  }

  /** @returns whether there is a slot; then it is taken */
  take(connection: string, namespace: string): boolean {
    const users = this.#usersOf(connection);
    const isFree = this.#isFree(users, namespace);
    if (isFree) this.#count(users, namespace, 1);
    else this.#dropIfUnused(connection, users);
    return isFree;
  }

  park(connection: string, key: string): void {
    const namespace = namespaceOf(key);
    const { parked } = this.#usersOf(connection);
    parked.set(namespace, (parked.get(namespace) ?? new Set()).add(key));
    this.#waitsAt.set(namespace, (this.#waitsAt.get(namespace) ?? new Set()).add(connection));
  }

  unpark(connection: string, key: string): void {
    const users = this.#usersOf(connection);
    this.#take(connection, users, key);
    this.#dropIfUnused(connection, users);
  }

  leave(connection: string, namespace: string): void {
    const users = this.#usersOf(connection);
    this.#count(users, namespace, -1);
    const [most, taken] = [this.#of(users), users.underWay + users.invited];
    const isEnough = taken === 0 || most - taken >= Math.min(together, Math.floor(most / 4));
    const free = isEnough ? most - taken : taken < most ? 0 : 1;
    for (let n = 0; n < free && users.parked.size > 0; n++) this.#inviteNext(connection, users);
    this.#dropIfUnused(connection, users);
    this.#inviteElsewhere(connection, namespace);
  }

  /** Grants a slot that nobody has used to the next that waits at the connection. */
  pass(connection: string): void {
    const users = this.#users.get(connection);
    if (users) this.#inviteNext(connection, users);
  }

  /** Above the connection's share, a slot goes to a namespace below its minimum. */
  #inviteNext(connection: string, users: Users): void {
    const isBelowShare = users.underWay + users.invited < this.#of(users);
    const mayHaveOne = (namespace: string) =>
      isBelowShare ? (this.#byNamespace.get(namespace) ?? 0) < bounds.ofNamespace.most : this.#isFree(users, namespace);
    for (const namespace of users.parked.keys()) {
      if (!mayHaveOne(namespace)) continue;
      this.#invite(connection, users, namespace);
      return;
    }
  }

  /** A namespace at its bound has a slot again, which another connection's keys may wait for. */
  #inviteElsewhere(connection: string, namespace: string): void {
    const others = this.#waitsAt.get(namespace);
    if (!others) return;
    for (const other of others) {
      const users = this.#users.get(other)!;
      if (other === connection || users.invited > 0 || !this.#isFree(users, namespace)) continue;
      // To the end: the next slot is another connection's.
      others.delete(other);
      others.add(other);
      this.#invite(other, users, namespace);
      return;
    }
  }

  /** Has a namespace's first key come, and the namespace wait for its next turn. */
  #invite(connection: string, users: Users, namespace: string): void {
    const [next] = users.parked.get(namespace)!;
    this.#take(connection, users, next!);
    const rest = users.parked.get(namespace);
    if (rest) {
      users.parked.delete(namespace);
      users.parked.set(namespace, rest);
    }
    users.invited += 1;
    this.#come(connection, next!);
  }

  /** Takes a key out of those that wait. */
  #take(connection: string, { parked }: Users, key: string): void {
    const namespace = namespaceOf(key);
    const keys = parked.get(namespace)!;
    keys.delete(key);
    if (keys.size > 0) return;
    parked.delete(namespace);
    const connections = this.#waitsAt.get(namespace)!;
    connections.delete(connection);
    if (connections.size === 0) this.#waitsAt.delete(namespace);
  }

  #usersOf(connection: string): Users {
    let users = this.#users.get(connection);
    if (!users) {
      users = { owner: ownerOf(connection), underWay: 0, invited: 0, byNamespace: new Map(), parked: new Map() };
      this.#users.set(connection, users);
    }
    return users;
  }

  #dropIfUnused(connection: string, { underWay, invited, parked }: Users): void {
    if (underWay + invited + parked.size === 0) this.#users.delete(connection);
  }

  #count(users: Users, namespace: string, by: 1 | -1): void {
    users.underWay += by;
    this.#underWay += by;
    add(this.#byOwner, users.owner, by);
    add(this.#byNamespace, namespace, by);
    add(users.byNamespace, namespace, by);
  }

  #isFree(users: Users, namespace: string): boolean {
    const { ofNamespace, all } = bounds;
    const ofThis = this.#byNamespace.get(namespace) ?? 0;
    if (ofThis < ofNamespace.least) return true;
    if (ofThis >= ofNamespace.most) return false;
    if (users.underWay < this.#of(users)) return true;
    return this.#underWay < all && (users.byNamespace.get(namespace) ?? 0) < ofNamespace.least;
  }

  #of({ owner }: Users): number {
    const { ofConnection, all } = bounds;
    const active = this.#byOwner.size + (this.#byOwner.has(owner) ? 0 : 1);
    return Math.min(Math.max(Math.floor(all / active), ofConnection.least), ofConnection.most);
  }
}

/** A namespaced connection's namespace, so that a thousand connections of one get no more than one; else itself. */
function ownerOf(connection: string): string {
  return connection.startsWith("AWSConnection/") ? connection.slice(0, connection.lastIndexOf("/")) : connection;
}

function add(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
