import type { RateLimiters } from "../../aws/ratelimit/limiters.ts";
import type { ParameterRecord } from "../../aws/ssm.ts";
import { tryAgain } from "../../aws/table.ts";
import { callAttributes } from "../../aws/traced.ts";
import { ByteBudget } from "../../runtime/byte-budget.ts";
import { Canceled, Waiters } from "../../runtime/cancellation.ts";
import { Failure } from "../../runtime/failure.ts";
import { type Lane, moreUrgent } from "../../runtime/lane.ts";
import { noSpan, traced } from "../../runtime/tracing.ts";
import type { ReadOptions } from "./reader.ts";
import { isBelow, type PathReference, type Reference, referenceKey } from "./reference.ts";

/** The parameters below a path. A listing is complete, or it is a failure. */
export type Listing =
  | {
      state: "found";
      records: Map<string, ParameterRecord>;
      /** If the reference has tags: names below the path without them. */
      untagged?: ReadonlySet<string>;
    }
  | {
      state: "failed";
      failure: Failure;
      /** The parameters that AWS had decrypted before the failure. */
      read?: ReadonlyMap<string, ParameterRecord>;
    };

/** Selects a part of a path. */
export interface Picks {
  /** Equal for equal selections. */
  key: string;
  /** The selected names. */
  select: (names: readonly string[]) => readonly string[];
}

/** How a path is listed. */
export interface ListOptions extends ReadOptions {
  /** Keeps only the values of the picked names. */
  picks?: Picks;
}

/** Pages of one listing, at most, 10 parameters each. A listing with more is treated as endless. */
const pagesAtMost = 2_000;
/** Bytes of the values of one listing, at most: twice a Secret's limit, since a Secret may leave some out. */
const valuesAtMost = 2_097_152;
/** Bytes of values that listings in flight and their callers hold at once. */
const inFlightAtMost = { all: 16 * 1_048_576, ofFlow: 4 * 1_048_576, beyond: 8 };

/** Lists paths page by page. Equal concurrent listings share one, unless the running one is less urgent. */
export class PathReader {
  /** Bytes of values in flight. */
  readonly inFlight = new ByteBudget(inFlightAtMost);
  readonly #limiters: RateLimiters;
  readonly #underWay = new Map<string, { lane: Lane; listing: Promise<Listing>; waiters: Waiters }>();

  constructor(limiters: RateLimiters) {
    this.#limiters = limiters;
  }

  /**
   * Lists all parameters below a path.
   *
   * @returns the parameters by name; a failure is a state; only rejects with Canceled, if nobody wants the listing
   */
  list(reference: PathReference, options: ListOptions): Promise<Listing> {
    const key = `${options.decrypt}\n${referenceKey(reference)}\n${options.picks?.key ?? ""}`;
    const running = this.#underWay.get(key);
    if (running && moreUrgent(running.lane, options.lane) === running.lane) {
      running.waiters.join(options.isWanted);
      return running.listing;
    }
    const waiters = new Waiters(options.isWanted);
    const listing = this.#pages(reference, { ...options, isWanted: waiters.isWanted }).finally(() => {
      if (this.#underWay.get(key)?.listing === listing) this.#underWay.delete(key);
    });
    this.#underWay.set(key, { lane: options.lane, listing, waiters });
    return listing;
  }

  async #pages(reference: PathReference, options: ListOptions): Promise<Listing> {
    const { identity, path, recursive, label, types, tags } = reference;
    const { lane, namespace, isWanted, span = noSpan } = options;
    const records = new Map<string, ParameterRecord>();
    const tokens = new Set<string>();
    const untagged = new Set<string>();
    let nextToken: string | undefined;
    let bytes = 0;
    const ticket = this.inFlight.ticket(namespace ?? "");
    try {
      const tagged = tags ? await this.#tagged(reference, options) : undefined;
      if (tagged?.size === 0) return { state: "found", records, untagged };
      do {
        const token = nextToken;
        if (options.decrypt) await ticket.room();
        const permit = await this.#limiters.acquire({ service: "ssm", identity, lane, namespace, isWanted });
        const page = await traced(span, "ssm GetParametersByPath", callAttributes(identity), () =>
          identity.ssm.getParametersByPath(permit, {
            path,
            recursive,
            decrypt: options.decrypt,
            ...(label === "" ? {} : { label }),
            ...(types.length === 0 ? {} : { types: [...types] }),
            ...(token === undefined ? {} : { nextToken: token }),
          }),
        );
        const picked = options.picks && new Set(options.picks.select(page.found.map(({ name }) => name)));
        for (const one of page.found) {
          const record = picked && !picked.has(one.name) ? { ...one, value: undefined } : one;
          const before = records.get(record.name);
          if (!isBelow(record.name, reference) || (before && before.modified > record.modified)) continue;
          if (tagged && !tagged.has(record.name)) untagged.add(record.name);
          else records.set(record.name, record);
          const size = tagged && !tagged.has(record.name) ? 0 : (record.value?.size ?? 0);
          bytes += size;
          ticket.add(size);
        }
        if (bytes > valuesAtMost) return { state: "failed", failure: tooLarge(reference), read: records };
        nextToken = page.nextToken;
        if (nextToken !== undefined && (tokens.has(nextToken) || tokens.size >= pagesAtMost)) {
          return { state: "failed", failure: endless(reference) };
        }
        if (nextToken !== undefined) tokens.add(nextToken);
      } while (nextToken !== undefined);
      return { state: "found", records, ...(tags ? { untagged } : {}) };
    } catch (error) {
      if (error instanceof Canceled) throw error;
      const failure = error instanceof Failure ? error : endless(reference);
      return { state: "failed", failure, ...(options.decrypt ? { read: records } : {}) };
    } finally {
      ticket.end();
    }
  }

  /**
   * The names below a path that have the reference's tags. GetParametersByPath cannot filter by tag, nor
   * DescribeParameters by label, so both are called.
   *
   * @throws Failure
   */
  async #tagged(reference: PathReference, options: ReadOptions): Promise<Set<string>> {
    const { identity, path, recursive, types, tags = [] } = reference;
    const { lane, namespace, isWanted } = options;
    const names = new Set<string>();
    const tokens = new Set<string>();
    for (let nextToken: string | undefined; ; ) {
      const query = { path: { name: path, recursive }, tags, types, ...(nextToken === undefined ? {} : { nextToken }) };
      const permit = await this.#limiters.acquire({ service: "describe", identity, lane, namespace, isWanted });
      const page = await identity.ssm.describeParameters(permit, query);
      for (const { name } of page.found) names.add(name);
      nextToken = page.nextToken;
      if (nextToken === undefined) return names;
      if (tokens.has(nextToken) || tokens.size >= pagesAtMost) throw endless(reference);
      tokens.add(nextToken);
    }
  }
}

/** The failure of a path whose values are too large for one Secret. */
export function tooLarge(reference: Reference): Failure {
  const { identity } = reference;
  const path = reference.kind === "path" ? reference.path : reference.name;
  const message = `the parameters below ${path} in ${identity.region} have over ${valuesAtMost} bytes, and a Secret holds half of that at most: select some with include, or use a longer path`;
  return new Failure("TooLarge", "wait", message);
}

function endless(reference: PathReference): Failure {
  return new Failure(
    "Unreachable",
    "retry",
    `the list of ${reference.path} in ${reference.identity.region} did not end: ${tryAgain}`,
  );
}
