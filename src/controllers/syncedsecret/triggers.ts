import { readyOf } from "../../api/conditions.ts";
import { withoutRollout } from "../../api/rollout-status.ts";
import type { SyncedSecret } from "../../api/types.ts";
import type { KeyWatch } from "../../ciphertexts/key-watch.ts";
import type { Change, View } from "../../kube/informer/store.ts";
import type { KubeObject } from "../../kube/resource.ts";
import type { ServiceAccountName } from "../../kube/service-account-tokens.ts";
import type { WorkQueue } from "../../kube/work-queue.ts";
import type { Observer } from "../../parameters/observer.ts";
import { type Lane, priorityOf } from "../../runtime/lane.ts";
import { isSame } from "../conditions.ts";
import type { Connections } from "../connection/connections.ts";
import { allowsNamespace, isOfServiceAccounts } from "../connection/resolve.ts";
import { applierOf } from "../secret-view.ts";
import type { Attempts } from "./act/attempt.ts";
import type { DeletedResources } from "./act/deleted-resources.ts";
import { asksForExpiry } from "./decide/snapshot.ts";
import { Indexes } from "./indexes.ts";
import type { RepairBackoff } from "./repair-backoff.ts";
import { isKeyNews } from "./report/key-conditions.ts";
import type { StatusWriter } from "./report/status-writer.ts";
import { isAsking } from "./trust/previous-status.ts";

type Resource = SyncedSecret & KubeObject;
/** Labels of a namespace; undefined if they are not known. */
type Labels = Readonly<Record<string, string>> | undefined;

export interface TriggersOptions {
  resources: View<Resource>;
  connections: Connections;
  observer: Pick<Observer, "pause" | "depend">;
  keys: Pick<KeyWatch, "depend" | "findings">;
  queue: WorkQueue;
  statuses: StatusWriter;
  deleted: DeletedResources;
  attempts: Attempts;
  repairs: RepairBackoff;
}

/** SyncedSecrets that are checked against their connection's grant before the event loop runs other work. */
const recheckedAtOnce = 100;
/** Milliseconds after which a status that another client has edited is repaired. */
const statusRepairMs = 2_000;

/** Decides which SyncedSecrets are reconciled after a change, and stops reads that the change no longer allows. */
export class Triggers {
  readonly #options: TriggersOptions;
  readonly #indexes: Indexes;
  #begun = false;

  constructor(options: TriggersOptions) {
    this.#options = options;
    this.#indexes = new Indexes((resource) => options.connections.keyFor(resource));
  }

  /** Ends the initial list: from now on a change has the lane interactive instead of bulk. */
  begin(): void {
    this.#begun = true;
  }

  /** Enqueues a SyncedSecret, in the more urgent of this lane and the lane that it waits in or is delayed in. */
  enqueue(key: string, lane: Lane): void {
    const { queue } = this.#options;
    this.#options.statuses.overtake(key, lane);
    queue.add(key, Math.max(priorityOf(lane), queue.delayedPriority(key) ?? 0));
  }

