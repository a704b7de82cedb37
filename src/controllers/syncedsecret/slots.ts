import { namespaceOf } from "../../runtime/fair-queue.ts";
import { byLane, type Lane } from "../../runtime/lane.ts";

/**
 * Limits on concurrent reconciles in each lane, including those that wait for AWS or the API server; they bound memory.
 * Connections share `all` evenly; all AWSConnections of one namespace count as one. `least` is guaranteed to each
 * namespace, however many reconciles of other namespaces hang.
 */
const bounds = { ofConnection: { least: 10, most: 400 }, ofNamespace: { least: 10, most: 600 }, all: 900 };
/**
 * Slots that are granted together, or a quarter of the connection's slots if that is less: ten reconciles that begin
 * together fill batched AWS calls of ten names, even with one name each.
 */
const together = 10;

/** The reconciles of one connection in one lane. */
interface Users {
  /** The owner of the share of slots: the connection, or the namespace of an AWSConnection. */
  readonly owner: string;
  /** Reconciles under way; `invited`: keys with a granted slot that have not begun. */
  underWay: number;
  invited: number;
  /** Reconciles under way by namespace. */
  readonly byNamespace: Map<string, number>;
  /** Keys that wait for a slot, by namespace; the first namespace is next. */
  readonly parked: Map<string, Set<string>>;
}

/** A slot in use or granted. */
export interface Slot {
  readonly connection: string;
  readonly lane: Lane;
}

/**
 * Limits concurrent reconciles by lane, connection and namespace, round-robin over namespaces. There is no other limit:
 * hanging reconciles do not block other namespaces, in the same connection or in another.
 */
export class ReconcileSlots {
  readonly #lanes: Record<Lane, LaneSlots>;
  /** Keys that wait for a slot. */
  readonly #parked = new Map<string, Slot>();
  /** Keys with a granted slot that have not arrived yet. */
  readonly #invited = new Map<string, Slot>();

  /** @param come enqueues a key that was granted a slot */
  constructor(come: (key: string, lane: Lane) => void) {
    const laneSlots = (lane: Lane) =>
      new LaneSlots((connection, key) => {
        this.#parked.delete(key);
        this.#invited.set(key, { connection, lane });
        come(key, lane);
      });
    this.#lanes = byLane(laneSlots);
  }

  /** Ends the invitation of a key. @returns the granted slot, if there is one */
  arrived(key: string): Slot | undefined {
    const slot = this.#invited.get(key);
    if (!slot) return undefined;
    this.#invited.delete(key);
    this.#lanes[slot.lane].arrived(slot.connection);
    return slot;
  }

  /** @returns the slot, to be passed to `leave`; undefined if none is free: the key then waits for an invitation */
  enter(connection: string, key: string, lane: Lane): Slot | undefined {
    const laneSlots = this.#lanes[lane];
    const parked = this.#parked.get(key);
    const isFree = laneSlots.take(connection, namespaceOf(key));
    // A key that waits here already keeps its turn.
    if (!isFree && parked?.connection === connection && parked.lane === lane) return undefined;
    this.drop(key);
    const slot = { connection, lane };
    if (isFree) return slot;
    laneSlots.park(connection, key);
    this.#parked.set(key, slot);
    return undefined;
  }

  /** Releases a slot, and grants free slots to waiting keys once there are enough. */
  leave({ connection, lane }: Slot, key: string): void {
    this.#lanes[lane].leave(connection, namespaceOf(key));
  }

  /** Grants an unused slot to the next waiting key. */
  pass({ connection, lane }: Slot): void {
    this.#lanes[lane].pass(connection);
  }

  /** Removes a key from the waiting keys. */
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
  /** By connection; unused connections are removed. */
  readonly #users = new Map<string, Users>();
  /** Reconciles under way, by owner of the share. */
  readonly #byOwner = new Map<string, number>();
  /** Reconciles under way, by namespace. */
  readonly #byNamespace = new Map<string, number>();
  /** Connections where a namespace's keys wait. */
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

  /** Takes a slot if one is free. @returns whether it did */
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

  /** Grants an unused slot to the next key that waits at the connection. */
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

  /** Grants a slot that a namespace at its limit has released to its keys at another connection. */
  #inviteElsewhere(connection: string, namespace: string): void {
    const others = this.#waitsAt.get(namespace);
    if (!others) return;
    for (const other of others) {
      const users = this.#users.get(other)!;
      if (other === connection || users.invited > 0 || !this.#isFree(users, namespace)) continue;
      // Round-robin: the next slot goes to another connection.
      others.delete(other);
      others.add(other);
      this.#invite(other, users, namespace);
      return;
    }
  }

  /** Grants a slot to a namespace's first key, and moves the namespace to the end. */
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

  /** Removes a key from the waiting keys. */
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

/** The namespace of an AWSConnection, so that more connections bring no more slots; otherwise the connection. */
function ownerOf(connection: string): string {
  return connection.startsWith("AWSConnection/") ? connection.slice(0, connection.lastIndexOf("/")) : connection;
}

function add(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
