/**
 * The priorities of work, the most urgent first: a change that AWS announced, a person who waits, an edited Secret,
 * bulk work, a poll. Calls to AWS and writes to Kubernetes use the same lanes.
 */
export const lanes = ["event", "interactive", "drift", "bulk", "poll"] as const;

export type Lane = (typeof lanes)[number];

/** The more urgent of two lanes. */
export function moreUrgent(a: Lane, b: Lane): Lane {
  return lanes.indexOf(a) <= lanes.indexOf(b) ? a : b;
}

/** The priority of a lane in a queue: higher comes first. */
export function priorityOf(lane: Lane): number {
  return lanes.length - lanes.indexOf(lane);
}

/** The lane of a priority. Unknown priorities belong to bulk. */
export function laneOf(priority: number): Lane {
  return lanes[lanes.length - priority] ?? "bulk";
}

/** Makes a value for each lane. */
export function byLane<T>(make: (lane: Lane) => T): Record<Lane, T> {
  return Object.fromEntries(lanes.map((lane) => [lane, make(lane)])) as Record<Lane, T>;
}