  /**
   * Handles a change from the watch of SyncedSecrets; our own status writes are ignored.
   *
   * @param hasMoved whether it came from or went to another shard, and was neither created nor deleted
   */
  changed({ key, before, after }: Change<Resource>, hasMoved = false): void {
    const last = before && this.#options.statuses.latest(key, before);
    const isOwnWrite = this.#options.statuses.shown(key, after);
    this.#indexes.changed(key, before, after);
    if (before && before.metadata.generation !== after?.metadata.generation) this.#revoke(key);
    if (before && after && !isAsking(before, after)) {
      // Another client's edit of the status is repaired after a delay, which limits how often.
      const own = ({ status = {} }: Resource) => withoutRollout(status);
      const isForeign = !isOwnWrite && !isSame(own(before), own(after));
      if (isForeign) this.#options.queue.addAfter(key, statusRepairMs);
      return;
    }
    if (before && !after && !hasMoved) this.#options.deleted.note(key, last ?? before);
    this.enqueue(key, this.#begun && !hasMoved ? "interactive" : "bulk");
  }

  /** Handles a change of a Secret; the caller filters out our own writes. */
  secretChanged({ key, before, after }: Change<KubeObject>): void {
    const namespace = key.slice(0, key.indexOf("/"));
    for (const object of [before, after]) {
      // Any client may write an owner reference: it counts only if we applied it for an existing SyncedSecret.
      const uid = applierOf(object?.metadata);
      const owner = object?.metadata.ownerReferences?.find((one) => one.uid === uid);
      if (uid === undefined || !owner) continue;
      const resource = `${namespace}/${owner.name}`;
      if (this.#options.resources.get(resource)?.metadata.uid === uid) this.#repair(resource);
    }
    for (const dependent of this.#indexes.writersOf(key)) this.#repair(dependent);
  }

  /** Handles the removal of a Secret: another SyncedSecret may be waiting for its name. */
  secretRemoved(key: string): void {
    const dependents = [...this.#indexes.writersOf(key)];
    const isAwaited = (dependent: string) => {
      const cached = this.#options.resources.get(dependent);
      return (
        cached !== undefined &&
        readyOf(this.#options.statuses.latest(dependent, cached).status)?.reason === "SecretConflict"
      );
    };
    for (const dependent of dependents) if (isAwaited(dependent)) this.enqueue(dependent, "drift");
  }

  /** Enqueues a SyncedSecret after a change of its Secret by others, delayed by the repair backoff. */
  #repair(key: string): void {
    const waitMs = this.#options.repairs.waitMs(key);
    if (waitMs === 0) this.enqueue(key, "drift");
    else this.#options.queue.addAfter(key, waitMs, priorityOf("drift"));
  }

  /** Handles new findings about KMS keys: enqueues the users whose status differs from the findings. */
  keysChanged(users: readonly string[], lane: Lane): void {
    const { resources, keys } = this.#options;
    for (const key of users) {
      const cached = resources.get(key);
      if (cached && isKeyNews(keys.findings(key), this.#options.statuses.latest(key, cached))) this.enqueue(key, lane);
    }
  }

  /** Enqueues every user of a connection, and stops reads that the connection no longer allows. */
  connectionChanged(connectionKey: string): void {
    this.#recheck([...this.#indexes.usersOf(connectionKey)]);
  }

  /** The SyncedSecrets that name a connection. */
  usersOf(connectionKey: string): Iterable<string> {
    return this.#indexes.usersOf(connectionKey);
  }

  /** Enqueues the users of a connection that set `refresh.whenExpired`. */
  expiriesSeen(connectionKey: string): void {
    const asks = (key: string) => asksForExpiry(this.#options.resources.get(key));
    for (const key of [...this.#indexes.usersOf(connectionKey)].filter(asks)) this.enqueue(key, "bulk");
  }

  /** Enqueues the SyncedSecrets of a namespace whose connection allows the namespace only before or only after. */
  namespaceChanged(namespace: string, before: Labels, after: Labels): void {
    const { connections, resources } = this.#options;
    const differs = (connectionKey: string) => {
      const connection = connections.get(connectionKey)?.connection;
      if (!connection) return true;
      return allowsNamespace(connection, namespace, before) !== allowsNamespace(connection, namespace, after);
    };
    const verdicts = new Map<string, boolean>();
    const isConcerned = (key: string) => {
      const connectionKey = connections.keyFor(resources.get(key)!);
      const known = verdicts.get(connectionKey) ?? differs(connectionKey);
      verdicts.set(connectionKey, known);
      return known;
    };
    const all = [...this.#indexes.in(namespace)];
    this.#recheck(all.filter((key) => resources.has(key) && isConcerned(key)));
  }

  /** Enqueues the SyncedSecrets of a namespace that read by its ServiceAccount of this name. */
  serviceAccountChanged({ namespace, name }: ServiceAccountName): void {
    const { connections, resources } = this.#options;
    const isConcerned = (key: string) => {
      const resource = resources.get(key);
      const connection = resource && connections.get(connections.keyFor(resource))?.connection;
      if (!connection || !isOfServiceAccounts(connection)) return false;
      return connection.spec.auth?.serviceAccountRef?.name === name;
    };
    this.#recheck([...this.#indexes.in(namespace)].filter(isConcerned));
  }

  /** Enqueues SyncedSecrets, and stops reads that are no longer allowed. */
  #recheck(keys: readonly string[]): void {
    for (const key of keys) this.enqueue(key, "bulk");
    const { queue } = this.#options;
    const isBusy = (key: string) => queue.isInWork(key);
    for (const key of keys.filter(isBusy)) this.#revokeIfDenied(key);
    // Checking thousands at once would block the event loop.
    const rest = keys.filter((key) => !isBusy(key));
    const next = () => {
      for (const key of rest.splice(0, recheckedAtOnce)) this.#revokeIfDenied(key);
      if (rest.length > 0) setImmediate(next);
    };
    next();
  }

  #revokeIfDenied(key: string): void {
    if (!this.#options.attempts.recheck(key)) this.#pause(key);
  }

  /** Handles a new generation or a deletion: cancels the attempt under way, and pauses polls. */
  #revoke(key: string): void {
    const { observer, resources } = this.#options;
    this.#options.attempts.recheck(key);
    const resource = resources.get(key);
    if (!resource || resource.metadata.deletionTimestamp || resource.spec.suspend) this.#pause(key);
    else observer.pause(key);
  }

  /** Stops all AWS calls for a SyncedSecret until its next reconcile. */
  #pause(key: string): void {
    const { observer, keys, resources } = this.#options;
    if (resources.has(key)) observer.pause(key);
    else observer.depend(key, []);
    keys.depend(key, undefined, []);
  }
}
