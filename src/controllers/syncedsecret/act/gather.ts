import type { Observer } from "../../../parameters/observer.ts";
import type { ByteTicket } from "../../../runtime/byte-budget.ts";
import type { Failure } from "../../../runtime/failure.ts";
import { type SpanAttributes, traced } from "../../../runtime/tracing.ts";
import type { Assembler } from "../../../values/assembler.ts";
import type { Assemble, Look, Read } from "../decide/decision.ts";
import { lastGoodOf } from "../decide/last-good.ts";
import type { Done } from "../decide/material.ts";
import type { Facts } from "../decide/snapshot.ts";
import type { Source } from "../trust/status-sources.ts";
import { type Attempt, awaitAws } from "./attempt.ts";
import { decryptAll, type WayToKms } from "./decrypt.ts";
import { readPinned } from "./read-pinned.ts";
import { readSources } from "./read-sources.ts";
import type { SecretWriter } from "./write.ts";

export interface GathererOptions extends WayToKms {
  observer: Observer;
  writer: SecretWriter;
  assembler: Assembler;
}

/** What a step is carried out for. */
export interface For {
  facts: Facts;
  attempt: Attempt;
  /** The share of the byte budget. */
  ticket: ByteTicket;
}

/** Carries out the steps after which a new snapshot is decided on: looks, reads and the assembly. */
export class Gatherer {
  readonly #options: GathererOptions;

  constructor(options: GathererOptions) {
    this.#options = options;
  }

  /**
   * Carries out one step.
   *
   * @returns what the step adds to `Done`; failures of AWS are a part of it
   * @throws Canceled if the attempt's basis changes meanwhile; KubeError if the Secret cannot be read
   */
  async gather(step: Look | Read | Assemble, whom: For): Promise<Partial<Done>> {
    const { span: parent } = whom.attempt;
    return traced(parent, step.kind, attributesOf(step, whom.facts), async (span) => {
      const done = await this.#step(step, { ...whom, attempt: { ...whom.attempt, span } });
      const reason = failureIn(done)?.reason;
      if (reason !== undefined) span.fail(reason);
      return done;
    });
  }

  async #step(step: Look | Read | Assemble, whom: For): Promise<Partial<Done>> {
    if (step.kind === "look") return this.#look(step, whom);
    if (step.kind === "assemble") return this.#assemble(step, whom);
    switch (step.what) {
      case "sources":
        return { read: await this.#sources(whom) };
      case "pinnedVersions":
        return { pinned: await this.#pinnedVersions(whom, whom.facts.resource.status?.sources, true) };
      case "lastGoodVersions":
        return { lastGood: await this.#pinnedVersions(whom, lastGoodOf(whom.facts)?.sources, false) };
      case "ciphertexts":
        return { opened: await this.#ciphertexts(whom) };
      case "secret":
        return { live: await this.#secret(whom) };
    }
  }

  async #look({ references }: Look, { facts, attempt }: For): Promise<Partial<Done>> {
    const { isWanted, lane, span } = attempt;
    const { namespace } = facts.target;
    await awaitAws(attempt, this.#options.observer.look(references, lane, { namespace, isWanted, span }));
    return { looked: true };
  }

  #sources({ facts, attempt, ticket }: For) {
    const { lane, isWanted, span } = attempt;
    const { namespace } = facts.target;
    const how = { fresh: facts.refresh !== undefined, namespace, resource: nameOf(facts), isWanted, span, ticket };
    return awaitAws(attempt, readSources(facts.plan, this.#options.observer, lane, how));
  }

  #pinnedVersions({ facts, attempt }: For, sources: readonly Source[] = [], isPresent: boolean) {
    const { lane, isWanted, span } = attempt;
    const whom = { lane, isWanted, span, isPresent, resource: nameOf(facts) };
    return awaitAws(attempt, readPinned(facts.plan, sources, this.#options.observer, whom));
  }

  #ciphertexts({ facts, attempt }: For) {
    const { granted, plan, target, resource } = facts;
    const owner = { namespace: target.namespace, name: resource.metadata.name! };
    return awaitAws(attempt, decryptAll(plan, { granted, owner, attempt }, this.#options));
  }

  async #secret({ facts }: For) {
    const { namespace, name } = facts.target;
    return { keys: await this.#options.writer.read(namespace, name, facts.ownKeys) };
  }

  async #assemble({ composed }: Assemble, { facts }: For): Promise<Partial<Done>> {
    const assembled = await this.#options.assembler.assemble(composed.input, facts.resource.metadata.namespace);
    return { assembly: { composed, assembled } };
  }
}

function attributesOf(step: Look | Read | Assemble, { plan }: Facts): SpanAttributes {
  if (step.kind === "assemble") return {};
  if (step.kind === "look") return { "keyferry.reference.count": step.references.length };
  return { "keyferry.read": step.what, "keyferry.reference.count": plan.references.length };
}

/** The first failure that a step has found. */
function failureIn({ read, pinned, lastGood, opened }: Partial<Done>): Failure | undefined {
  const [failure = pinned?.problems[0] ?? lastGood?.problems[0] ?? opened?.problems[0]] = read?.failures.values() ?? [];
  return read?.tooLarge ?? failure;
}

function nameOf({ resource }: Facts): string {
  return `${resource.metadata.namespace}/${resource.metadata.name}`;
}
