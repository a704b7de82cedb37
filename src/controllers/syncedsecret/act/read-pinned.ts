import type { Observer } from "../../../parameters/observer.ts";
import { type ParameterReference, referenceKey } from "../../../parameters/read/reference.ts";
import { isEqual, type StampedValue } from "../../../parameters/read/version-stamp.ts";
import type { IsWanted } from "../../../runtime/cancellation.ts";
import { Failure } from "../../../runtime/failure.ts";
import { namespaceOf } from "../../../runtime/fair-queue.ts";
import type { Lane } from "../../../runtime/lane.ts";
import type { Span } from "../../../runtime/tracing.ts";
import type { PinnedRead } from "../decide/material.ts";
import type { Plan } from "../plan/plan.ts";
import { belongs, isAmbiguous, type Source, stampOfSource } from "../trust/status-sources.ts";

/**
 * Reads the pinned versions of a Secret by number.
 *
 * @param whom.resource namespace/name of the SyncedSecret
 * @param whom.isPresent whether these are the versions that the Secret has, and not earlier ones
 */
export async function readPinned(
  plan: Plan,
  sources: readonly Source[],
  observer: Observer,
  whom: { lane: Lane; resource: string; isWanted?: IsWanted; span?: Span; isPresent: boolean },
): Promise<PinnedRead> {
  const values = new Map<string, ReadonlyMap<string, StampedValue>>();
  const problems: Failure[] = [];
  const read = async (reference: ParameterReference, source: Source): Promise<StampedValue | undefined> => {
    const { version, versionId = version } = source;
    const answer = await observer.valueOf({ ...reference, selector: `:${versionId}` }, whom.lane, {
      namespace: namespaceOf(whom.resource),
      resource: whom.resource,
      isWanted: whom.isWanted,
      span: whom.span,
    });
    if (answer.state === "failed") problems.push(answer.failure);
    // After a deletion and re-creation, the same number is another version.
    else if (answer.state === "found" && isEqual(answer.stamped, stampOfSource(source))) return answer.stamped;
    else problems.push(notKept(reference.name, version, whom.isPresent));
    return undefined;
  };
  await Promise.all(
    plan.references.map(async (reference) => {
      const found = new Map<string, StampedValue>();
      for (const source of sources.filter((candidate) => belongs(candidate, reference))) {
        if (reference.kind === "path" && isAmbiguous(source, reference, plan)) {
          problems.push(ambiguous(source.name, whom.isPresent));
          continue;
        }
        const asked: ParameterReference = {
          kind: "parameter",
          identity: reference.identity,
          name: source.name,
          selector: "",
        };
        const stamped = await read(asked, source);
        if (stamped) found.set(source.name, stamped);
      }
      values.set(referenceKey(reference), found);
    }),
  );
  return { values, problems };
}

function notKept(name: string, version: number, isPresent: boolean): Failure {
  const remedy = ", from which the Secret was made: change the spec to make the Secret from current versions";
  return new Failure(
    "SourceGone",
    "wait",
    `AWS no longer keeps version ${version} of ${name}${isPresent ? remedy : ""}`,
  );
}

function ambiguous(name: string, isPresent: boolean): Failure {
  const remedy = ", so the Secret cannot be restored as it was: change the spec to make it from current versions";
  return new Failure("SourceGone", "wait", `${name} matches several entries${isPresent ? remedy : ""}`);
}
