import { Cron } from "croner";
import { parseDuration } from "../runtime/duration.ts";

/** A time in which changes may be made, repeatedly. */
export interface Window {
  /** When it opens: a cron expression of five fields. */
  schedule: string;
  /** How long it stays open, as elapsed time. */
  duration: string;
  /** An IANA time zone; UTC if left out. */
  timeZone?: string;
}

/** Whether one of several windows is open. */
export type Opening =
  /** @param until milliseconds since the epoch; Infinity without windows */
  | { state: "open"; until: number }
  /** @param from milliseconds since the epoch */
  | { state: "closed"; from: number | undefined }
  /** @param problem which window cannot be understood */
  | { state: "invalid"; problem: string };

/**
 * Whether changes may be made now. By croner, a start inside the hour that a time zone skips opens at its end, and one in
 * the hour that it repeats opens once.
 *
 * @param windows undefined or empty: always open
 * @param now milliseconds since the epoch
 */
export function openingOf(windows: readonly Window[] | undefined, now: number): Opening {
  if (!windows?.length) return { state: "open", until: Number.POSITIVE_INFINITY };
  let until: number | undefined;
  let from: number | undefined;
  for (const [index, window] of windows.entries()) {
    const durationMs = parseDuration(window.duration);
    const starts = startsAround(window, now);
    if (durationMs === undefined || !starts) return { state: "invalid", problem: problemOf(index, window) };
    // The last start decides: an earlier one of the same duration ends before.
    const end = starts.last + durationMs;
    if (end > now) until = Math.max(until ?? end, end);
    from = Math.min(from ?? starts.next, starts.next);
  }
  return until === undefined ? { state: "closed", from } : { state: "open", until };
}

/** The last start of a window and the next one, in milliseconds since the epoch. */
interface Starts {
  /** -Infinity if it has never started. */
  last: number;
  next: number;
}

/** The starts that were computed last, by schedule and time zone; undefined where they cannot be understood. */
const known = new Map<string, Starts | undefined>();
const mostKnown = 2_000;

/** The starts before and after an instant; undefined if the window cannot be understood. Computed once for each start. */
function startsAround(window: Window, now: number): Starts | undefined {
  const key = `${window.timeZone ?? ""} ${window.schedule}`;
  const before = known.get(key);
  if (known.has(key) && (!before || (before.last <= now && now < before.next))) return before;
  if (known.size >= mostKnown) known.clear();
  const starts = computeStarts(window, now);
  known.set(key, starts);
  return starts;
}

function computeStarts({ schedule, timeZone = "UTC" }: Window, now: number): Starts | undefined {
  if (!isPlain(schedule)) return undefined;
  try {
    const cron = new Cron(schedule, { timezone: timeZone, paused: true, mode: "5-part" });
    const next = cron.nextRun(new Date(now))?.getTime();
    // Starts are whole seconds.
    const [last] = cron.previousRuns(1, new Date((Math.floor(now / 1_000) + 1) * 1_000));
    return next === undefined ? undefined : { last: last?.getTime() ?? Number.NEGATIVE_INFINITY, next };
  } catch {
    return undefined;
  }
}

/**
 * Whether a schedule is quick to search: croner would search years for the 31st of February, and anybody who may edit a
 * SyncedSecret could keep the operator busy with many of them.
 */
function isPlain(schedule: string): boolean {
  const [, , day = "", month = "", weekday = ""] = schedule.split(" ");
  if (/[LW#]/i.test(day) || /#|[0-9]L/i.test(weekday)) return false;
  return month === "*" || !/(29|30|31)/.test(day);
}

function problemOf(index: number, { schedule, timeZone = "UTC" }: Window): string {
  const example = `such as "0 2 * * 1-5" with timeZone Europe/Paris`;
  return `windows[${index}]: schedule "${schedule}" with timeZone ${timeZone} is not a cron expression of five fields and a time zone, ${example}; a day after the 28th needs the month *`;
}
