import { bulkRow } from "./rows/bulk.ts";
import { burstRow, eventsRow } from "./rows/events.ts";
import { firstSyncRow, sharedRow } from "./rows/first-sync.ts";
import { hostileRow } from "./rows/hostile.ts";
import { foreignRow, memoryRow } from "./rows/memory.ts";
import { neighboursRow } from "./rows/neighbours.ts";
import { quotaRow } from "./rows/quota.ts";
import type { Row } from "./rows/row.ts";
import { pollRow, restartRow } from "./rows/unchanged.ts";
import { urgentRow } from "./rows/urgent.ts";

/** Every row, ordered so that each can reuse the objects of the previous one. */
export const rows: readonly Row[] = [
  firstSyncRow,
  pollRow,
  sharedRow,
  bulkRow,
  restartRow,
  eventsRow,
  burstRow,
  urgentRow,
  memoryRow,
  quotaRow,
  neighboursRow,
  foreignRow,
  hostileRow,
];
