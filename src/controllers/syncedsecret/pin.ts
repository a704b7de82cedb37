import type { SyncedSecret } from "../../api/types.ts";
import type { Sighted } from "../../parameters/entry.ts";
import type { Lane } from "../../parameters/lanes.ts";
import type { Observer } from "../../parameters/observer.ts";
import { type ParameterReference, type PathReference, referenceKey } from "../../parameters/reference.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Assessment } from "./assess.ts";
import type { Plan } from "./plan.ts";
import type { RevisionSource } from "./revision.ts";

type Status = NonNullable<SyncedSecret["status"]>;
type Source = NonNullable<Status["sources"]>[number];
type Pinned = { ok: true; values: Map<string, ReadonlyMap<string, Sighted>> } | { ok: false; problems: Failure[] };

/** What a status says that a Secret was made from, in place of what is there now. */
export function pinnedAssessment(plan: Plan, sources: readonly Source[]): Assessment {
  const known: RevisionSource[] = sources.map((source) => ({
    name: source.name,
    selector: selectorOf(source),
    version: source.version,
    modified: Date.parse(source.lastModified),
  }));
  for (const entry of plan.entries) {
    if (entry.kind !== "parameter" && entry.kind !== "document") continue;
    const { name, selector } = entry.reference;
    if (!known.some((s) => s.name === name && s.selector === selector)) known.push({ name, selector, left: true });
  }
  return {
    unknown: [],
    problems: [],
    sources: known,
    lost: [],
    left: [],
    deleteSecret: false,
    heardAt: undefined,
    unheard: undefined,
  };
}

/**
 * Reads by number the versions that a Secret was made from.
 *
 * @returns values under the keys of the plan's own references, or a problem for each version that is not kept any more
 */
export async function readPinned(
  plan: Plan,
  status: Status | undefined,
  observer: Observer,
  lane: Lane,
): Promise<Pinned> {
  const sources = status?.sources ?? [];
  const values = new Map<string, ReadonlyMap<string, Sighted>>();
  const problems: Failure[] = [];
  const read = async (reference: ParameterReference, version: number): Promise<Sighted | undefined> => {
    const answer = await observer.valueOf({ ...reference, selector: `:${version}` }, lane);
    if (answer.state === "failed") problems.push(answer.failure);
    else if (answer.state === "missing") problems.push(notKept(reference.name, version));
    else return answer.sighted;
    return undefined;
  };
  if ((status?.sourcesOmitted ?? 0) > 0) {
    const message =
      "the Secret was made from more sources than the status lists, so it cannot be made again as it was: change the spec to have it made anew";
    return { ok: false, problems: [new Failure("SourceGone", "wait", message)] };
  }
  await Promise.all(
    plan.references.map(async (reference) => {
      const found = new Map<string, Sighted>();
      for (const source of sources.filter((candidate) => belongs(candidate, reference))) {
        const asked: ParameterReference = {
          kind: "parameter",
          identity: reference.identity,
          name: source.name,
          selector: "",
        };
        const sighted = await read(asked, source.version);
        if (sighted) found.set(source.name, { ...sighted, modified: Date.parse(source.lastModified) });
      }
      values.set(referenceKey(reference), found);
    }),
  );
  return problems.length > 0 ? { ok: false, problems } : { ok: true, values };
}

/** Whether a source came from a reference: the parameter itself, or a member of the path. */
export function belongs(source: Source, reference: ParameterReference | PathReference): boolean {
  if (reference.kind === "parameter") {
    return source.name === reference.name && selectorOf(source) === reference.selector;
  }
  const prefix = reference.path.endsWith("/") ? reference.path : `${reference.path}/`;
  const selector = reference.label === "" ? "" : `:${reference.label}`;
  return source.name.startsWith(prefix) && selectorOf(source) === selector;
}

function selectorOf({ selector }: Source): string {
  return selector === undefined ? "" : `:${selector}`;
}

function notKept(name: string, version: number): Failure {
  const message = `version ${version} of ${name}, which the Secret was made from, is not kept any more: change the spec to have the Secret made anew`;
  return new Failure("SourceGone", "wait", message);
}
