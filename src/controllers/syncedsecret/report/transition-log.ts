import { readyOf } from "../../../api/conditions.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import type { Clock } from "../../../runtime/clock.ts";
import type { Log } from "../../../runtime/log.ts";
import type { Summary } from "./summarize.ts";

/** Lines for single SyncedSecrets in one period, in each direction. */
const linesAtMost = 20;
/** Milliseconds of a period. At its end, one line counts the others. */
const periodMs = 60_000;

/** The rest of a period: the SyncedSecrets without a line of their own, by reason. */
type Others = Map<string, number>;

/**
 * Logs each SyncedSecret whose condition Ready turns False, or True again. An outage of AWS concerns thousands at once:
 * beyond twenty lines a minute they are counted in one.
 */
export class TransitionLog {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #periods = new Map<"lost" | "back", { lines: number; others: Others }>();

  constructor({ clock, log }: { clock: Clock; log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Compares the condition Ready of a SyncedSecret's status with the one that follows it. */
  note(key: string, resource: SyncedSecret, { ready, reason, status }: Summary): void {
    const was = readyOf(resource.status)?.status;
    if (ready === "False" && was !== "False") {
      const message = readyOf(status)?.message;
      this.#add("lost", reason, () => this.#log.warn({ syncedSecret: key, reason, message }, "not ready"));
    }
    if (ready === "True" && was === "False") {
      this.#add("back", reason, () => this.#log.info({ syncedSecret: key }, "ready again"));
    }
  }

  #add(direction: "lost" | "back", reason: string, write: () => void): void {
    let period = this.#periods.get(direction);
    if (!period) {
      period = { lines: 0, others: new Map() };
      this.#periods.set(direction, period);
      this.#clock.setTimer(() => this.#end(direction), periodMs);
    }
    if (period.lines < linesAtMost) {
      period.lines += 1;
      write();
    } else period.others.set(reason, (period.others.get(reason) ?? 0) + 1);
  }

  #end(direction: "lost" | "back"): void {
    const { others } = this.#periods.get(direction)!;
    this.#periods.delete(direction);
    if (others.size === 0) return;
    const reasons = Object.fromEntries(others);
    if (direction === "lost") this.#log.warn({ reasons }, "more SyncedSecrets are not ready");
    else this.#log.info({ reasons }, "more SyncedSecrets are ready again");
  }
}
