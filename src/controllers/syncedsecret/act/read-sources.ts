import type { Observer } from "../../../parameters/observer.ts";
import type { Picks } from "../../../parameters/read/path-reader.ts";
import { type PathReference, type Reference, referenceKey } from "../../../parameters/read/reference.ts";
import type { StampedValue } from "../../../parameters/read/version-stamp.ts";
import type { ReadFor } from "../../../parameters/subscription.ts";
import type { ByteTicket } from "../../../runtime/byte-budget.ts";
import { Failure } from "../../../runtime/failure.ts";
import type { Lane } from "../../../runtime/lane.ts";
import { maxBytes } from "../../../values/limits.ts";
import type { SourcesRead } from "../decide/material.ts";
import { membersOf } from "../decide/sources.ts";
import type { ManyFromPath, Plan } from "../plan/plan.ts";

/**
 * Maximum bytes of all sources of one SyncedSecret: twice the size of a Secret, since parts of documents and overridden
 * keys do not end up in the Secret.
 */
const sourcesAtMost = 2 * maxBytes;
/** Paths of one SyncedSecret that are listed concurrently. */
const pathsAtOnce = 4;

/**
 * Reads every source, and stops as soon as the values exceed the maximum.
 *
 * @param how.ticket the share of the byte budget
 */
export async function readSources(
  plan: Plan,
  observer: Observer,
  lane: Lane,
  how: ReadFor & { ticket: ByteTicket },
): Promise<SourcesRead> {
  const { ticket, ...readFor } = how;
  const values = new Map<string, ReadonlyMap<string, StampedValue>>();
  const failures = new Map<string, Failure>();
  let tooLarge: Failure | undefined;
  let bytes = 0;
  const one = async (reference: Reference): Promise<void> => {
    if (tooLarge) return;
    const picks = reference.kind === "path" ? picksOf(plan, reference) : undefined;
    const found = await observer.values(reference, lane, { ...readFor, ...(picks ? { picks } : {}) });
    const key = referenceKey(reference);
    if (found.state === "failed") {
      failures.set(key, found.failure);
      if (found.failure.reason === "TooLarge") tooLarge = found.failure;
      return;
    }
    const own = picks ? new Set(picks.select([...found.values.keys()])) : undefined;
    let size = 0;
    for (const [name, { value }] of found.values) if (!own || own.has(name)) size += value.size;
    ticket.add(size);
    bytes += size;
    if (bytes > sourcesAtMost) tooLarge ??= sourcesTooLarge();
    else values.set(key, found.values);
  };
  const paths = plan.references.filter(({ kind }) => kind === "path");
  const listing = Array.from({ length: Math.min(pathsAtOnce, paths.length) }, async () => {
    for (let path = paths.shift(); path; path = paths.shift()) await one(path);
  });
  await Promise.all([...listing, ...plan.references.filter(({ kind }) => kind === "parameter").map(one)]);
  return { values, failures, tooLarge };
}

/** The members of a path that a SyncedSecret uses; undefined for all. */
function picksOf(plan: Plan, reference: PathReference): Picks | undefined {
  const key = referenceKey(reference);
  const isOfPath = (entry: Plan["entries"][number]): entry is ManyFromPath =>
    entry.kind === "path" && referenceKey(entry.reference) === key;
  const entries = plan.entries.filter(isOfPath);
  if (entries.some(({ include, exclude }) => include.length + exclude.length === 0)) return undefined;
  return {
    key: JSON.stringify(entries.map(({ include, exclude }) => [include, exclude])),
    select: (names) => {
      try {
        return entries.flatMap((entry) => membersOf(entry, names));
      } catch (error) {
        // assess() reports invalid patterns.
        if (!(error instanceof Failure)) throw error;
        return [...names];
      }
    },
  };
}

function sourcesTooLarge(): Failure {
  const message = `the sources together have over ${sourcesAtMost} bytes, and a Secret can have ${maxBytes}: use fewer sources, or split them into several SyncedSecrets`;
  return new Failure("TooLarge", "wait", message);
}
