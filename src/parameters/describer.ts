import type { Identity } from "../aws/identity.ts";
import { descriptionsInACall, type ParameterDescription } from "../aws/ssm.ts";
import { Failure } from "../runtime/failure.ts";
import type { Lane } from "../runtime/lane.ts";
import type { Lanes } from "./lanes.ts";

/** What DescribeParameters tells of some names, by name without a leading slash; whole, or a failure. */
export type Described =
  | {
      state: "described";
      found: ReadonlyMap<string, ParameterDescription>;
      /** Milliseconds that AWS's clock is ahead of ours, where the two are seconds apart; else 0. */
      clockAheadMs: number;
    }
  | { state: "failed"; failure: Failure };

/** Pages of one answer, at most: fifty names fit into one, but AWS may cut a page short. */
const pagesAtMost = 20;

/** Asks for descriptions, fifty names a call. */
export class Describer {
  readonly #lanes: Lanes;

  constructor(lanes: Lanes) {
    this.#lanes = lanes;
  }

  /**
   * @param names with or without a leading slash, without selector
   * @returns never rejects: a failure is a state. What does not exist is not among what was found.
   */
  async describe(identity: Identity, names: Iterable<string>, lane: Lane): Promise<Described> {
    const forms = [...new Set([...names].flatMap(formsOf))];
    const chunks: string[][] = [];
    for (let at = 0; at < forms.length; at += descriptionsInACall) {
      chunks.push(forms.slice(at, at + descriptionsInACall));
    }
    try {
      const found = new Map<string, ParameterDescription>();
      const described = await Promise.all(chunks.map((chunk) => this.#pages(identity, chunk, lane)));
      for (const { all } of described) for (const one of all) found.set(bareName(one.name), one);
      return { state: "described", found, clockAheadMs: described.at(-1)?.clockAheadMs ?? 0 };
    } catch (error) {
      if (error instanceof Failure) return { state: "failed", failure: error };
      const message = "the answer of AWS Systems Manager could not be understood";
      return { state: "failed", failure: new Failure("Unreachable", "retry", message) };
    }
  }

  async #pages(identity: Identity, names: readonly string[], lane: Lane) {
    const all: ParameterDescription[] = [];
    let nextToken: string | undefined;
    for (let page = 0; page < pagesAtMost; page++) {
      const query = { names, ...(nextToken === undefined ? {} : { nextToken }) };
      const call = () => identity.ssm.describeParameters(query);
      const answer = (await this.#lanes.run(identity, lane, call, { service: "describe" }))!;
      all.push(...answer.found);
      nextToken = answer.nextToken;
      if (nextToken === undefined) return { all, clockAheadMs: answer.clockAheadMs ?? 0 };
    }
    const message = `the descriptions of parameters in ${identity.region} did not come to an end; they are asked for again`;
    throw new Failure("Unreachable", "retry", message);
  }
}

/** A name without its leading slash: to AWS `x` and `/x` are one name, that of one level was made as one of them. */
export function bareName(name: string): string {
  return name.startsWith("/") ? name.slice(1) : name;
}

function formsOf(name: string): string[] {
  const bare = bareName(name);
  return bare.includes("/") ? [`/${bare}`] : [bare, `/${bare}`];
}
