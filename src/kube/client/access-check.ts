import { type Clock, sleep } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { KubeError } from "../errors.ts";
import { type Resource, syncedSecrets } from "../resource.ts";
import type { KubeClient } from "./client.ts";

export interface AccessCheckOptions {
  client: Pick<KubeClient, "list">;
  /** The resource of which one object is listed. Default: SyncedSecrets, which the operator cannot work without. */
  resource?: Resource;
  /** Default: all namespaces. */
  namespace?: string | undefined;
  clock: Clock;
  log: Log;
}

/** Milliseconds between two checks. */
const intervalMs = 10_000;
/**
 * Milliseconds of consecutive refusals that count. Shorter ones occur when a token is rotated or the server restarts.
 */
const refusedForMs = 30_000;

/**
 * Detects that the API server no longer accepts the operator's credentials (401) or permissions (403). Established
 * watches do not show this, because they continue for minutes.
 */
export class AccessCheck {
  readonly #options: AccessCheckOptions;
  /** Monotonic milliseconds of the first refusal since the last answer. */
  #refusedSince: number | undefined;
  #isLogged = false;

  constructor(options: AccessCheckOptions) {
    this.#options = options;
  }

  /** Whether all checks of the last half minute were refused. A check without an answer does not count. */
  get isRefused(): boolean {
    return this.#refusedSince !== undefined && this.#options.clock.monotonic() - this.#refusedSince >= refusedForMs;
  }

  /** Checks until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#check(signal);
      await sleep(this.#options.clock, intervalMs, signal);
    }
  }

  async #check(signal: AbortSignal): Promise<void> {
    const { client, resource = syncedSecrets, namespace, clock, log } = this.#options;
    const where = namespace === undefined ? {} : { namespace };
    try {
      await client.list(resource, { ...where, limit: 1, metadataOnly: true, signal });
      if (this.#isLogged) log.info({}, "the API server accepts the operator's credentials again");
      this.#refusedSince = undefined;
      this.#isLogged = false;
    } catch (error) {
      if (!(error instanceof KubeError) || (error.kind !== "unauthorized" && error.kind !== "forbidden")) return;
      this.#refusedSince ??= clock.monotonic();
      if (!this.isRefused || this.#isLogged) return;
      this.#isLogged = true;
      const hint = "check the ServiceAccount, its token and its roles";
      log.error({ error: error.message }, `the API server rejects the operator's credentials: ${hint}`);
    }
  }
}
