import type { SyncedSecret } from "../../../api/types.ts";
import { durationOr } from "../../../runtime/duration.ts";
import { pollIntervalOf } from "../decide/snapshot.ts";

/** Default of `refresh.staleAfter`, in poll intervals. */
const intervalsUntilStale = 10;

/** How often the sources of a SyncedSecret are polled. */
export interface Polling {
  /** The connection's poll interval in milliseconds, the lower bound. */
  floorMs: number;
  /** The factor by which polls are rarer than the interval that the SyncedSecret asks for, in milliseconds. */
  factorOf: (askedMs: number) => number;
}

/** Milliseconds without an answer from AWS after which Ready turns False; Infinity if AWS is not polled. */
export function staleAfterMs(resource: SyncedSecret, { floorMs, factorOf }: Polling): number {
  const { refresh, data, dataFrom } = resource.spec;
  const asksAws = (data ?? []).some(({ parameter }) => parameter) || (dataFrom ?? []).length > 0;
  if (refresh?.policy === "Once" || !asksAws) return Infinity;
  const asked = pollIntervalOf(resource, floorMs);
  const interval = asked * factorOf(asked);
  // With less than two intervals, Ready would turn False between two polls.
  return Math.max(durationOr(refresh?.staleAfter, intervalsUntilStale * interval), 2 * interval);
}
