import type { SyncedSecret } from "../../api/types.ts";
import type { About, Seed } from "../../parameters/entry.ts";
import { type Reference, referenceKey } from "../../parameters/reference.ts";
import { belongs, isAmbiguous, pinnedAssessment, type Source, sightIn } from "./pin.ts";
import type { Grant, Plan } from "./plan.ts";
import type { Revisions } from "./revision.ts";

/**
 * What an earlier process saw of the sources, by the key of each reference. A status can be edited, so it counts only
 * where the Secret vouches for it: where the revision that follows from it, for this account and region, is the one
 * that the Secret carries.
 *
 * @param inSecret the Secret's revision
 */
export function seedsOf(
  resource: SyncedSecret,
  plan: Plan,
  grant: Grant,
  inSecret: string | undefined,
  revisions: Revisions,
): Map<string, ReadonlyMap<string, Seed>> | undefined {
  const { sources, sourcesOmitted } = resource.status ?? {};
  if (inSecret === undefined || !sources || (sourcesOmitted ?? 0) > 0) return undefined;
  const assessed = pinnedAssessment(plan, sources).sources;
  const { account, identity } = grant;
  const said = { spec: resource.spec, account, region: identity.region, sources: assessed, bound: plan.bound };
  if (!revisions.isOf(inSecret, said)) return undefined;
  const seeds = new Map<string, ReadonlyMap<string, Seed>>();
  for (const reference of plan.references) {
    const sights = new Map<string, Seed>();
    for (const source of sources) {
      if (!belongs(source, reference)) continue;
      if (reference.kind === "path" && isAmbiguous(source, reference, plan)) continue;
      sights.set(source.name, sightIn(source));
    }
    // The revision that the Secret vouches for was made without it.
    if (reference.kind === "parameter" && sights.size === 0) sights.set(reference.name, "left");
    if (sights.size > 0) seeds.set(referenceKey(reference), sights);
  }
  return seeds;
}

/** What a status says of the expiries and keys of what came from a reference, by parameter name; a reason to look. */
export function storedOf(sources: readonly Source[], reference: Reference): Map<string, About> | undefined {
  const stored = new Map<string, About>();
  for (const source of sources) {
    const { name, expiresAt, keyId } = source;
    if ((expiresAt === undefined && keyId === undefined) || !belongs(source, reference)) continue;
    const at = expiresAt === undefined ? Number.NaN : Date.parse(expiresAt);
    stored.set(name, {
      unsure: "stored",
      ...(keyId === undefined ? {} : { keyId }),
      ...(Number.isNaN(at) ? {} : { policies: { expiresAt: at } }),
    });
  }
  return stored.size > 0 ? stored : undefined;
}
