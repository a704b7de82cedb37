import type { SyncedSecret } from "../../../api/types.ts";
import { memberSelector, type Reference, referenceKey } from "../../../parameters/reference.ts";
import { type StampedValue, stampOf } from "../../../parameters/version-stamp.ts";
import { Failure } from "../../../runtime/failure.ts";
import type { Sealed } from "../../../runtime/sealed.ts";
import { type AssembleInput, keyOfMember, type Member, type SourceValue } from "../../../values/assemble.ts";
import type { Assembler } from "../../../values/assembler.ts";
import { Exhausted, inlineUnits, Work } from "../../../values/work.ts";
import type { Grant } from "../../grants.ts";
import {
  type DataFromParameter,
  isFromParameters,
  type ManyFromDocument,
  type ManyFromPath,
  type Plan,
  type Planned,
} from "../plan/plan.ts";
import type { RevisionSource } from "../trust/revision.ts";
import { type Assessment, type Lost, notFound } from "./sources.ts";

/** The values read for one write. */
export interface Material {
  /** By the key of the reference, then by parameter name. */
  values: ReadonlyMap<string, ReadonlyMap<string, StampedValue>>;
  /** Plaintexts of blobs and messages, by the label of the entry. */
  blobs: ReadonlyMap<string, Sealed>;
  /** ARNs of the KMS keys that encrypted the blobs. */
  keyIds: ReadonlySet<string>;
  /** The failover region in which blobs were decrypted. */
  elsewhere?: string;
  /** Our keys in the live Secret; read only if a lost or retained key must keep its bytes. */
  live: ReadonlyMap<string, Uint8Array> | undefined;
}

export type Built =
  | { ok: true; data: Map<string, Uint8Array>; sources: RevisionSource[]; modified: number }
  | { ok: false; problems: Failure[] };

/** What build() needs besides the assessment and the values. */
export interface Making {
  resource: SyncedSecret;
  plan: Plan;
  granted: Grant;
  assembler: Assembler;
}

/**
 * Builds a Secret's data from the values, completely or not at all.
 *
 * @returns the data, and the sources with the exact versions that the bytes came from
 */
