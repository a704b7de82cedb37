import { isDeepStrictEqual } from "node:util";
import type { SyncedSecret } from "../../../api/types.ts";
import { Canceled, type IsWanted, orAborted } from "../../../runtime/cancellation.ts";
import type { Lane } from "../../../runtime/lane.ts";
import { noSpan, type Span } from "../../../runtime/tracing.ts";
import type { Connections } from "../../connection/connections.ts";
import type { Granted } from "../../grants.ts";
import { plan } from "../plan/plan.ts";

/** One attempt to reconcile a SyncedSecret, canceled as soon as its basis changes. */
export interface Attempt {
  /** The lane of its reads and writes. */
  readonly lane: Lane;
  /** Whether the basis still holds; checked before each read and each write. */
  readonly isWanted: IsWanted;
  /** Aborts as soon as a watch shows that the basis has changed. */
  readonly signal: AbortSignal;
  /** The span that its steps belong to. */
  readonly span: Span;
}

/** An attempt that is never canceled. */
export function uncanceled(lane: Lane): Attempt {
  return { lane, isWanted: () => true, signal: new AbortController().signal, span: noSpan };
}

/** @throws Canceled if the attempt's basis has changed */
export function check({ isWanted }: Attempt): void {
  if (!isWanted()) throw new Canceled();
}

/** Waits for AWS until the attempt is canceled. @throws Canceled */
export function awaitAws<T>({ signal }: Attempt, answer: Promise<T>): Promise<T> {
  return orAborted(answer, signal);
}

export interface AttemptsOptions {
  /** A SyncedSecret in the watch cache. */
  find: (key: string) => SyncedSecret | undefined;
  connections: Pick<Connections, "grant">;
}

/** The identity, spec and grant under which an attempt began. */
interface Basis {
  readonly uid: string | undefined;
  readonly generation: number | undefined;
  /** Undefined if nothing was granted: then nothing is read. */
  granted: Granted | undefined;
}

/** The attempts under way. */
export class Attempts {
  readonly #options: AttemptsOptions;
  readonly #underWay = new Map<string, { basis: Basis; canceler: AbortController }>();

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  begin(key: string, resource: SyncedSecret, lane: Lane, span: Span): Attempt {
    const { uid, generation } = resource.metadata;
    const basis = { uid, generation, granted: this.#grantedTo(resource) };
    const canceler = new AbortController();
    const { signal } = canceler;
    this.#underWay.set(key, { basis, canceler });
    return { lane, signal, span, isWanted: () => !signal.aborted && this.#holds(key, basis) };
  }

  end(key: string): void {
    this.#underWay.delete(key);
  }

  /**
   * Cancels the attempt under way of a SyncedSecret if its basis has changed.
   *
   * @returns whether reads may continue: the connection allows everything that the spec names
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

/** Whether an attempt that began under one grant may continue under another. */
function isCovered(before: Granted, after: Granted, resource: SyncedSecret): boolean {
  if (before === after) return true;
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

/** Whether a grant allows everything that a SyncedSecret's spec names. */
function isAllowed({ spec, metadata }: SyncedSecret, granted: Granted): boolean {
  return plan(spec, granted, { namespace: metadata.namespace!, name: metadata.name! }).refused.length === 0;
}
