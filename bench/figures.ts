/** One measured number, beside what is wanted of it and what the machine or the quota lets at most. */
export interface Figure {
  /** The row that it belongs to. */
  row: string;
  /** What was measured, in words. */
  what: string;
  /** Null where nothing came that could be measured. */
  value: number | null;
  /** `s`, `ms`, `MB` (10⁶ bytes), `/s`, `%`; empty for a count. */
  unit: string;
  /** At most or at least so much is wanted, in the same unit. Left out: for information. */
  goal?: { atMost: number } | { atLeast: number };
  /** What was possible at best, worked out or measured in the same run. */
  limit?: number;
  /** What has to be known to read it. */
  note?: string;
}

/** What one row measures. */
export type RowFigure = Omit<Figure, "row">;

/** Whether a figure is as wanted; undefined where nothing is wanted of it. */
export function isMet({ value, goal }: Figure): boolean | undefined {
  if (!goal) return undefined;
  if (value === null) return false;
  return "atMost" in goal ? value <= goal.atMost : value >= goal.atLeast;
}

/** How much of what was possible was reached, 0 to 1: of a time the limit's share of it, of a rate its share of the limit. */
export function ratio({ value, limit, unit }: Figure): number | undefined {
  if (value === null || limit === undefined || value === 0 || limit === 0) return undefined;
  return unit === "/s" ? value / limit : limit / value;
}

/** The value below which a share of the values lies: the nearest one of them; null where there are none. */
export function percentile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

/** The middle one of some values. */
export const median = (values: readonly number[]): number | null => percentile(values, 0.5);
