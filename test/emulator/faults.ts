import type { Clock, Random } from "../../src/runtime/clock.ts";
import { sleep } from "../../src/runtime/clock.ts";
import { type Call, glob } from "./call.ts";
import { type Json, ServiceError } from "./http.ts";

/**
 * Something that goes wrong on request. An `emptyPage` holds its page back for the next call; `repeatToken` answers with
 * the NextToken that was asked with, so that a reader which trusts it never ends.
 */
export interface Fault {
  /** `GetParameters`, `kms:Decrypt`, with `*` for anything; every operation when left out. */
  operation?: string;
  kind:
    | "throttle"
    | "500"
    | "503"
    | "hang"
    | "reset"
    | "delay"
    | "emptyPage"
    | "reorder"
    | "duplicate"
    | "repeatToken"
    | "policyText";
  /** How many calls it hits; until cleared, when left out. */
  times?: number;
  /** The share of matching calls that it hits, 0 to 1; 1 when left out. */
  probability?: number;
  /** For `delay`: milliseconds of the door's clock before the call is looked at. */
  delayMs?: number;
  /** Hits only calls of this region; of every one when left out. */
  region?: string;
  /** For `policyText`: what stands in the place of every policy's text. */
  text?: string;
  /** Hits only calls that ask for one of these names or paths (patterns with `*`). */
  names?: string[];
}

/** Thrown for a call that gets no answer: `hang` keeps the connection open, `reset` breaks it. */
export class NoAnswer extends Error {
  readonly how: "hang" | "reset";

  constructor(how: "hang" | "reset") {
    super(how);
    this.how = how;
  }
}

/** The faults that are set, and what they do to a call before and after it is answered. */
export class Faults {
  #set: { fault: Fault; left: number }[] = [];
  #clock: Clock;
  #random: Random;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  add(fault: Fault): void {
    this.#set.push({ fault, left: fault.times ?? Number.POSITIVE_INFINITY });
  }

  clear(): void {
    this.#set = [];
  }

  /**
   * The faults that hit this call, each of them used up by one.
   *
   * @param names what the call asks for
   */
  hitting(call: Call, names: readonly string[]): Fault[] {
    const hits: Fault[] = [];
    for (const entry of this.#set) {
      const { operation = "*", probability = 1, names: only, region } = entry.fault;
      if (entry.left <= 0) continue;
      if (!glob(operation, call.operation) && !glob(operation, `${call.service}:${call.operation}`)) continue;
      if (region !== undefined && region !== call.region) continue;
      if (only && !only.some((pattern) => names.some((name) => glob(pattern, name)))) continue;
      if (probability < 1 && this.#random() >= probability) continue;
      entry.left -= 1;
      hits.push(entry.fault);
    }
    this.#set = this.#set.filter((entry) => entry.left > 0);
    return hits;
  }

  /** Carries out what happens before the call is looked at. @throws ServiceError, NoAnswer */
  async before(hits: readonly Fault[]): Promise<void> {
    for (const { kind, delayMs = 0 } of hits) {
      if (kind === "delay") await sleep(this.#clock, delayMs);
      if (kind === "throttle") throw new ServiceError("ThrottlingException", "Rate exceeded");
      if (kind === "500") throw new ServiceError("InternalServerError", "An error occurred on the server side.", 500);
      if (kind === "503") throw new ServiceError("ServiceUnavailable", "Service is unavailable, please retry.", 503);
      if (kind === "hang" || kind === "reset") throw new NoAnswer(kind);
    }
  }

  /** Changes a list answer: its `Parameters` and its `NextToken`. */
  after(hits: readonly Fault[], call: Call, answer: Json): Json {
    let { Parameters: list, NextToken: token } = answer as { Parameters?: unknown[]; NextToken?: string };
    if (!Array.isArray(list)) return answer;
    const requested = typeof call.input.NextToken === "string" ? call.input.NextToken : firstPage;
    for (const { kind, text } of hits) {
      if (kind === "policyText") list = list.map((one) => withPolicyText(one as Json, text ?? ""));
      if (kind === "emptyPage") {
        list = [];
        // The page that was held back comes with the next call.
        token = requested;
      }
      if (kind === "reorder") list = [...list].reverse();
      if (kind === "duplicate" && list.length > 0) list = [list[0], ...list];
      if (kind === "repeatToken") token = requested;
    }
    const { NextToken: _, ...rest } = answer;
    return { ...rest, Parameters: list, ...(token === undefined ? {} : { NextToken: token }) };
  }
}

function withPolicyText(description: Json, PolicyText: string): Json {
  const policies = (description.Policies as Json[] | undefined) ?? [];
  return { ...description, Policies: policies.map((policy) => ({ ...policy, PolicyText })) };
}

/** The token of a list's first page. */
const firstPage = pageToken(0);

/** A token that says where the next page of a list begins. */
export function pageToken(offset: number): string {
  return Buffer.from(`offset:${offset}`).toString("base64url");
}

/** @returns the offset in a token of `pageToken`; 0 without one @throws ServiceError where the token is not one */
export function pageOffset(token: unknown): number {
  if (token === undefined || token === null || token === "") return 0;
  const found = /^offset:(\d{1,9})$/.exec(Buffer.from(String(token), "base64url").toString());
  if (!found) throw new ServiceError("InvalidNextToken", "The specified token isn't valid.");
  return Number(found[1]);
}
