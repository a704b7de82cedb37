import type { ParameterRecord } from "../aws/ssm.ts";
import { ByteBudget } from "../runtime/byte-budget.ts";
import { Canceled, Waiters } from "../runtime/cancellation.ts";
import { Failure } from "../runtime/failure.ts";
import { type Lane, moreUrgent } from "../runtime/lane.ts";
import type { RateLimiters } from "./rate-limiters.ts";
import type { ReadOptions } from "./reader.ts";
import { isBelow, type PathReference, type Reference, referenceKey } from "./reference.ts";
import type { Picks } from "./subscription.ts";

/** What a path holds: a listing is whole, or it is a failure. */
export type Listing =
  | {
      state: "found";
      records: Map<string, ParameterRecord>;
      /** Where tags are asked for: names below the path that do not carry them. */
      untagged?: ReadonlySet<string>;
    }
  | {
      state: "failed";
      failure: Failure;
      /** What AWS had decrypted until then. */
      read?: ReadonlyMap<string, ParameterRecord>;
    };

/** How a path is listed. */
export interface ListOptions extends ReadOptions {
  /** Keeps the values of these only. */
  picks?: Picks;
}

/** Pages of one listing, at most: 10 parameters each. More is taken for an answer that never ends. */
const pagesAtMost = 2_000;
/** Bytes that the values of one listing may have, at most: what a Secret may have, and as much again for what is left out. */
const valuesAtMost = 2_097_152;
/** Bytes of values that all listings under way, and whoever uses what they gave, hold at once. */
const inFlightAtMost = { all: 16 * 1_048_576, ofFlow: 4 * 1_048_576, beyond: 8 };

/** Lists paths page by page; equal listings that run at the same time are one, unless the earlier is less urgent. */
export class PathReader {
  /** Bytes of values in flight. */
  readonly inFlight = new ByteBudget(inFlightAtMost);
  readonly #lanes: RateLimiters;
  readonly #underWay = new Map<string, { lane: Lane; listing: Promise<Listing>; waiters: Waiters }>();

  constructor(lanes: RateLimiters) {
    this.#lanes = lanes;
  }

  /**
   * Lists what is below a path, every page of it.
   *
   * @returns the parameters by name; a failure is a state; rejects with Canceled alone, where nobody wants it any more
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
    const records = new Map<string, ParameterRecord>();
    const tokens = new Set<string>();
    const untagged = new Set<string>();
    let nextToken: string | undefined;
    let bytes = 0;
    const ticket = this.inFlight.ticket(options.namespace ?? "");
    try {
      const tagged = tags ? await this.#tagged(reference, options) : undefined;
      if (tagged?.size === 0) return { state: "found", records, untagged };
      do {
        const token = nextToken;
        if (options.decrypt) await ticket.room();
        const call = () =>
          identity.ssm.getParametersByPath({
            path,
            recursive,
            decrypt: options.decrypt,
            ...(label === "" ? {} : { label }),
            ...(types.length === 0 ? {} : { types: [...types] }),
            ...(token === undefined ? {} : { nextToken: token }),
          });
        const page = await this.#lanes.run(identity, options.lane, call, options);
        const picked = options.picks && new Set(options.picks.select(page!.found.map(({ name }) => name)));
        for (const one of page!.found) {
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
        nextToken = page!.nextToken;
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
   * The names below a path that carry its tags. GetParametersByPath takes no tags, and DescribeParameters no label, so
   * that both are asked.
   *
   * @throws Failure
   */
  async #tagged(reference: PathReference, options: ReadOptions): Promise<Set<string>> {
    const { identity, path, recursive, types, tags = [] } = reference;
    const names = new Set<string>();
    const tokens = new Set<string>();
    for (let nextToken: string | undefined; ; ) {
      const query = { path: { name: path, recursive }, tags, types, ...(nextToken === undefined ? {} : { nextToken }) };
      const call = () => identity.ssm.describeParameters(query);
      const { namespace, isWanted } = options;
      const turn = { service: "describe", ...(namespace === undefined ? {} : { namespace }), isWanted } as const;
      const page = (await this.#lanes.run(identity, options.lane, call, turn))!;
      for (const { name } of page.found) names.add(name);
      nextToken = page.nextToken;
      if (nextToken === undefined) return names;
      if (tokens.has(nextToken) || tokens.size >= pagesAtMost) throw endless(reference);
      tokens.add(nextToken);
    }
  }
}

/** What is said where the values below a path are too many bytes for one Secret. */
export function tooLarge(reference: Reference): Failure {
  const { identity } = reference;
  const path = reference.kind === "path" ? reference.path : reference.name;
  const message = `what is below ${path} in ${identity.region} has over ${valuesAtMost} bytes, and a Secret has half of that at most: name what is wanted of it by include, or a path further down`;
  return new Failure("TooLarge", "wait", message);
}

function endless(reference: PathReference): Failure {
  return new Failure(
    "Unreachable",
    "retry",
    `the list of ${reference.path} in ${reference.identity.region} did not come to an end; it is asked for again`,
  );
}
