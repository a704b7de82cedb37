/** One measured number, with its target and the limit of the machine or the quota. */
export interface Figure {
  /** The row that it belongs to. */
  row: string;
  /** A description of the measured quantity. */
  what: string;
  /** Null if nothing could be measured. */
  value: number | null;
  /** `s`, `ms`, `MB` (10⁶ bytes), `/s`, `%`; empty for a count. */
  unit: string;
  /** The target, at most or at least, in the same unit. Default: no target. */
  goal?: { atMost: number } | { atLeast: number };
  /** The best possible value, calculated or measured in the same run. */
  limit?: number;
  /** A note for the reader. */
  note?: string;
}

/** The measurements of one row. */
export type RowFigure = Omit<Figure, "row">;

/** Whether a figure meets its target; undefined without a target. */
export function isMet({ value, goal }: Figure): boolean | undefined {
  if (!goal) return undefined;
  if (value === null) return false;
  return "atMost" in goal ? value <= goal.atMost : value >= goal.atLeast;
}

/** The reached share of the limit, 0 to 1: limit / value for a time, value / limit for a rate. */
export function ratio({ value, limit, unit }: Figure): number | undefined {
  if (value === null || limit === undefined || value === 0 || limit === 0) return undefined;
  return unit === "/s" ? value / limit : limit / value;
}

/** A quantile by nearest rank; null without values. */
export function percentile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

/** The median. */
export const median = (values: readonly number[]): number | null => percentile(values, 0.5);
