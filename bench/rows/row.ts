import type { RowFigure } from "../figures.ts";
import type { Ground } from "../ground.ts";

/** One workload and its measurements. */
export interface Row {
  name: string;
  /** A description in one line. */
  about: string;
  run(ground: Ground): Promise<RowFigure[]>;
}
