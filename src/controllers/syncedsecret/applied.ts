import type { SyncedSecret } from "../../api/types.ts";
import type { ManagedFieldsEntry, ObjectMeta } from "../../kube/resource.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Target } from "./target.ts";

/** What the API server answered to an apply of a Secret: `status.applied`. */
export type Applied = NonNullable<NonNullable<SyncedSecret["status"]>["applied"]>;

interface Remembered extends Applied {
  uid: string | undefined;
  secret: string;
  manager: string;
  /** Monotonic milliseconds of an apply by this process; undefined where it only found the Secret so. */
  at: number | undefined;
}

/** Milliseconds after an apply of ours in which another may have the same time, which counts in seconds. */
const sameSecondMs = 5_000;

/**
 * The last apply of each Secret by this operator, as this process remembers it and the status says. managedFields hold a
 * time for each field manager, which no edit by another one moves: another time under our manager means that somebody
 * else has applied under its name.
 */
export class AppliedRecords {
  readonly #clock: Clock;
  readonly #remembered = new Map<string, Remembered>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes an apply of ours that was answered. @returns what the status is to say of it */
  wrote(resource: SyncedSecret, target: Target, revision: string, metadata: ObjectMeta): Applied {
    const applied = appliedIn(target, revision, metadata);
    this.#remember(resource, target, applied, this.#clock.monotonic());
    return applied;
  }

  /** An apply was not answered: it may have been done, so that the next one that is seen is taken for it. */
  unsure({ metadata }: SyncedSecret): void {
    this.#remembered.delete(keyOf(metadata));
  }

  /**
   * Whether somebody else has applied a Secret of ours under our field manager. Without a record, or with one of another
   * revision, the Secret is taken as it is and remembered: a crash between Secret and status costs no decryption.
   */
  isForged(resource: SyncedSecret, target: Target, metadata: ObjectMeta): boolean {
    const entry = entryOf(target, metadata);
    const revision = metadata.annotations?.[target.revisionAnnotation];
    // What is not recorded at all is damage of another kind.
    if (!entry || revision === undefined) return false;
    const isSame = (known: Applied) =>
      known.resourceVersion === metadata.resourceVersion || (known.time ?? "") === (entry.time ?? "");
    const said = resource.status?.secretRef?.name === target.name ? resource.status.applied : undefined;
    const isSaid = said?.revision === revision;
    const known = this.#of(resource, target);
    if (known) {
      if (isSame(known)) return this.#isOfTheSameSecond(known, target, metadata);
      // Another replica may have applied it since, and said so.
      if (!isSaid || !isSame(said)) return true;
    } else if (isSaid && !isSame(said)) return true;
    this.#remember(resource, target, isSaid ? said : appliedIn(target, revision, metadata), undefined);
    return false;
  }

  /** @param key namespace/name of a SyncedSecret that is no more */
  forget(key: string): void {
    this.#remembered.delete(key);
  }

  /** The last apply as it is known, for the status where that is written anyway. */
  saidOf(resource: SyncedSecret, target: Target): Applied | undefined {
    const known = this.#of(resource, target);
    return known && sayable(known);
  }

  /** An apply of this process that the status does not tell of, since it could not be written then. */
  unreportedOf(resource: SyncedSecret, target: Target): Applied | undefined {
    const known = this.#of(resource, target);
    const isSaid = known?.resourceVersion === resource.status?.applied?.resourceVersion;
    return known?.at !== undefined && !isSaid ? sayable(known) : undefined;
  }

  /** An apply in the same second as ours, which no other field manager's edit explains. */
  #isOfTheSameSecond(known: Remembered, target: Target, metadata: ObjectMeta): boolean {
    if (known.resourceVersion === metadata.resourceVersion || known.at === undefined) return false;
    if (this.#clock.monotonic() - known.at > sameSecondMs) return false;
    const mine = entryOf(target, metadata);
    // An entry without a time, as of an apply that changed no value, explains it too.
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

function entryOf({ manager }: Target, { managedFields }: ObjectMeta): ManagedFieldsEntry | undefined {
  return managedFields?.find((entry) => entry.manager === manager && entry.operation === "Apply" && !entry.subresource);
}

function appliedIn(target: Target, revision: string, metadata: ObjectMeta): Applied {
  const time = entryOf(target, metadata)?.time;
  return { revision, resourceVersion: metadata.resourceVersion ?? "", ...(time === undefined ? {} : { time }) };
}

function sayable({ revision, resourceVersion, time }: Remembered): Applied {
  return { revision, resourceVersion, ...(time === undefined ? {} : { time }) };
}
