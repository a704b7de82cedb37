import type { Fault } from "./watch-fault.ts";

/** Why a watch was restarted: the label `cause` of `watch_restarts_total`. */
export type RestartCause =
  | "ended"
  | "short"
  | "broken"
  | "silent"
  | "gone"
  | "throttled"
  | "refused"
  | "internal"
  | "unsupported"
  | "failed";

/**
 * The next step after a watch:
 * - `watch`: another watch from the same resourceVersion;
 * - `delay-watch`: the same, after a delay;
 * - `delay-list`: a new round after a delay, which begins with a list.
 */
export type Next = "watch" | "delay-watch" | "delay-list";

/** The outcome of a watch. */
export interface WatchRun {
  /** `fault`: refused at the start, or ended by an ERROR event. */
  how: "closed" | "broken" | "silent" | "fault";
  fault?: Fault | undefined;
  /** For the log: why the watch could not begin. */
  error?: string | undefined;
  /** Whether the request failed before the stream began. */
  atStart: boolean;
  /** Number of processed events, including bookmarks. */
  events: number;
  lastedMs: number;
  /** The resourceVersion to resume from. */
  version: string;
  /** Milliseconds since the first of consecutive 500s; 0 for the first. */
  internalForMs: number;
}

/** Milliseconds below which a watch without events counts as a failure: a proxy may be cutting connections. */
const shortMs = 1000;

/** Milliseconds of consecutive 500s within a stream after which a list follows instead of a watch. */
const internalLimitMs = 60_000;

/** Decides the next step after a watch, as client-go's Reflector.watch does. */
export function restart(run: WatchRun): { cause: RestartCause; next: Next } {
  const cause = causeOf(run);
  if (cause === "throttled" || cause === "refused") return { cause, next: "delay-watch" };
  if (cause === "internal" && !run.atStart && run.internalForMs < internalLimitMs)
    return { cause, next: "delay-watch" };
  // Without a resourceVersion to resume from, another watch would miss deletions in between.
  const resumable = run.version !== "" && run.version !== "0";
  if ((cause === "ended" || cause === "broken" || cause === "silent") && resumable) return { cause, next: "watch" };
  return { cause, next: "delay-list" };
}

function causeOf(run: WatchRun): RestartCause {
  switch (run.how) {
    case "silent":
      return "silent";
    case "closed":
    case "broken":
      if (run.events === 0 && run.lastedMs < shortMs) return "short";
      return run.how === "closed" ? "ended" : "broken";
    case "fault": {
      const kind = run.fault?.kind ?? "other";
      return kind === "other" || kind === "too-new" ? "failed" : kind;
    }
  }
}
