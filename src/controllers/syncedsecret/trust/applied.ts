import type { SyncedSecret } from "../../../api/types.ts";
import type { ManagedFieldsEntry, ObjectMeta } from "../../../kube/resource.ts";
import type { Clock } from "../../../runtime/clock.ts";
import type { Target } from "../plan/target.ts";

/** The API server's response to an apply of a Secret: `status.applied`. */
export type Applied = NonNullable<NonNullable<SyncedSecret["status"]>["applied"]>;

interface Remembered extends Applied {
  uid: string | undefined;
  secret: string;
  manager: string;
  /** Monotonic milliseconds of an apply by this process; undefined if it only found the Secret like this. */
  at: number | undefined;
}

/** Milliseconds after our apply in which another apply may have the same time, whose resolution is one second. */
const sameSecondMs = 5_000;

/**
 * The last apply of each Secret by this operator, from this process's memory and from the status. managedFields hold a
 * time for each field manager, which an edit by another manager does not change. A different time under our manager
 * means that another client has applied under its name.
 */
export class AppliedRecords {
  readonly #clock: Clock;
  readonly #remembered = new Map<string, Remembered>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Records a successful apply. @returns the value of `status.applied` */
  wrote(resource: SyncedSecret, target: Target, revision: string, metadata: ObjectMeta): Applied {
    const applied = appliedIn(target, revision, metadata);
    this.#remember(resource, target, applied, this.#clock.monotonic());
    return applied;
  }

  /** Drops the record after a failed apply: it may have succeeded, so the apply found next is taken for ours. */
  unsure({ metadata }: SyncedSecret): void {
    this.#remembered.delete(keyOf(metadata));
  }

  /**
   * Whether another client has applied a Secret of ours under our field manager. Without a record, or with a record of
   * another revision, the Secret is accepted and recorded, so that a crash between the writes of the Secret and the
   * status costs no decryption.
   */
  isForged(resource: SyncedSecret, target: Target, metadata: ObjectMeta): boolean {
    const entry = entryOf(target, metadata);
    const revision = metadata.annotations?.[target.revisionAnnotation];
    // damage() handles a missing managedFields entry.
    if (!entry || revision === undefined) return false;
    const isSame = (known: Applied) =>
      known.resourceVersion === metadata.resourceVersion || (known.time ?? "") === (entry.time ?? "");
    const reported = resource.status?.secretRef?.name === target.name ? resource.status.applied : undefined;
    const isReported = reported?.revision === revision;
    const known = this.#of(resource, target);
    if (known) {
      if (isSame(known)) return this.#isOfTheSameSecond(known, target, metadata);
      // Another replica may have applied the Secret since, and recorded it in the status.
      if (!isReported || !isSame(reported)) return true;
    } else if (isReported && !isSame(reported)) return true;
    this.#remember(resource, target, isReported ? reported : appliedIn(target, revision, metadata), undefined);
    return false;
  }

  /** @param key namespace/name of a deleted SyncedSecret */
  forget(key: string): void {
    this.#remembered.delete(key);
  }

  /** The last known apply, for a status that is written anyway. */
  saidOf(resource: SyncedSecret, target: Target): Applied | undefined {
    const known = this.#of(resource, target);
    return known && withoutMemory(known);
  }

  /** An apply of this process that is missing in the status, because the status write failed. */
  unreportedOf(resource: SyncedSecret, target: Target): Applied | undefined {
    const known = this.#of(resource, target);
    const isReported = known?.resourceVersion === resource.status?.applied?.resourceVersion;
    return known?.at !== undefined && !isReported ? withoutMemory(known) : undefined;
  }

  /** Whether the Secret changed in the second of our apply, and no other field manager's edit explains the change. */
  #isOfTheSameSecond(known: Remembered, target: Target, metadata: ObjectMeta): boolean {
    if (known.resourceVersion === metadata.resourceVersion || known.at === undefined) return false;
    if (this.#clock.monotonic() - known.at > sameSecondMs) return false;
    const mine = entryOf(target, metadata);
    // An entry without a time, such as of an apply that changed no value, explains it too.
    const isLater = ({ time }: ManagedFieldsEntry) => time === undefined || time >= (known.time ?? "");
    return !metadata.managedFields?.some((entry) => entry !== mine && isLater(entry));
  }

  #of({ metadata }: SyncedSecret, target: Target): Remembered | undefined {
    const known = this.#remembered.get(keyOf(metadata));
    const isOfIt = known?.uid === metadata.uid && known?.secret === target.name && known.manager === target.manager;
    return isOfIt ? known : undefined;
  }

  #remember({ metadata }: SyncedSecret, target: Target, applied: Applied, at: number | undefined): void {
    const { uid } = metadata;
    this.#remembered.set(keyOf(metadata), { ...applied, uid, secret: target.name, manager: target.manager, at });
  }
}

function keyOf({ namespace, name }: SyncedSecret["metadata"]): string {
  return `${namespace}/${name}`;
}

/** Our field manager's entry for its applies of a Secret. */
export function entryOf({ manager }: Target, { managedFields }: ObjectMeta): ManagedFieldsEntry | undefined {
  return managedFields?.find((entry) => entry.manager === manager && entry.operation === "Apply" && !entry.subresource);
}

function appliedIn(target: Target, revision: string, metadata: ObjectMeta): Applied {
  const time = entryOf(target, metadata)?.time;
  return { revision, resourceVersion: metadata.resourceVersion ?? "", ...(time === undefined ? {} : { time }) };
}

function withoutMemory({ revision, resourceVersion, time }: Remembered): Applied {
  return { revision, resourceVersion, ...(time === undefined ? {} : { time }) };
}
