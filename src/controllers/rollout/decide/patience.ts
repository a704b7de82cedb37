import type { Opening } from "../../windows.ts";
import type { State } from "./snapshot.ts";

/**
 * Milliseconds between looks: at a rollout in progress, at one of somebody else, at a workload that a person must go on
 * with, at nothing.
 */
export const lookMs = { progress: 2_000, others: 15_000, person: 60_000, idle: 600_000 };

/** Milliseconds until the next look at a workload in a state. A restart that is due has a wait of its own. */
export const patience: Partial<Record<State, number>> = {
  Restarting: lookMs.progress,
  Paused: lookMs.person,
  Missing: lookMs.person,
  FirstNotReady: lookMs.person,
  Failed: lookMs.person,
  Manual: lookMs.person,
};

/** Milliseconds until a window opens; `lookMs.idle` if none is waited for. */
export function untilOpen(opening: Opening, now: number): number {
  return opening.state === "closed" && opening.from !== undefined ? Math.max(opening.from - now, 0) : lookMs.idle;
}
