import type { Opening } from "../../windows.ts";
import type { SourceChange } from "./source-changes.ts";

/** A change of the sources that is not applied yet. */
export interface PendingChange {
  /** What an approval must name. */
  revision: string;
  /** The sources that differ, by name, at most ten. */
  changes: readonly SourceChange[];
  /** Number of sources that differ. */
  count: number;
  /** Whether an approval is missing; otherwise a window is waited for. */
  needsApproval: boolean;
  /** What the annotation keyferry.io/approve names; undefined without one. */
  approved: string | undefined;
  opening: Opening;
}