export async function build(
  { resource, plan, granted, assembler }: Making,
  assessment: Assessment,
  material: Material,
): Promise<Built> {
  const { spec, metadata } = resource;
  const lost = new Set(assessment.lost.map(({ entry, name }) => `${entry.label}\n${name}`));
  const type = spec.target?.type;
  const input: AssembleInput = { data: [], dataFrom: [], ...(type === undefined ? {} : { type }) };
  const sources: RevisionSource[] = [];
  const problems: Failure[] = [];
  let modified = 0;

  const leftOut = new Set(assessment.sources.flatMap((s) => ("left" in s ? [s.name + s.selector] : [])));
  const valuesOf = (reference: Reference) =>
    material.values.get(referenceKey(reference)) ?? new Map<string, StampedValue>();
  const seen = (name: string, selector: string, stamped: StampedValue) => {
    sources.push({ name, selector, ...stampOf(stamped) });
    modified = Math.max(modified, stamped.modified);
  };
  const asAssessed = (name: string, selector: string) => {
    const source = assessment.sources.find((s) => s.name === name && s.selector === selector);
    if (source) sources.push(source);
  };
  const opened = ({ label }: Planned): SourceValue => ({ state: "value", bytes: material.blobs.get(label)!.reveal() });
  const one = (planned: DataFromParameter | ManyFromDocument, fallback?: string): SourceValue => {
    const { name, selector } = planned.reference;
    const stamped = valuesOf(planned.reference).get(name);
    const isLost = lost.has(`${planned.label}\n${name}`);
    const isLeft = leftOut.has(name + selector);
    // An expired parameter may still exist, and is left out anyway.
    if (stamped && !isLost && !isLeft) {
      seen(name, selector, stamped);
      return { state: "value", bytes: stamped.value.reveal() };
    }
    if (!isLost && !isLeft) problems.push(unsettled(planned, name));
    asAssessed(name, selector);
    if (isLeft && fallback !== undefined) return { state: "value", bytes: Buffer.from(fallback, "utf8") };
    return { state: "missing" };
  };

  for (const planned of plan.entries) {
    if (planned.kind === "path") {
      const values = valuesOf(planned.reference);
      const selector = memberSelector(planned.reference);
      const members: Member[] = [];
      for (const name of assessment.present.get(planned.label) ?? []) {
        const stamped = values.get(name);
        if (!stamped) {
          problems.push(unsettled(planned, name));
          continue;
        }
        seen(name, selector, stamped);
        members.push({ name, bytes: stamped.value.reveal() });
      }
      for (const { entry, name } of assessment.lost)
        if (entry === planned && !values.has(name)) asAssessed(name, selector);
      const { rename, onConflict } = planned;
      input.dataFrom.push({
        kind: "path",
        entry: planned.label,
        path: planned.reference.path,
        ...(planned.reference.tags ? { tags: planned.reference.tags } : {}),
        members,
        allowEmpty: planned.allowEmpty || assessment.left.length + assessment.lost.length > 0,
        ...(rename ? { rename } : {}),
        ...(onConflict ? { onConflict } : {}),
      });
    } else if (planned.kind === "document" || planned.kind === "messageDocument") {
      const { rename, onConflict, nullValues, format, label, allowEmpty } = planned;
      input.dataFrom.push({
        kind: "document",
        entry: label,
        source: isFromParameters(planned) ? one(planned) : opened(planned),
        format,
        allowEmpty,
        ...(rename ? { rename } : {}),
        ...(onConflict ? { onConflict } : {}),
        ...(nullValues ? { nullValues } : {}),
      });
    } else {
      let source: SourceValue;
      let processing: Pick<typeof planned, "jmesPath" | "decode"> = planned;
      if (!isFromParameters(planned)) source = opened(planned);
      else {
        const { name, selector } = planned.reference;
        const isRead = valuesOf(planned.reference).has(name) && !leftOut.has(name + selector);
        const isFallback = planned.fallback !== undefined && !isRead;
        source = one(planned, planned.fallback);
        // A default replaces the key's final value, so jmesPath and decode do not apply.
        if (isFallback) processing = {};
      }
      input.data.push({
        key: planned.key,
        entry: planned.label,
        source,
        ...(processing.jmesPath === undefined ? {} : { jmesPath: processing.jmesPath }),
        ...(processing.decode ? { decode: processing.decode } : {}),
        ...(planned.kind === "parameter" && planned.optional ? { optional: true } : {}),
        ...(planned.kind === "parameter" && planned.fallback !== undefined ? { fallback: planned.fallback } : {}),
      });
    }
  }
  if (problems.length > 0) return { ok: false, problems };
  if (spec.target?.template) input.template = spec.target.template as NonNullable<AssembleInput["template"]>;

  const assembled = await assembler.assemble(input, metadata.namespace);
  if (!assembled.ok) {
    const next = plan.references.length > 0 ? "wait" : "stalled";
    return { ok: false, problems: assembled.problems.map(({ reason, message }) => new Failure(reason, next, message)) };
  }
  if (material.live) retain(assembled.data, assessment.lost, material.live);
  const unmade = assessment.lost.filter(({ entry }) => entry.kind === "parameter" && !assembled.data.has(entry.key));
  // This Secret never had the key of the lost parameter: report the parameter as not found.
  if (unmade.length > 0) {
    const problems = unmade.map(({ entry }) => notFound(entry as DataFromParameter, "ParameterNotFound", granted));
    return { ok: false, problems };
  }
  return { ok: true, data: assembled.data, sources, modified };
}

/** Keeps the bytes of lost sources under their keys, unless another source now produces the key. */
function retain(data: Map<string, Uint8Array>, lost: readonly Lost[], live: ReadonlyMap<string, Uint8Array>): void {
  const keep = (key: string) => {
    const bytes = live.get(key);
    if (bytes && !data.has(key)) data.set(key, bytes);
  };
  const work = new Work(inlineUnits);
  for (const { entry, name } of lost) {
    if (entry.kind === "parameter") keep(entry.key);
    else if (entry.kind === "path") {
      const key = keyOfLost(name, entry, work);
      if (typeof key === "string") keep(key);
      // The work budget is exhausted, so the key is unknown: keep all keys without another source.
      else if (key === undefined) for (const each of live.keys()) keep(each);
    } else {
      // The keys of a lost document are unknown: keep all keys without another source.
      for (const key of live.keys()) keep(key);
    }
  }
}

/** The key of a path's member; undefined if computing it exceeds the work budget. */
function keyOfLost(
  name: string,
  { rename, reference }: ManyFromPath,
  work: Work,
): ReturnType<typeof keyOfMember> | undefined {
  try {
    return keyOfMember(name, { rules: rename, path: reference.path }, work);
  } catch (error) {
    if (error instanceof Exhausted) return undefined;
    throw error;
  }
}

/** The failure of a value that is missing although a look has shown it: AWS's replicas do not agree yet. */
function unsettled(planned: Planned, name: string): Failure {
  const message = `${planned.label}: AWS returned an older version of ${name} than before, retrying`;
  return new Failure("Unreachable", "retry", message);
}
