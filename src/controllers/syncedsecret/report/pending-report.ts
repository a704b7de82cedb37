import type { SyncedSecret } from "../../../api/types.ts";
import { type Asked, keptConditions, secondsOf } from "../../conditions.ts";
import { type Outcome, writeOf } from "../decide/outcome.ts";
import type { PendingChange } from "../decide/pending.ts";
import type { SourceChange } from "../decide/source-changes.ts";

type Status = NonNullable<SyncedSecret["status"]>;
/** The status fields of a change that waits. */
type PendingFields = Pick<Status, "pendingRevision" | "pendingChanges">;

const changePending = "ChangePending";

/** What a status says of a change that waits; an outcome that does not know of one leaves it as it is. */
export function pendingReport(
  { metadata, status: before = {} }: SyncedSecret,
  outcome: Exclude<Outcome, { kind: "again" | "nothing" }>,
): { conditions: Asked[]; fields: PendingFields; opensAt: number | undefined } {
  const { pending } = outcome;
  if (pending) {
    const { revision, changes, opening } = pending;
    const pendingChanges = changesListed(changes);
    const fields = { pendingRevision: revision, ...(pendingChanges.length > 0 ? { pendingChanges } : {}) };
    const opensAt = opening.state === "closed" ? opening.from : undefined;
    return { conditions: [conditionOf(pending, metadata.name!)], fields, opensAt };
  }
  if (isSettled(outcome)) return { conditions: [], fields: {}, opensAt: undefined };
  const { pendingRevision, pendingChanges } = before;
  const fields = {
    ...(pendingRevision === undefined ? {} : { pendingRevision }),
    ...(pendingChanges ? { pendingChanges } : {}),
  };
  const conditions = keptConditions((before.conditions ?? []) as Asked[], [changePending]);
  return { conditions, fields, opensAt: undefined };
}

/** A version in a message. */
export function versionText(version: number | undefined): string {
  return version === undefined ? "none" : `${version}`;
}

/** Changes as a status lists them. */
export function changesListed(changes: readonly SourceChange[]): NonNullable<Status["pendingChanges"]> {
  return changes.map(({ name, from, to }) => ({
    name,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  }));
}

function conditionOf(
  { revision, changes, count, needsApproval, approved, opening }: PendingChange,
  name: string,
): Asked {
  const listed = changes.map(
    ({ name: of, from, to }) => `${of} from version ${versionText(from)} to ${versionText(to)}`,
  );
  const more = count > changes.length ? ` and ${count - changes.length} more` : "";
  const what = `${listed.join(", ")}${more}`;
  const base = { type: changePending, status: "True" } as const;
  if (needsApproval) {
    const stale = approved === undefined ? "" : "; the annotation keyferry.io/approve names another revision";
    const how = `kubectl annotate --overwrite kss ${name} keyferry.io/approve=${revision}`;
    return { ...base, reason: "ApprovalRequired", message: `waits for an approval: ${what}: ${how}${stale}` };
  }
  if (opening.state === "invalid")
    return { ...base, reason: "InvalidWindow", message: `refresh.${opening.problem}: ${what}` };
  const from = opening.state === "closed" ? opening.from : undefined;
  const when = from === undefined ? "" : `, at ${secondsOf(from)}`;
  return { ...base, reason: "OutsideWindow", message: `waits for a window of refresh.windows${when}: ${what}` };
}

/** Whether an outcome shows that no change waits: the Secret is current, or was written or deleted. */
export function isSettled(outcome: Outcome): boolean {
  return outcome.kind === "current" || outcome.kind === "degraded" || writeOf(outcome) !== undefined;
}
