import type { Metrics } from "../metrics/metrics.ts";
import type { Clock, Random } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import type { ListWatch } from "./list-watch.ts";
import type { KubeObject, Resource } from "./resource.ts";
import { type Change, Store } from "./store.ts";

/** What a reflector follows, whom it tells, and its outside worlds. */
export interface ReflectorOptions<T extends KubeObject> {
  source: ListWatch;
  resource: Resource;
  /** One namespace; all of them when left out. */
  namespace?: string;
  labelSelector?: string;
  /** Keep apiVersion, kind and metadata only, whatever the server sends. Default false. */
  metadataOnly?: boolean;
  /** Keeps of an object what is used, so that the rest costs no memory; it must keep metadata. */
  trim?: (object: T) => T;
  /** Called when the store already holds `after`; it should enqueue the key and return. */
  onChange: (change: Change<T>) => void;
  clock: Clock;
  random: Random;
  metrics: Pick<Metrics, "watchRestarts">;
  log: Log;
  /** Ask for the first state as a stream (Kubernetes 1.34 and later; others fall back to a list). Default false. */
  useWatchList?: boolean;
  /**
   * Milliseconds without a byte after which a watch is taken for dead. Default 150,000: two and a half times the
   * minute at which the API server sends bookmarks.
   */
  silenceMs?: number;
}

/** Keeps a store equal to what the API server holds, by list and watch, for as long as it runs. */
export class Reflector<T extends KubeObject> {
  readonly store = new Store<T>();
  /** Resolves at the first full state; never, when the run ends before. */
  readonly synced: Promise<void>;
  #lastResourceVersion = "";
  #lastEventAt: number | undefined;
  #hasSynced = false;
  #announceSync: () => void;
  #options: ReflectorOptions<T>;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#announceSync = resolve;
  }

  /** Whether the store has held a full state; it stays true from then on. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** The resourceVersion that the store stands at; opaque, empty before the first state. */
  get lastResourceVersion(): string {
    return this.#lastResourceVersion;
  }

  /** When the last list or event came (milliseconds since the epoch). */
  get lastEventAt(): number | undefined {
    return this.#lastEventAt;
  }

  /** Follows the resource until `signal` aborts; then it resolves, and nothing is called any more. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    void [signal, this.#options, this.#announceSync];
    throw new Error("under way");
  }
}
