import type { Clock, Random, Timer } from "../runtime/clock.ts";
import { Sealed } from "../runtime/sealed.ts";
import { SingleFlight } from "../runtime/single-flight.ts";
import type { KubeClient } from "./client/client.ts";
import { KubeError } from "./errors.ts";

/** A ServiceAccount's namespace and name. */
export interface ServiceAccountName {
  namespace: string;
  name: string;
}

export interface ServiceAccountTokensOptions {
  client: Pick<KubeClient, "requestToken">;
  clock: Clock;
  /** Spreads the renewals of tokens that were requested together. */
  random: Random;
  /** The audience that every token has. */
  audience: string;
  /** Maximum number of tokens that are kept; the oldest is dropped first. Default 5,000. */
  maxTokens?: number;
}

/** Requested lifetime of a token in seconds. */
const lifetimeSeconds = 3_600;
/** Share of its lifetime after which a token is renewed, as by the kubelet; minus up to a tenth at random. */
const renewAfter = 0.8;
const jitter = 0.1;
/** Milliseconds before its end from which a token is no longer used. */
const overBeforeMs = 30_000;

interface Held {
  token: Sealed;
  /** On both clocks, in milliseconds: the earlier applies. */
  renewAt: { wall: number; monotonic: number };
  /** Drops the token when it has expired. */
  expiry: Timer;
}

/**
 * Tokens of ServiceAccounts for one audience, from the TokenRequest API. A token is requested when it is needed, shared
 * until four fifths of its lifetime have passed, and used until its end if it cannot be renewed.
 */
export class ServiceAccountTokens {
  readonly #options: ServiceAccountTokensOptions;
  /** By namespace/name, the oldest first. */
  readonly #held = new Map<string, Held>();
  readonly #requests = new SingleFlight<Held>();

  constructor(options: ServiceAccountTokensOptions) {
    this.#options = options;
  }

  /** The number of tokens that are kept. */
  get size(): number {
    return this.#held.size;
  }

  /** @throws KubeError if there is no usable token and none can be requested */
  async token(account: ServiceAccountName): Promise<Sealed> {
    const { clock } = this.#options;
    const key = serviceAccountKey(account);
    const held = this.#held.get(key);
    const isDue = !held || clock.now() >= held.renewAt.wall || clock.monotonic() >= held.renewAt.monotonic;
    if (held && !isDue) return held.token;
    try {
      return (await this.#requests.run(() => this.#request(account), key)).token;
    } catch (error) {
      // A ServiceAccount that is gone, or that the operator may not use any more, has no usable token.
      const isOver = error instanceof KubeError && ["notFound", "forbidden"].includes(error.kind);
      if (isOver) this.release(account);
      const usable = this.#held.get(key);
      if (!usable || isOver) throw error;
      return usable.token;
    }
  }

  /** Drops a token that was refused, unless another has replaced it. */
  forget(account: ServiceAccountName, token: Sealed): void {
    if (this.#held.get(serviceAccountKey(account))?.token === token) this.release(account);
  }

  /** Drops the token of a ServiceAccount that nobody uses. */
  release(account: ServiceAccountName): void {
    this.#drop(serviceAccountKey(account));
  }

  /** Drops all tokens. */
  clear(): void {
    for (const key of [...this.#held.keys()]) this.#drop(key);
  }

  async #request(account: ServiceAccountName): Promise<Held> {
    const { client, clock, random, audience, maxTokens = 5_000 } = this.#options;
    const before = { wall: clock.now(), monotonic: clock.monotonic() };
    const answer = await client.requestToken(account, { audiences: [audience], expirationSeconds: lifetimeSeconds });
    const { token = "", expirationTimestamp = "" } = answer.status ?? {};
    if (token === "")
      throw new KubeError("other", `POST serviceaccounts ${serviceAccountKey(account)}/token: an answer without token`);
    // The API server may grant another lifetime. Both times are of its clock, which may differ from this one.
    const granted = Date.parse(expirationTimestamp) - Date.parse(answer.metadata.creationTimestamp ?? "");
    const ms = granted > 0 ? granted : lifetimeSeconds * 1_000;
    const renewMs = ms * (renewAfter - jitter * random());
    const key = serviceAccountKey(account);
    this.#drop(key);
    const held: Held = {
      token: Sealed.text(token),
      renewAt: { wall: before.wall + renewMs, monotonic: before.monotonic + renewMs },
      expiry: clock.setTimer(() => this.#drop(key), Math.max(0, ms - overBeforeMs)),
    };
    this.#held.set(key, held);
    while (this.#held.size > maxTokens) this.#drop(this.#held.keys().next().value!);
    return held;
  }

  #drop(key: string): void {
    this.#held.get(key)?.expiry.cancel();
    this.#held.delete(key);
  }
}

/** namespace/name. */
export function serviceAccountKey({ namespace, name }: ServiceAccountName): string {
  return `${namespace}/${name}`;
}
