import type { Identity } from "../../aws/identity.ts";
import type { RateLimiters } from "../../aws/ratelimit/limiters.ts";
import { descriptionsInACall, type ParameterDescription } from "../../aws/ssm.ts";
import { tryAgain } from "../../aws/table.ts";
import { type IsWanted, Waiters } from "../../runtime/cancellation.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Lane } from "../../runtime/lane.ts";
import type { VersionStamp } from "./version-stamp.ts";

/** The answer of DescribeParameters, by name without a leading slash: complete, or a failure. */
export type Described =
  | {
      state: "described";
      found: ReadonlyMap<string, ParameterDescription>;
      /** Milliseconds that AWS's clock is ahead of the local one; 0 unless the two are seconds apart. */
      clockAheadMs: number;
    }
  | { state: "failed"; failure: Failure };

/** Pages of one answer, at most: fifty names fit into one page, but AWS may return shorter pages. */
const pagesAtMost = 20;

/** All pages of one query. */
interface Answer {
  all: readonly ParameterDescription[];
  clockAheadMs: number;
}

/** The identity and lane of a query. */
interface Asked {
  identity: Identity;
  lane: Lane;
  isWanted: IsWanted | undefined;
}

/** A call that waits for quota, and takes more names until it is sent. */
interface Open {
  forms: Set<string>;
  answer: Promise<Answer>;
  waiters: Waiters;
}

/** Describes parameters, fifty names a call. A call is formed when the quota grants it, so later names join it. */
export class Describer {
  readonly #limiters: RateLimiters;
  /** By lane and identity. */
  readonly #open = new Map<string, Open>();

  constructor(limiters: RateLimiters) {
    this.#limiters = limiters;
  }

  /**
   * @param names with or without a leading slash, without selector
   * @param isWanted a call that nobody wants when its turn comes is canceled
   * @returns never rejects: a failure is a state. `found` lacks names that do not exist, and may have names that other
   *   callers requested.
   */
  async describe(identity: Identity, names: Iterable<string>, lane: Lane, isWanted?: IsWanted): Promise<Described> {
    const answers = new Set<Promise<Answer>>();
    const asked = new Set(names);
    for (const name of asked) answers.add(this.#ask({ identity, lane, isWanted }, formsOf(name)));
    try {
      const found = new Map<string, ParameterDescription>();
      const described = await Promise.all(answers);
      for (const one of described.flatMap(({ all }) => all)) {
        const name = bareName(one.name);
        if (asked.has(one.name) || !found.has(name)) found.set(name, one);
      }
      return { state: "described", found, clockAheadMs: described.at(-1)?.clockAheadMs ?? 0 };
    } catch (error) {
      if (error instanceof Failure) return { state: "failed", failure: error };
      const message = "AWS Systems Manager sent an answer that could not be understood";
      return { state: "failed", failure: new Failure("Unreachable", "retry", message) };
    }
  }

  /** Adds the forms of a name to the waiting call, or to a new one. */
  #ask({ identity, lane, isWanted }: Asked, forms: readonly string[]): Promise<Answer> {
    const key = `${lane} ${identity.key}`;
    const waiting = this.#open.get(key);
    const isThere = waiting && forms.every((form) => waiting.forms.has(form));
    if (waiting && (isThere || waiting.forms.size + forms.length <= descriptionsInACall)) {
      for (const form of forms) waiting.forms.add(form);
      waiting.waiters.join(isWanted);
      return waiting.answer;
    }
    const begun = new Set(forms);
    const leave = () => {
      if (this.#open.get(key)?.forms === begun) this.#open.delete(key);
    };
    const waiters = new Waiters(isWanted);
    const asked = { identity, lane, isWanted: waiters.isWanted };
    // In the next microtask, so that names requested in the same loop join the call.
    const answer = Promise.resolve().then(() => this.#pages(asked, begun, leave));
    // A canceled call never runs `leave` itself.
    answer.finally(leave).catch(() => {});
    this.#open.set(key, { forms: begun, answer, waiters });
    return answer;
  }

  async #pages({ identity, lane, isWanted }: Asked, forms: ReadonlySet<string>, leave: () => void): Promise<Answer> {
    const all: ParameterDescription[] = [];
    let nextToken: string | undefined;
    for (let page = 0; page < pagesAtMost; page++) {
      const permit = await this.#limiters.acquire({ service: "describe", identity, lane, isWanted });
      leave();
      const query = { names: [...forms], ...(nextToken === undefined ? {} : { nextToken }) };
      const answer = await identity.ssm.describeParameters(permit, query);
      all.push(...answer.found.filter(({ name }) => forms.has(name)));
      nextToken = answer.nextToken;
      if (nextToken === undefined) return { all, clockAheadMs: answer.clockAheadMs ?? 0 };
    }
    const message = `DescribeParameters in ${identity.region} did not end: ${tryAgain}`;
    throw new Failure("Unreachable", "retry", message);
  }
}

/** A name without its leading slash. For AWS `x` and `/x` are one name, stored in the form that created it. */
export function bareName(name: string): string {
  return name.startsWith("/") ? name.slice(1) : name;
}

function formsOf(name: string): string[] {
  const bare = bareName(name);
  return bare.includes("/") ? [`/${bare}`] : [bare, `/${bare}`];
}

/** Whether a description is older than `stamp`. Times of one version may differ by less than a second. */
export function isOlder(
  { version, modified }: Pick<ParameterDescription, "version" | "modified">,
  stamp: VersionStamp | undefined,
): boolean {
  return stamp !== undefined && modified < stamp.modified - (stamp.version === version ? 1_000 : 0);
}
