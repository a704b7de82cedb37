import type { SyncedSecret } from "../../../api/types.ts";
import { memberSelector, type Reference, referenceKey } from "../../../parameters/read/reference.ts";
import { type StampedValue, stampOf } from "../../../parameters/read/version-stamp.ts";
import { Failure } from "../../../runtime/failure.ts";
import type { Sealed } from "../../../runtime/sealed.ts";
import type {
  Assembled,
  AssembleInput,
  DataInput,
  DocumentInput,
  Member,
  PathInput,
  SourceValue,
} from "../../../values/assemble.ts";
import type { Grant } from "../../grants.ts";
import {
  type DataFromBlob,
  type DataFromMessage,
  type DataFromParameter,
  isFromParameters,
  type ManyFromDocument,
  type ManyFromMessage,
  type ManyFromPath,
  type Plan,
  type Planned,
} from "../plan/plan.ts";
import type { RevisionSource } from "../trust/revision.ts";
import { keepLost } from "./lost-keys.ts";
import { type Assessment, notFound } from "./sources.ts";

/** Values by the key of the reference, then by parameter name. */
export type Values = ReadonlyMap<string, ReadonlyMap<string, StampedValue>>;

/** What a Secret's data is composed from. */
export interface Composing {
  spec: SyncedSecret["spec"];
  plan: Plan;
  assessment: Assessment;
  values: Values;
  /** Plaintexts of blobs and messages, by the label of the entry. */
  blobs: ReadonlyMap<string, Sealed>;
}

/** The input for assemble(), with the exact versions that its bytes come from. */
export interface Composed {
  input: AssembleInput;
  sources: RevisionSource[];
  /** The latest modification of a source, in milliseconds since the epoch; 0 if no source was read. */
  modified: number;
  /** If any, nothing is assembled. */
  problems: Failure[];
}

/** Composes a Secret's sources from the values, completely or with the problems that prevent it. Pure. */
export function compose(from: Composing): Composed {
  return new Composition(from).run();
}

class Composition {
  readonly #from: Composing;
  readonly #lost: ReadonlySet<string>;
  readonly #leftOut: ReadonlySet<string>;
  readonly #composed: Composed;

  constructor(from: Composing) {
    const { assessment, spec } = from;
    const type = spec.target?.type;
    this.#from = from;
    this.#lost = new Set(assessment.lost.map(({ entry, name }) => `${entry.label}\n${name}`));
    this.#leftOut = new Set(assessment.sources.flatMap((s) => ("left" in s ? [s.name + s.selector] : [])));
    const input: AssembleInput = { data: [], dataFrom: [], ...(type === undefined ? {} : { type }) };
    if (spec.target?.template) input.template = spec.target.template as NonNullable<AssembleInput["template"]>;
    this.#composed = { input, sources: [], modified: 0, problems: [] };
  }

