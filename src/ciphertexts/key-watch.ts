import { createHash } from "node:crypto";
import { AwsFailure } from "../aws/failure.ts";
import type { Identity } from "../aws/identity.ts";
import type { KeyDescription } from "../aws/kms.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { Canceled, type IsWanted } from "../runtime/cancellation.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import { Failure } from "../runtime/failure.ts";
import type { Lane } from "../runtime/lane.ts";
import type { Log } from "../runtime/log.ts";
import { type KeyRisk, riskOf } from "./key-health.ts";

export interface KeyWatchOptions {
  /** Calls KMS under the rate limiter. Rejects with Failure, or with Canceled if the key is no longer used. */
  describe: (identity: Identity, keyId: string, lane: Lane, isWanted: IsWanted) => Promise<KeyDescription>;
  clock: Clock;
  metrics: Metrics;
  log: Log;
  /** Called with the dependents of a key when its known state changes. */
  changed: (dependants: readonly string[], lane: Lane) => void;
}

/** The known state of a dependent's keys. */
export interface Findings {
  risks: KeyRisk[];
  /** Names of keys with unknown state: an earlier status of them may still apply. */
  unseen: readonly string[];
}

/** Maximum milliseconds until the first look at a new key. */
const firstWithinMs = 300_000;
/** Milliseconds between looks at a key. */
const everyMs = 3_600_000;
/** Milliseconds until a failed look is retried. */
const againMs = 300_000;
/** Milliseconds until a denied look is retried: permissions rarely change. */
const deniedMs = 86_400_000;

/** A key as used by one identity. Identities share no state, so none learns of another's keys. */
interface Watched {
  readonly identity: Identity;
  /** An ARN, an id or an alias. */
  readonly name: string;
  readonly dependants: Set<string>;
  /** The last answer of KMS; `gone` after NotFound; undefined while unknown. */
  seen: KeyDescription | "gone" | undefined;
  risk: KeyRisk | undefined;
  isDenied: boolean;
  timer: Timer | undefined;
  looking: Promise<boolean> | undefined;
}

/**
 * Calls kms:DescribeKey for each key in use once an hour, spread over the hour, and immediately after an event. The
 * permission is optional: without it, key states are unknown and not reported.
 */
export class KeyWatch {
  readonly #options: KeyWatchOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #byDependent = new Map<string, Set<Watched>>();
  readonly #endMeasuring: () => void;

  constructor(options: KeyWatchOptions) {
    this.#options = options;
    this.#endMeasuring = options.metrics.atScrape(() => this.#measure());
  }

