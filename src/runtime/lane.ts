/**
 * Whom a piece of work is for, the most urgent first: a change that AWS announced, a person who waits, a Secret that
 * was edited, the mass, a poll. Reads from AWS and writes to Kubernetes go by the same lanes.
 */
export const lanes = ["event", "interactive", "drift", "bulk", "poll"] as const;

export type Lane = (typeof lanes)[number];

/** The more urgent of two lanes. */
export function moreUrgent(a: Lane, b: Lane): Lane {
  return lanes.indexOf(a) <= lanes.indexOf(b) ? a : b;
}

/** The priority of a lane in a queue: the higher comes first. */
export function priorityOf(lane: Lane): number {
  return lanes.length - lanes.indexOf(lane);
}

/** The lane of a priority; what has no priority belongs to the mass. */
export function laneOf(priority: number): Lane {
  return lanes[lanes.length - priority] ?? "bulk";
}

/** Something of its own for each lane. */
export function byLane<T>(make: (lane: Lane) => T): Record<Lane, T> {
  return Object.fromEntries(lanes.map((lane) => [lane, make(lane)])) as Record<Lane, T>;
}
