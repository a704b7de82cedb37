import type { WorkBounds } from "../../kube/work-queue.ts";
import { namespaceOf } from "../../runtime/fair-queue.ts";
import { byLane, type Lane, laneOf } from "../../runtime/lane.ts";

/**
 * Limits on concurrent reconciles in each lane, including those that wait for AWS or the API server; they bound memory.
 * Connections share `all` evenly; all AWSConnections of one namespace count as one. `least` is guaranteed to each
 * namespace, however many reconciles of other namespaces hang. 200 of three names each keep fifty calls of ten names to
 * AWS in flight; with 400, the last Secret of a first sync comes 8% later.
 */
const bounds = { ofConnection: { least: 10, most: 200 }, ofNamespace: { least: 10, most: 600 }, all: 900 };
/**
 * Slots that are granted together, or a quarter of the connection's slots if that is less: ten reconciles that begin
 * together fill batched AWS calls of ten names, even with one name each.
 */
const together = 10;

/**
 * Limits concurrent reconciles by lane, connection and namespace. There is no other limit: hanging reconciles do not
 * block other namespaces, in the same connection or in another. A flow is a namespace's keys at one connection.
 */
export class ReconcileBounds implements WorkBounds {
  readonly #connectionOf: (key: string) => string | undefined;
  readonly #lanes = byLane((lane) => new LaneBounds(lane));

  /** @param connectionOf the key of the connection that a SyncedSecret names; undefined if there is no such resource */
  constructor(connectionOf: (key: string) => string | undefined) {
    this.#connectionOf = connectionOf;
  }

  flowOf(key: string): string {
    return `${namespaceOf(key)} ${this.#connectionOf(key) ?? ""}`;
  }

  readonly eligible = (flow: string, priority: number): true | readonly string[] =>
    this.#lanes[laneOf(priority)].eligible(flow);

  took(flow: string, priority: number): void {
    this.#lanes[laneOf(priority)].count(flow, 1);
  }

  ended(flow: string, priority: number, wake: Parameters<WorkBounds["ended"]>[2]): void {
    const lane = this.#lanes[laneOf(priority)];
    lane.count(flow, -1);
    lane.wakeAfter(flow, wake);
  }
}

/** The reconciles under way of one lane. A count is absent if it is 0. */
class LaneBounds {
  readonly #lane: Lane;
  readonly #byConnection = new Map<string, number>();
  readonly #byOwner = new Map<string, number>();
  readonly #byNamespace = new Map<string, number>();
  readonly #byFlow = new Map<string, number>();
  #all = 0;

  constructor(lane: Lane) {
    this.#lane = lane;
  }

  eligible(flow: string): true | readonly string[] {
    const { namespace, connection } = partsOf(flow);
    const { ofNamespace, all } = bounds;
    const inNamespace = this.#byNamespace.get(namespace) ?? 0;
    if (inNamespace < ofNamespace.least) return true;
    if (inNamespace >= ofNamespace.most) return [this.#atMost(namespace)];
    if ((this.#byConnection.get(connection) ?? 0) < this.#shareOf(connection)) return true;
    if (this.#all < all && (this.#byFlow.get(flow) ?? 0) < ofNamespace.least) return true;
    return [this.#atConnection(connection), this.#aboveLeast(namespace)];
  }

  count(flow: string, by: 1 | -1): void {
    const { namespace, connection } = partsOf(flow);
    this.#all += by;
    add(this.#byConnection, connection, by);
    add(this.#byOwner, ownerOf(connection), by);
    add(this.#byNamespace, namespace, by);
    add(this.#byFlow, flow, by);
  }

  /** Wakes the flows that may use the slot that a flow has released. */
  wakeAfter(flow: string, wake: Parameters<WorkBounds["ended"]>[2]): void {
    const { namespace, connection } = partsOf(flow);
    const { least, most } = bounds.ofNamespace;
    const share = this.#shareOf(connection);
    const used = this.#byConnection.get(connection) ?? 0;
    const isEnough = used === 0 || share - used >= Math.min(together, Math.floor(share / 4));
    if (isEnough) wake(this.#atConnection(connection), share - used);
    const inNamespace = this.#byNamespace.get(namespace) ?? 0;
    // Within its share, the connection's slots are granted together.
    if (inNamespace < least) wake(this.#aboveLeast(namespace), least - inNamespace, used < share ? flow : undefined);
    else if (inNamespace < most) wake(this.#atMost(namespace), most - inNamespace);
  }

  #shareOf(connection: string): number {
    const { ofConnection, all } = bounds;
    const active = this.#byOwner.size + (this.#byOwner.has(ownerOf(connection)) ? 0 : 1);
    return Math.min(Math.max(Math.floor(all / active), ofConnection.least), ofConnection.most);
  }

  /** The flows that wait for a slot of their connection. */
  #atConnection(connection: string): string {
    return `${this.#lane} connection ${connection}`;
  }

  /** The flows of a namespace that wait for their connection, and could go on below the namespace's minimum. */
  #aboveLeast(namespace: string): string {
    return `${this.#lane} least ${namespace}`;
  }

  /** The flows that wait because their namespace is at its limit. */
  #atMost(namespace: string): string {
    return `${this.#lane} most ${namespace}`;
  }
}

function partsOf(flow: string): { namespace: string; connection: string } {
  const space = flow.indexOf(" ");
  return { namespace: flow.slice(0, space), connection: flow.slice(space + 1) };
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