  run(): Composed {
    const { data, dataFrom } = this.#composed.input;
    for (const planned of this.#from.plan.entries) {
      if (planned.kind === "path") dataFrom.push(this.#path(planned));
      else if (planned.kind === "document" || planned.kind === "messageDocument")
        dataFrom.push(this.#document(planned));
      else data.push(this.#key(planned));
    }
    return this.#composed;
  }

  #path(planned: ManyFromPath): PathInput {
    const { assessment } = this.#from;
    const { label, reference, rename, onConflict } = planned;
    const values = this.#valuesOf(reference);
    const selector = memberSelector(reference);
    const members: Member[] = [];
    for (const name of assessment.present.get(label) ?? []) {
      const stamped = values.get(name);
      if (stamped) members.push({ name, bytes: this.#use(name, selector, stamped) });
      else this.#composed.problems.push(unsettled(planned, name));
    }
    for (const { entry, name } of assessment.lost) {
      if (entry === planned && !values.has(name)) this.#useAssessed(name, selector);
    }
    return {
      kind: "path",
      entry: label,
      path: reference.path,
      ...(reference.tags ? { tags: reference.tags } : {}),
      members,
      allowEmpty: planned.allowEmpty || assessment.left.length + assessment.lost.length > 0,
      ...(rename ? { rename } : {}),
      ...(onConflict ? { onConflict } : {}),
    };
  }

  #document(planned: ManyFromDocument | ManyFromMessage): DocumentInput {
    const { rename, onConflict, nullValues, format, label, allowEmpty } = planned;
    return {
      kind: "document",
      entry: label,
      source: isFromParameters(planned) ? this.#parameter(planned) : this.#opened(planned),
      format,
      allowEmpty,
      ...(rename ? { rename } : {}),
      ...(onConflict ? { onConflict } : {}),
      ...(nullValues ? { nullValues } : {}),
    };
  }

  #key(planned: DataFromParameter | DataFromBlob | DataFromMessage): DataInput {
    const { key, label, jmesPath, decode } = planned;
    const processing = {
      ...(jmesPath === undefined ? {} : { jmesPath }),
      ...(decode ? { decode } : {}),
    };
    if (!isFromParameters(planned)) return { key, entry: label, source: this.#opened(planned), ...processing };
    const { reference, fallback, optional } = planned;
    const { name, selector } = reference;
    const isRead = this.#valuesOf(reference).has(name) && !this.#leftOut.has(name + selector);
    return {
      key,
      entry: label,
      source: this.#parameter(planned, fallback),
      // A default replaces the key's final value, so jmesPath and decode do not apply.
      ...(fallback !== undefined && !isRead ? {} : processing),
      ...(optional ? { optional: true } : {}),
      ...(fallback === undefined ? {} : { fallback }),
    };
  }

  #parameter(planned: DataFromParameter | ManyFromDocument, fallback?: string): SourceValue {
    const { name, selector } = planned.reference;
    const stamped = this.#valuesOf(planned.reference).get(name);
    const isLost = this.#lost.has(`${planned.label}\n${name}`);
    const isLeft = this.#leftOut.has(name + selector);
    // An expired parameter may still exist, and is left out anyway.
    if (stamped && !isLost && !isLeft) return { state: "value", bytes: this.#use(name, selector, stamped) };
    if (!isLost && !isLeft) this.#composed.problems.push(unsettled(planned, name));
    this.#useAssessed(name, selector);
    if (isLeft && fallback !== undefined) return { state: "value", bytes: Buffer.from(fallback, "utf8") };
    return { state: "missing" };
  }

  #opened({ label }: Planned): SourceValue {
    return { state: "value", bytes: this.#from.blobs.get(label)!.reveal() };
  }

  #valuesOf(reference: Reference): ReadonlyMap<string, StampedValue> {
    return this.#from.values.get(referenceKey(reference)) ?? new Map();
  }

  /** Records a source with the version that was read. @returns its bytes */
  #use(name: string, selector: string, stamped: StampedValue): Uint8Array {
    this.#composed.sources.push({ name, selector, ...stampOf(stamped) });
    this.#composed.modified = Math.max(this.#composed.modified, stamped.modified);
    return stamped.value.reveal();
  }

  /** Records a source that was not read, with its assessed version. */
  #useAssessed(name: string, selector: string): void {
    const source = this.#from.assessment.sources.find((s) => s.name === name && s.selector === selector);
    if (source) this.#composed.sources.push(source);
  }
}

/** The failure of a value that is missing although a look has shown it: AWS's replicas do not agree yet. */
function unsettled(planned: Planned, name: string): Failure {
  const message = `${planned.label}: AWS returned an older version of ${name} than before, retrying`;
  return new Failure("Unreachable", "retry", message);
}

/** The complete data of a Secret, or why it cannot be made. */
export type Finished = { ok: true; data: Map<string, Uint8Array> } | { ok: false; problems: Failure[] };

/**
 * Completes assembled data with the bytes of lost sources.
 *
 * @param live our keys in the Secret; undefined if no key has to keep its bytes
 */
export function finish(
  assembled: Assembled,
  { plan, granted, assessment }: { plan: Plan; granted: Grant; assessment: Assessment },
  live: ReadonlyMap<string, Uint8Array> | undefined,
): Finished {
  if (!assembled.ok) {
    const next = plan.references.length > 0 ? "wait" : "stalled";
    return { ok: false, problems: assembled.problems.map(({ reason, message }) => new Failure(reason, next, message)) };
  }
  const data = new Map(assembled.data);
  if (live) keepLost(data, assessment.lost, live);
  const unmade = assessment.lost.filter(({ entry }) => entry.kind === "parameter" && !data.has(entry.key));
  // This Secret never had the key of the lost parameter: report the parameter as not found.
  if (unmade.length > 0) {
    const problems = unmade.map(({ entry }) => notFound(entry as DataFromParameter, "ParameterNotFound", granted));
    return { ok: false, problems };
  }
  return { ok: true, data };
}