  /**
   * Sets the keys that a dependent uses, and replaces the previous ones.
   *
   * @param names ARNs, ids or aliases; empty to remove the dependent
   */
  depend(dependent: string, identity: Identity | undefined, names: readonly string[]): void {
    const wanted = new Set(identity ? names.map((name) => this.#of(identity, name)) : []);
    const before = this.#byDependent.get(dependent) ?? new Set();
    for (const watched of wanted) watched.dependants.add(dependent);
    for (const watched of before) {
      if (wanted.has(watched)) continue;
      watched.dependants.delete(dependent);
      if (watched.dependants.size === 0) this.#drop(watched);
    }
    if (wanted.size > 0) this.#byDependent.set(dependent, wanted);
    else this.#byDependent.delete(dependent);
  }

  /** Returns the known state of a dependent's keys. */
  findings(dependent: string): Findings {
    const watched = [...(this.#byDependent.get(dependent) ?? [])];
    return {
      risks: watched.flatMap(({ risk }) => risk ?? []),
      unseen: watched.flatMap(({ seen, isDenied, name }) => (seen === undefined || isDenied ? [name] : [])),
    };
  }

  /**
   * Looks at a key immediately, as each of these identities that uses it.
   *
   * @param arn of the key
   * @returns whether KMS answered, and the key's dependents
   */
  async announced(identityKeys: ReadonlySet<string>, arn: string): Promise<{ isHeard: boolean; dependants: string[] }> {
    const concerned = [...this.#watched.values()].filter(
      (watched) => identityKeys.has(watched.identity.key) && isNamed(watched, arn),
    );
    const heard = await Promise.all(
      concerned.map(async (watched) => {
        // A look in flight may return the state before the event.
        await watched.looking;
        return this.#look(watched, "event");
      }),
    );
    return { isHeard: heard.every(Boolean), dependants: concerned.flatMap(({ dependants }) => [...dependants]) };
  }

  stop(): void {
    this.#endMeasuring();
    for (const { timer } of this.#watched.values()) timer?.cancel();
    this.#watched.clear();
    this.#byDependent.clear();
  }

  #of(identity: Identity, name: string): Watched {
    const key = keyOf(identity, name);
    let watched = this.#watched.get(key);
    if (!watched) {
      watched = {
        ...{ identity, name, dependants: new Set<string>(), isDenied: false },
        ...{ seen: undefined, risk: undefined, timer: undefined, looking: undefined },
      };
      this.#watched.set(key, watched);
      this.#lookAfter(watched, firstWithinMs * fractionOf(key));
    }
    return watched;
  }

  #drop(watched: Watched): void {
    watched.timer?.cancel();
    this.#watched.delete(keyOf(watched.identity, watched.name));
  }

  #isIn(watched: Watched): boolean {
    return this.#watched.get(keyOf(watched.identity, watched.name)) === watched;
  }

  #lookAfter(watched: Watched, ms: number): void {
    watched.timer?.cancel();
    watched.timer = this.#options.clock.setTimer(() => void this.#look(watched, "poll"), ms);
  }

  /** @returns whether KMS answered; never rejects */
  #look(watched: Watched, lane: Lane): Promise<boolean> {
    watched.timer?.cancel();
    watched.looking ??= this.#ask(watched, lane).finally(() => {
      watched.looking = undefined;
    });
    return watched.looking;
  }

  async #ask(watched: Watched, lane: Lane): Promise<boolean> {
    const { describe, clock } = this.#options;
    let againAfterMs = everyMs;
    let isHeard = true;
    const was = { risk: watched.risk, isKnown: watched.seen !== undefined && !watched.isDenied };
    try {
      watched.seen = await describe(watched.identity, watched.name, lane, () => this.#isIn(watched));
      watched.isDenied = false;
    } catch (error) {
      if (error instanceof Canceled) return false;
      if (!(error instanceof Failure)) {
        // Keep looking at the key after an internal error.
        const name = error instanceof Error ? error.name : typeof error;
        this.#options.log.error({ key: watched.name, error: name }, "a look at a key failed; it is tried again");
        isHeard = false;
        againAfterMs = againMs;
      } else if (error instanceof AwsFailure && error.code === "NotFoundException") {
        watched.seen = "gone";
        watched.isDenied = false;
      } else if (error.reason === "AccessDenied") {
        this.#denied(watched, error);
        againAfterMs = deniedMs;
      } else {
        isHeard = error.next !== "retry";
        againAfterMs = isHeard ? everyMs : againMs;
      }
    }
    if (!this.#isIn(watched)) return isHeard;
    this.#lookAfter(watched, againAfterMs);
    if (watched.seen === undefined) return isHeard;
    watched.risk = riskOf(watched.seen === "gone" ? undefined : watched.seen, watched.name, clock.now());
    const isNews = watched.risk?.message !== was.risk?.message || (!was.isKnown && !watched.isDenied);
    if (isNews) this.#options.changed([...watched.dependants], lane === "event" ? "event" : "bulk");
    return isHeard;
  }

  /** Logs a denied look once per key: omitting the permission is a valid choice. */
  #denied(watched: Watched, { message }: Failure): void {
    if (!watched.isDenied) {
      this.#options.log.info(
        { key: watched.name, denied: message },
        "a key's health is not known: allow kms:DescribeKey",
      );
    }
    watched.isDenied = true;
  }

  #measure(): void {
    const { keyDeletion, keyMaterialExpiration } = this.#options.metrics;
    for (const { seen } of this.#watched.values()) {
      if (seen === undefined || seen === "gone") continue;
      const { arn: key, deletionAt, validTo } = seen;
      if (deletionAt !== undefined) keyDeletion.set({ key }, deletionAt / 1_000);
      if (validTo !== undefined) keyMaterialExpiration.set({ key }, validTo / 1_000);
    }
  }
}

function keyOf({ key }: Identity, name: string): string {
  return `${key} ${name}`;
}

/** Reports whether a key has this ARN; an alias matches after its first look. */
function isNamed({ name, seen }: Watched, arn: string): boolean {
  if (name === arn || name === arn.slice(arn.indexOf("/") + 1)) return true;
  return seen !== undefined && seen !== "gone" && seen.arn === arn;
}

/** Hashes a key to a number in [0, 1), which spreads looks and is the same in every process. */
function fractionOf(key: string): number {
  return createHash("sha256").update(key).digest().readUInt32BE(0) / 2 ** 32;
}
