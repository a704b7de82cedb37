import { type Clock, sleep } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import type { KubeClient } from "./client.ts";
import { KubeError } from "./errors.ts";
import { type Resource, syncedSecrets } from "./resource.ts";

export interface AccessCheckOptions {
  client: Pick<KubeClient, "list">;
  /** What is listed, one object of it: SyncedSecrets, which the operator cannot work without. */
  resource?: Resource;
  /** Where; everywhere when left out. */
  namespace?: string | undefined;
  clock: Clock;
  log: Log;
}

/** Milliseconds between two looks. */
const lookMs = 10_000;
/** Milliseconds of refusals in a row that count: shorter ones come with a rotated token or a restarting server. */
const refusedForMs = 30_000;

/**
 * Notices that the API server no longer takes the operator's credentials (401), or lets it do nothing any more (403). A watch
 * that was begun before goes on for minutes, so that it would show nothing.
 */
export class AccessCheck {
  readonly #options: AccessCheckOptions;
  /** Monotonic milliseconds of the first refusal since the last answer. */
  #refusedSince: number | undefined;
  #isTold = false;

  constructor(options: AccessCheckOptions) {
    this.#options = options;
  }

  /** Whether all looks of half a minute were refused. A server that does not answer refuses nothing. */
  get isRefused(): boolean {
    return this.#refusedSince !== undefined && this.#options.clock.monotonic() - this.#refusedSince >= refusedForMs;
  }

  /** Looks until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#look(signal);
      await sleep(this.#options.clock, lookMs, signal);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { client, resource = syncedSecrets, namespace, clock, log } = this.#options;
    const where = namespace === undefined ? {} : { namespace };
    try {
      await client.list(resource, { ...where, limit: 1, metadataOnly: true, signal });
      if (this.#isTold) log.info({}, "the API server takes the operator's credentials again");
      this.#refusedSince = undefined;
      this.#isTold = false;
    } catch (error) {
      if (!(error instanceof KubeError) || (error.kind !== "unauthorized" && error.kind !== "forbidden")) return;
      this.#refusedSince ??= clock.monotonic();
      if (!this.isRefused || this.#isTold) return;
      this.#isTold = true;
      const hint = "check the ServiceAccount, its token and its roles";
      log.error({ error: error.message }, `the API server refuses the operator's credentials: ${hint}`);
    }
  }
}
