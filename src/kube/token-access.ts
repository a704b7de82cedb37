import { createHmac, randomBytes } from "node:crypto";
import type { Verdict } from "../metrics/guard.ts";
import { orAborted } from "../runtime/cancellation.ts";
import type { Clock } from "../runtime/clock.ts";
import { defectOf } from "../runtime/defect.ts";
import type { Log } from "../runtime/log.ts";
import { SingleFlight } from "../runtime/single-flight.ts";
import { KeyedTokenBuckets, TokenBucket } from "../runtime/token-bucket.ts";
import { TtlMap } from "../runtime/ttl-map.ts";
import type { KubeClient } from "./client/client.ts";
import { KubeError } from "./errors.ts";
import { subjectAccessReviews, tokenReviews } from "./resource.ts";

/** A client's credentials, and where it comes from. */
export interface TokenBearer {
  token: string;
  /** The IP address of the connection. */
  address: string;
}

export interface TokenAccessOptions {
  client: Pick<KubeClient, "review">;
  clock: Clock;
  log: Log;
  /** The path that the client requests: `/metrics`. RBAC calls it a nonResourceURL. */
  path: string;
}

/** The part of a TokenReview's status that is used. */
interface Authentication {
  authenticated?: boolean;
  user?: { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> };
}

/** Milliseconds for which an answer is kept (controller-runtime: 1 minute and 30 seconds). */
const keptMs = { allowed: 60_000, refused: 30_000 };
/** Maximum number of answers that are kept. */
const maxAnswers = 1_000;
/** Milliseconds for which a token and an address are known after they were allowed. */
const knownMs = 3_600_000;
/** Reviews of unknown tokens: of one address, and of all addresses that are not known. */
const perAddress = { size: 10, perSecond: 0.2, maxKeys: 1_024 };
const ofAll = { size: 20, perSecond: 2 };
/** Milliseconds for both reviews of one token (controller-runtime: 10 s). */
const withinMs = 10_000;

/** RFC 6750, b64token. */
const tokenForm = /^[A-Za-z0-9\-._~+/]{1,8192}={0,2}$/;

/**
 * Decides by TokenReview and SubjectAccessReview whether a client may get a path. Answers are cached for a short time by
 * a keyed digest of the token; the token itself is not kept. Clients that send many wrong tokens are limited by their
 * address, so that they load neither the API server nor keep out clients that were allowed before.
 */
export class TokenAccess {
  readonly #options: TokenAccessOptions;
  readonly #key = randomBytes(32);
  readonly #answers: TtlMap<string, Verdict>;
  readonly #known: TtlMap<string, true>;
  readonly #reviews = new SingleFlight<Verdict>();
  readonly #perAddress: KeyedTokenBuckets;
  readonly #ofAll: TokenBucket;
  /** The last failure that was logged. */
  #failure: string | undefined;

  constructor(options: TokenAccessOptions) {
    const { clock } = options;
    this.#options = options;
    this.#answers = new TtlMap({ clock, ttlMs: keptMs.refused, maxSize: maxAnswers });
    this.#known = new TtlMap({ clock, ttlMs: knownMs, maxSize: maxAnswers });
    this.#perAddress = new KeyedTokenBuckets(clock, perAddress);
    this.#ofAll = new TokenBucket(clock, { size: () => ofAll.size, perSecond: () => ofAll.perSecond });
  }

  /** Never rejects. */
  async check({ token, address }: TokenBearer): Promise<Verdict> {
    if (!tokenForm.test(token)) return { kind: "unauthenticated" };
    const digest = createHmac("sha256", this.#key).update(token).digest("base64");
    const answer = this.#answers.get(digest);
    if (answer) return answer;
    const running = this.#reviews.get(digest);
    if (running) return running;
    const waitMs = this.#waitMs(digest, address);
    if (waitMs > 0) return { kind: "limited", retryAfterMs: waitMs };
    return this.#reviews.run(() => this.#review(token, digest, address), digest);
  }

  /** Milliseconds until the API server may be asked about a token; 0 if it may be now, which then counts. */
  #waitMs(digest: string, address: string): number {
    if (this.#known.has(digest)) return 0;
    const isKnown = this.#known.has(address);
    const waitMs = Math.max(this.#perAddress.waitMs(address), isKnown ? 0 : this.#ofAll.waitMs);
    if (waitMs > 0) return waitMs;
    this.#perAddress.spend(address);
    if (!isKnown) this.#ofAll.spend();
    return 0;
  }

  async #review(token: string, digest: string, address: string): Promise<Verdict> {
    const { clock, log } = this.#options;
    const limit = new AbortController();
    const timer = clock.setTimer(() => limit.abort(new KubeError("timeout", `no answer in ${withinMs} ms`)), withinMs);
    try {
      const access = await orAborted(this.#ask(token, limit.signal), limit.signal);
      if (this.#failure !== undefined) log.info({}, "the API server checks clients of the metrics again");
      this.#failure = undefined;
      const isAllowed = access.kind === "allowed";
      this.#answers.set(digest, access, isAllowed ? keptMs.allowed : keptMs.refused);
      if (isAllowed) for (const known of [digest, address]) this.#known.set(known, true);
      else log.debug({ address, ...access }, "a client of the metrics is refused");
      return access;
    } catch (error) {
      this.#failed(error);
      return { kind: "unknown" };
    } finally {
      timer.cancel();
    }
  }

  async #ask(token: string, signal: AbortSignal): Promise<Verdict> {
    const { client, path } = this.#options;
    const { authenticated, user } = await client.review<Authentication>(tokenReviews, { token }, { signal });
    if (authenticated !== true || !user?.username) return { kind: "unauthenticated" };
    const { username, uid, groups, extra } = user;
    const spec = { user: username, uid, groups, extra, nonResourceAttributes: { path, verb: "get" } };
    const { allowed } = await client.review<{ allowed?: boolean }>(subjectAccessReviews, spec, { signal });
    return allowed === true ? { kind: "allowed" } : { kind: "forbidden", user: username };
  }

  #failed(error: unknown): void {
    const { log } = this.#options;
    if (!(error instanceof KubeError)) {
      log.error(defectOf(error), "the operator itself failed to check a client of the metrics");
      return;
    }
    const level = this.#failure === error.message ? "debug" : "error";
    this.#failure = error.message;
    const hint =
      error.kind === "forbidden"
        ? ": grant create on tokenreviews and subjectaccessreviews (the chart's metrics.secure)"
        : "";
    log[level]({ error: error.message }, `the API server cannot check a client of the metrics${hint}`);
  }
}
