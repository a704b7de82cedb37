import type { Fault } from "./watch-fault.ts";

/** Why a watch was begun again: the label `cause` of `watch_restarts_total`. */
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
 * What comes after a watch:
 * - `watch`: another from the same resourceVersion;
 * - `delay-watch`: the same, after a delay;
 * - `newest`: a watch-list of the newest state, at once;
 * - `list`: a list in the place of a watch-list that failed, at once;
 * - `delay-list`: the round is over; after a delay, the next begins with a list.
 */
export type Next = "watch" | "delay-watch" | "newest" | "list" | "delay-list";

/** How a watch went. */
export interface WatchRun {
  /** `fault`: refused at the start or ended by an ERROR event. `incapable`: took a watch-list for a plain watch. */
  how: "closed" | "broken" | "silent" | "fault" | "incapable";
  fault?: Fault | undefined;
  /** For the log: what kept it from beginning. */
  error?: string | undefined;
  /** Whether the fault came instead of a stream. */
  atStart: boolean;
  /** Events that were taken in, bookmarks included. */
  events: number;
  lastedMs: number;
  /** Whether the initial events of a watch-list were still coming in. */
  collecting: boolean;
  /** The resourceVersion that it began at. */
  from: string;
  /** The one to go on from. */
  version: string;
  /** Milliseconds since the first 500 of an unbroken row of them; 0 when this is the first. */
  internalForMs: number;
}

/** A watch without events that ends sooner is a failure: something between us and the server cuts it. */
const shortMs = 1000;

/** Milliseconds for which 500s inside a stream are answered by another watch instead of a list. */
const internalLimitMs = 60_000;

/** Decides what comes after a watch, as client-go's Reflector.watch and watchList do. */
export function restart(run: WatchRun): { cause: RestartCause; next: Next } {
  const cause = causeOf(run);
  if (cause === "throttled" || cause === "refused") return { cause, next: "delay-watch" };
  if (run.collecting) {
    const stale = run.fault?.kind === "gone" || run.fault?.kind === "too-new";
    return { cause, next: stale && run.from !== "" ? "newest" : "list" };
  }
  if (cause === "internal" && !run.atStart && run.internalForMs < internalLimitMs)
    return { cause, next: "delay-watch" };
  // Without a version to go on from, another watch would miss what is deleted in between.
  const resumable = run.version !== "" && run.version !== "0";
  if ((cause === "ended" || cause === "broken" || cause === "silent") && resumable) return { cause, next: "watch" };
  return { cause, next: "delay-list" };
}

function causeOf(run: WatchRun): RestartCause {
  switch (run.how) {
    case "silent":
      return "silent";
    case "incapable":
      return "unsupported";
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
