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
  /** Asks KMS, in its turn. Rejects with Failure, or with Canceled where the key is not wanted by then. */
  describe: (identity: Identity, keyId: string, lane: Lane, isWanted: IsWanted) => Promise<KeyDescription>;
  clock: Clock;
  metrics: Metrics;
  log: Log;
  /** Called with the dependants of a key when what is known of it has changed. */
  changed: (dependants: readonly string[], lane: Lane) => void;
}

/** What is known of the keys that a dependent uses. */
export interface Findings {
  risks: KeyRisk[];
  /** Names of keys that nothing is known of, as they were given: what was said of them before may still hold. */
  unseen: readonly string[];
}

/** Milliseconds within which a key that is new here is looked at first. */
const firstWithinMs = 300_000;
/** Milliseconds between two looks at a key. */
const everyMs = 3_600_000;
/** Milliseconds after which a look that AWS did not answer is tried again. */
const againMs = 300_000;
/** Milliseconds after which a key that may not be described is asked for again: permissions are granted seldom. */
const deniedMs = 86_400_000;

/** A key as one identity uses it: identities share nothing, so that nobody learns of a key that is not theirs. */
interface Watched {
  readonly identity: Identity;
  /** An ARN, an id or an alias. */
  readonly name: string;
  readonly dependants: Set<string>;
  /** What KMS said last; `gone` where it said that there is no such key; undefined while nothing is known. */
  seen: KeyDescription | "gone" | undefined;
  risk: KeyRisk | undefined;
  isDenied: boolean;
  timer: Timer | undefined;
  looking: Promise<boolean> | undefined;
}

/**
 * Looks at the keys in use once an hour by kms:DescribeKey, each at a moment of its own within the hour, and at once
 * when an event says so. The permission is optional: where it is missing, nothing is known and nothing is said.
 */
export class KeyWatch {
  readonly #options: KeyWatchOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #byDependent = new Map<string, Set<Watched>>();

  constructor(options: KeyWatchOptions) {
    this.#options = options;
    options.metrics.atScrape(() => this.#measure());
  }

  /**
   * Says which keys a dependent uses; this takes the place of what was said before.
   *
   * @param names ARNs, ids or aliases; empty where it uses none any more
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

  /** What is known of a dependent's keys. */
  findings(dependent: string): Findings {
    const watched = [...(this.#byDependent.get(dependent) ?? [])];
    return {
      risks: watched.flatMap(({ risk }) => risk ?? []),
      unseen: watched.flatMap(({ seen, isDenied, name }) => (seen === undefined || isDenied ? [name] : [])),
    };
  }

  /**
   * Looks at a key at once, as every one of these identities that uses it.
   *
   * @param arn of the key
   * @returns whether KMS answered, and who uses the key
   */
  async announced(identityKeys: ReadonlySet<string>, arn: string): Promise<{ isHeard: boolean; dependants: string[] }> {
    const concerned = [...this.#watched.values()].filter(
      (watched) => identityKeys.has(watched.identity.key) && isNamed(watched, arn),
    );
    const heard = await Promise.all(
      concerned.map(async (watched) => {
        // One that is under way may have been answered before what is announced.
        await watched.looking;
        return this.#look(watched, "event");
      }),
    );
    return { isHeard: heard.every(Boolean), dependants: concerned.flatMap(({ dependants }) => [...dependants]) };
  }

  stop(): void {
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
        // A fault of our own must not be the last look at a key.
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

  /** Says once that a key may not be looked at: that is a choice, and none of it is news the next day. */
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
    keyDeletion.reset();
    keyMaterialExpiration.reset();
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

/** Whether an ARN is that of a key, however it is named; an alias is known once it has been looked at. */
function isNamed({ name, seen }: Watched, arn: string): boolean {
  if (name === arn || name === arn.slice(arn.indexOf("/") + 1)) return true;
  return seen !== undefined && seen !== "gone" && seen.arn === arn;
}

/** A number in [0, 1) that is a key's own, so that looks at many are spread, and alike in every process. */
function fractionOf(key: string): number {
  return createHash("sha256").update(key).digest().readUInt32BE(0) / 2 ** 32;
}
