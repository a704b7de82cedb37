import { annotations } from "../../api/annotations.ts";
import type { SyncedSecret } from "../../api/types.ts";
import type { Outcome } from "./outcome.ts";
import type { Target } from "./target.ts";

/** The condition Ready as it was last written. */
export function readyOf({ status }: SyncedSecret) {
  return status?.conditions?.find(({ type }) => type === "Ready");
}

/** Whether the condition Ready was last written as False. */
export function saidFalse(resource: SyncedSecret): boolean {
  return readyOf(resource)?.status === "False";
}

/** What `kubectl annotate … keyferry.io/refresh=…` asks for, until it has been done. */
export function pendingRefresh(resource: SyncedSecret): string | undefined {
  const { annotations: own } = resource.metadata;
  const asked = own && Object.hasOwn(own, annotations.refresh) ? own[annotations.refresh] : undefined;
  return asked === undefined || asked === resource.status?.lastHandledRefresh ? undefined : asked;
}

/** Under Once nothing is looked at any more: what the status says of the sources stays true. */
export function asStatusSays(resource: SyncedSecret, target: Target, inSecret: string): Outcome {
  const sources = (resource.status?.sources ?? []).map(({ name, selector, version, lastModified }) => ({
    name,
    selector: selector === undefined ? "" : `:${selector}`,
    version,
    modified: Date.parse(lastModified),
  }));
  const keyCount = resource.status?.keyCount ?? 0;
  return { kind: "current", secret: target.name, revision: inSecret, keyCount, sources, left: [] };
}
