import { isDeepStrictEqual } from "node:util";
import type { SyncedSecret } from "../../api/types.ts";
import { Canceled, type IsWanted, orAborted } from "../../runtime/cancellation.ts";
import type { Lane } from "../../runtime/lane.ts";
import type { Connections, Granted } from "../connection/connections.ts";
import { plan } from "./plan.ts";

/** One try to reconcile a SyncedSecret, for as long as what it was begun under holds. */
export interface Attempt {
  /** Whom its reads and writes are for. */
  readonly lane: Lane;
  /** Whether what it was begun under holds still; asked before each read and each write. */
  readonly isWanted: IsWanted;
  /** Aborts as soon as the watch shows that it does not. */
  readonly signal: AbortSignal;
}

/** An attempt that nothing cancels. */
export function uncanceled(lane: Lane): Attempt {
  return { lane, isWanted: () => true, signal: new AbortController().signal };
}

/** @throws Canceled where what an attempt was begun under holds no more */
export function check({ isWanted }: Attempt): void {
  if (!isWanted()) throw new Canceled();
}

/** Waits for AWS for no longer than the attempt is wanted. @throws Canceled */
export function awaitAws<T>({ signal }: Attempt, answer: Promise<T>): Promise<T> {
  return orAborted(answer, signal);
}

export interface AttemptsOptions {
  /** A SyncedSecret as the watch shows it now. */
  find: (key: string) => SyncedSecret | undefined;
  connections: Pick<Connections, "grant">;
}

/** What an attempt was begun under. */
interface Basis {
  readonly uid: string | undefined;
  readonly generation: number | undefined;
  /** Undefined where nothing was granted: then nothing is read. */
  granted: Granted | undefined;
}

/** The attempts under way, and whether what each was begun under still holds. */
export class Attempts {
  readonly #options: AttemptsOptions;
  readonly #underWay = new Map<string, { basis: Basis; canceler: AbortController }>();

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  begin(key: string, resource: SyncedSecret, lane: Lane): Attempt {
    const { uid, generation } = resource.metadata;
    const basis = { uid, generation, granted: this.#grantedTo(resource) };
    const canceler = new AbortController();
    const { signal } = canceler;
    this.#underWay.set(key, { basis, canceler });
    return { lane, signal, isWanted: () => !signal.aborted && this.#holds(key, basis) };
  }

  end(key: string): void {
    this.#underWay.delete(key);
  }

  /**
   * Cancels the attempt of a SyncedSecret, if one is under way under what holds no more.
   *
   * @returns whether the SyncedSecret may read on: all that its spec names is allowed
   */
  recheck(key: string): boolean {
    const attempt = this.#underWay.get(key);
    if (attempt && !this.#holds(key, attempt.basis)) {
      attempt.canceler.abort(new Canceled());
      return false;
    }
    const resource = this.#options.find(key);
    if (!resource || resource.metadata.deletionTimestamp || resource.spec.suspend) return false;
    const granted = attempt ? attempt.basis.granted : this.#grantedTo(resource);
    return granted !== undefined && (attempt !== undefined || isAllowed(resource, granted));
  }

  #holds(key: string, basis: Basis): boolean {
    const resource = this.#options.find(key);
    if (!resource) return false;
    const { uid, generation, deletionTimestamp } = resource.metadata;
    if (uid !== basis.uid || generation !== basis.generation || deletionTimestamp) return false;
    if (!basis.granted) return true;
    const granted = this.#grantedTo(resource);
    if (!granted || !isCovered(basis.granted, granted, resource)) return false;
    basis.granted = granted;
    return true;
  }

  #grantedTo(resource: SyncedSecret): Granted | undefined {
    const grant = this.#options.connections.grant(resource);
    return grant.state === "granted" ? grant.granted : undefined;
  }
}

/** Whether what is begun under one grant may go on under another. */
function isCovered(before: Granted, after: Granted, resource: SyncedSecret): boolean {
  const regions = ({ standIns = [] }: Granted) => standIns.map(({ region }) => region);
  const isSameIdentity =
    before.identity.key === after.identity.key &&
    before.account === after.account &&
    before.closed === after.closed &&
    isDeepStrictEqual(before.binding, after.binding) &&
    isDeepStrictEqual(regions(before), regions(after));
  if (!isSameIdentity) return false;
  const isSameList = (["parameters", "keyIds", "discovery"] as const).every(
    (list) => before[list] === after[list] || isDeepStrictEqual(before[list], after[list]),
  );
  return isSameList || isAllowed(resource, after);
}

/** Whether a grant allows all that a SyncedSecret's spec names. */
function isAllowed({ spec, metadata }: SyncedSecret, granted: Granted): boolean {
  return plan(spec, granted, { namespace: metadata.namespace!, name: metadata.name! }).refused.length === 0;
}
