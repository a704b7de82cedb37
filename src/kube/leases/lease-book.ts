import type { Clock } from "../../runtime/clock.ts";
import { heldForMs, type Lease } from "./lease.ts";

interface Seen {
  lease: Lease;
  /** Monotonic milliseconds at which the Lease was first seen in this version. */
  at: number;
}

/**
 * The Leases that a watch has shown, and who holds each. As in leader election, a Lease has lapsed when it has not
 * changed for its duration, measured by this process.
 */
export class LeaseBook {
  readonly #clock: Clock;
  readonly #leaseDurationMs: number;
  readonly #seen = new Map<string, Seen>();

  /** @param leaseDurationMs milliseconds that apply to a Lease that names no duration */
  constructor(clock: Clock, leaseDurationMs: number) {
    this.#clock = clock;
    this.#leaseDurationMs = leaseDurationMs;
  }

  /** Takes a change of a Lease; undefined if it was deleted. */
  changed(name: string, lease: Lease | undefined): void {
    if (lease) this.#seen.set(name, { lease, at: this.#clock.monotonic() });
    else this.#seen.delete(name);
  }

  /** The Lease, held or not. */
  get(name: string): Lease | undefined {
    return this.#seen.get(name)?.lease;
  }

  names(): Iterable<string> {
    return this.#seen.keys();
  }

  /** The identity that holds a Lease; undefined if it is free. */
  holderOf(name: string): string | undefined {
    const seen = this.#seen.get(name);
    return seen && this.#leftMs(seen) > 0 ? seen.lease.spec?.holderIdentity : undefined;
  }

  /** An annotation of a Lease that is held. */
  annotationOf(name: string, annotation: string): string | undefined {
    return this.holderOf(name) === undefined ? undefined : this.get(name)?.metadata.annotations?.[annotation];
  }

  /** Milliseconds until the next held Lease lapses; Infinity if none is held. */
  get lapseInMs(): number {
    const left = [...this.#seen.values()].map((seen) => this.#leftMs(seen)).filter((ms) => ms > 0);
    return Math.min(Number.POSITIVE_INFINITY, ...left);
  }

  #leftMs({ lease, at }: Seen): number {
    return at + heldForMs(lease, this.#leaseDurationMs) - this.#clock.monotonic();
  }
}
