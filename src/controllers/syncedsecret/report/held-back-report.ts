import type { SyncedSecret } from "../../../api/types.ts";
import { type Asked, keptConditions } from "../../conditions.ts";
import type { HeldBack, LastGood } from "../decide/held-back.ts";
import { asksForRevert } from "../decide/last-good.ts";
import type { Outcome } from "../decide/outcome.ts";
import { formatLastGood } from "../decide/revert-records.ts";
import { changesListed, isSettled, versionText } from "./pending-report.ts";

type Status = NonNullable<SyncedSecret["status"]>;
type Fields = Pick<Status, "lastGood" | "heldBack">;

const heldBackType = "HeldBack";

/** What a status says of the last good revision and of one that is held back; what an outcome does not know stays. */
export function heldBackReport(
  resource: SyncedSecret,
  outcome: Exclude<Outcome, { kind: "again" | "nothing" }>,
): { conditions: Asked[]; fields: Fields } {
  const { metadata, status: before = {} } = resource;
  if (!asksForRevert(resource)) return { conditions: [], fields: {} };
  const { heldBack } = outcome;
  const lastGood = outcome.lastGood
    ? lastGoodListed(outcome.lastGood)
    : isSettled(outcome)
      ? undefined
      : before.lastGood;
  const kept = lastGood ? { lastGood } : {};
  if (heldBack) {
    const { changes, problem, record, ...rest } = heldBack;
    const listed = changesListed(changes);
    const fields = {
      ...kept,
      heldBack: {
        ...rest,
        ...(problem === undefined ? {} : { problem }),
        ...(record === undefined ? {} : { record }),
        ...(listed.length > 0 ? { changes: listed } : {}),
      },
    };
    return { conditions: [conditionOf(heldBack, metadata.name!)], fields };
  }
  if (isSettled(outcome)) return { conditions: [], fields: kept };
  const conditions = keptConditions((before.conditions ?? []) as Asked[], [heldBackType]);
  return { conditions, fields: { ...kept, ...(before.heldBack ? { heldBack: before.heldBack } : {}) } };
}

/** The events of a version that is held back now, or cannot be. */
export function heldBackEvents(before: Status, now: readonly Asked[]) {
  return now.flatMap(({ type, status, reason, message }) => {
    const was = before.conditions?.find((condition) => condition.type === type);
    return was?.status === status ? [] : [{ type: "Warning" as const, reason, note: message }];
  });
}

function conditionOf({ revision, cause, problem, changes }: HeldBack, name: string): Asked {
  const what = changes.map(
    ({ name: of, from, to }) => `${of} version ${versionText(to)}, last good ${versionText(from)}`,
  );
  const which = what.length > 0 ? what.join("; ") : "the last change";
  if (problem !== undefined) {
    const message = `${cause}; the Secret was not set back, and restarts stop: ${problem}: ${which}`;
    return { type: heldBackType, status: "False", reason: "RevertFailed", message };
  }
  const how = `kubectl annotate --overwrite kss ${name} keyferry.io/approve=${revision}`;
  const message = `${cause}; held back until a source changes: ${which}: to apply it all the same, ${how}`;
  return { type: heldBackType, status: "True", reason: "RolloutFailed", message };
}

/** The last good revision as a status lists it. */
function lastGoodListed({ sources, ...recorded }: LastGood): NonNullable<Status["lastGood"]> {
  const listed = sources.map(({ name, selector, version, versionId, lastModified }) => ({
    name,
    ...(selector === undefined ? {} : { selector }),
    version,
    ...(versionId === undefined ? {} : { versionId }),
    lastModified,
  }));
  return { revision: recorded.revision, record: formatLastGood(recorded), sources: listed };
}
