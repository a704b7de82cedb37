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
  /** @param from milliseconds since the epoch; undefined if it never opens */
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
    const cron = cronOf(window);
    if (durationMs === undefined || !cron) return { state: "invalid", problem: problemOf(index, window) };
    // The last start decides: an earlier one of the same duration ends before. Starts are whole seconds.
    const [last] = cron.previousRuns(1, new Date((Math.floor(now / 1_000) + 1) * 1_000));
    const end = (last?.getTime() ?? Number.NEGATIVE_INFINITY) + durationMs;
    if (end > now) until = Math.max(until ?? end, end);
    const start = cron.nextRun(new Date(now))?.getTime();
    if (start !== undefined) from = Math.min(from ?? start, start);
  }
  return until === undefined ? { state: "closed", from } : { state: "open", until };
}

function cronOf({ schedule, timeZone = "UTC" }: Window): Cron | undefined {
  try {
    const cron = new Cron(schedule, { timezone: timeZone, paused: true, mode: "5-part" });
    // Only a computed instant shows that the time zone exists.
    cron.nextRun(new Date(0));
    return cron;
  } catch {
    return undefined;
  }
}

function problemOf(index: number, { schedule, timeZone = "UTC" }: Window): string {
  const example = `such as "0 2 * * 1-5" with timeZone Europe/Paris`;
  return `windows[${index}]: schedule "${schedule}" with timeZone ${timeZone} is not a cron expression of five fields and a time zone, ${example}`;
}
