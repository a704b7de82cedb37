import type { IsWanted } from "../../runtime/cancellation.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { AwsFailure, isAnswer, isSilence } from "../failure.ts";
import type { Identity } from "../identity.ts";
import type { Service } from "./quota-registry.ts";

/** A service is down after this many milliseconds without an answer, and this many unanswered calls. */
const downAfter = { ms: 30_000, calls: 3 };
/** Milliseconds between two probes of a service that is down. */
const probeEveryMs = 30_000;

export interface OutagesOptions {
  clock: Clock;
  /**
   * Makes one cheap call that reads no resource of the user. Its outcome is noted like that of any call. Rejects with
   * what the call threw. `isWanted` tells whether the identity is still in use.
   */
  probe: (identity: Identity, service: Service, isWanted: IsWanted) => Promise<unknown>;
  /** Called with each user of an identity when a service of its region goes down or answers again. */
  changed: (user: string) => void;
}

/** A service that has not answered for some time. */
interface Silence {
  /** Monotonic milliseconds of the first call that was not answered. */
  since: number;
  calls: number;
  isDown: boolean;
  /** Whether a probe is in flight, to tell an outage of the service from a failure of one name. */
  isProbing: boolean;
  timer: Timer | undefined;
}

interface Watched {
  identity: Identity;
  users: Set<string>;
  silences: Map<Service, Silence>;
}

/**
 * Detects which services are down in an identity's region. Any answer counts, also a denial or a throttle. A service is
 * down when at least three calls in half a minute, and then a probe, were not answered. The probe is needed because all
 * calls of an identity may concern one parameter or key that AWS fails at. While a service is down, probes continue, so
 * that its return is detected without other calls. Each identity is judged by its own calls.
 */
export class Outages {
  readonly #options: OutagesOptions;
  readonly #watched = new Map<string, Watched>();

  constructor(options: OutagesOptions) {
    this.#options = options;
  }

  /** Watches an identity's calls for a user that has standby regions. */
  watch(user: string, identity: Identity): void {
    const watched = this.#watched.get(identity.key) ?? { identity, users: new Set(), silences: new Map() };
    watched.users.add(user);
    this.#watched.set(identity.key, watched);
  }

  unwatch(user: string, identityKey: string): void {
    const watched = this.#watched.get(identityKey);
    watched?.users.delete(user);
    if (!watched || watched.users.size > 0) return;
    for (const { timer } of watched.silences.values()) timer?.cancel();
    this.#watched.delete(identityKey);
  }

  /**
   * Records the outcome of a call.
   *
   * @param error what the call threw; undefined if it was answered
   */
  note(identityKey: string, service: Service, error?: unknown): void {
    const watched = this.#watched.get(identityKey);
    // Descriptions are only read in the identity's own region.
    if (!watched || service === "describe") return;
    const silence = watched.silences.get(service);
    if (!(error instanceof AwsFailure) || isAnswer(error)) {
      if (!silence || (error !== undefined && !(error instanceof AwsFailure))) return;
      silence.timer?.cancel();
      watched.silences.delete(service);
      if (silence.isDown) this.#tell(watched);
    } else if (isSilence(error)) this.#silent(watched, service);
  }

  isWatched(identityKey: string): boolean {
    return this.#watched.has(identityKey);
  }

  /** Whether a service of the identity's region is down. */
  isDown(identityKey: string, service: Service): boolean {
    return this.#watched.get(identityKey)?.silences.get(service)?.isDown ?? false;
  }

  /** Cancels all timers. */
  stop(): void {
    for (const { silences } of this.#watched.values()) for (const { timer } of silences.values()) timer?.cancel();
    this.#watched.clear();
  }

  #silent(watched: Watched, service: Service): void {
    const now = this.#options.clock.monotonic();
    const silence: Silence = watched.silences.get(service) ?? {
      since: now,
      calls: 0,
      isDown: false,
      isProbing: false,
      timer: undefined,
    };
    watched.silences.set(service, silence);
    silence.calls += 1;
    if (silence.isDown || silence.isProbing) return;
    if (silence.calls < downAfter.calls || now - silence.since < downAfter.ms) return;
    void this.#confirm(watched, service, silence);
  }

  async #confirm(watched: Watched, service: Service, silence: Silence): Promise<void> {
    silence.isProbing = true;
    const isSilentToo = await this.#probe(watched, service);
    silence.isProbing = false;
    if (!isSilentToo || !this.#isCurrent(watched, service, silence)) return;
    silence.isDown = true;
    this.#probeLater(watched, service, silence);
    this.#tell(watched);
  }

  #probeLater(watched: Watched, service: Service, silence: Silence): void {
    silence.timer = this.#options.clock.setTimer(async () => {
      await this.#probe(watched, service);
      if (this.#isCurrent(watched, service, silence)) this.#probeLater(watched, service, silence);
    }, probeEveryMs);
  }

  /** @returns whether the probe was not answered either */
  async #probe({ identity }: Watched, service: Service): Promise<boolean> {
    try {
      await this.#options.probe(identity, service, () => this.isWatched(identity.key));
      return false;
    } catch (error) {
      return error instanceof AwsFailure && isSilence(error);
    }
  }

  #isCurrent(watched: Watched, service: Service, silence: Silence): boolean {
    return watched.silences.get(service) === silence && this.#watched.get(watched.identity.key) === watched;
  }

  #tell({ users }: Watched): void {
    for (const user of users) this.#options.changed(user);
  }
}
