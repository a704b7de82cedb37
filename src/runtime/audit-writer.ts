import { type Audit, type AuditEvent, auditLines } from "./audit.ts";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";

/** Where lines go. */
export interface Sink {
  /** Writes whole lines; rejects where not all of them could be. One write at a time. */
  write(lines: string): Promise<void>;
  close(): Promise<void>;
}

export interface AuditWriterOptions {
  sink: Sink;
  clock: Clock;
  log: Log;
  /** Told of each line that was written, or is lost. */
  count: (result: "written" | "lost", lines: number) => void;
  /** Characters that may wait for the sink, beyond which lines are lost: 8 MiB, some 20,000 lines. */
  waitingAtMost?: number;
}

/** Characters of one write, about. */
const batchSize = 65_536;

/**
 * The audit's way out of the process. The operator never waits for it: lines are lost, counted and spoken of once where the
 * sink does not take them, and it is written to again with the next ones.
 */
export class AuditWriter {
  readonly #options: AuditWriterOptions;
  #waiting: string[] = [];
  #size = 0;
  #writing: Promise<void> | undefined;
  #isLosing = false;
  #isTorn = false;
  /** Lines of the write that is under way. */
  #underWay = 0;
  #isOver = false;

  constructor(options: AuditWriterOptions) {
    this.#options = options;
  }

  readonly audit: Audit = (event: AuditEvent) => {
    const { clock, waitingAtMost = 8_388_608 } = this.#options;
    for (const line of auditLines(event, clock.now())) {
      if (this.#size + line.length > waitingAtMost) {
        this.#lost(1, "TooSlow");
        continue;
      }
      this.#waiting.push(line);
      this.#size += line.length;
    }
    this.#begin();
  };

  #begin(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      // One may have come after the last look.
      if (this.#waiting.length > 0) this.#begin();
    });
  }

  /** Resolves when everything is written or lost, and closes the sink; after `ms`, what is not written is lost. */
  async close(ms: number): Promise<void> {
    const { clock, sink } = this.#options;
    const over = new Promise<void>((resolve) => {
      const timer = clock.setTimer(resolve, ms);
      void this.#written().then(() => {
        timer.cancel();
        resolve();
      });
    });
    await over;
    if (!this.#writing) {
      await sink.close().catch(() => {});
      return;
    }
    this.#isOver = true;
    this.#lost(this.#underWay + this.#waiting.length, "TooSlow");
    this.#waiting = [];
  }

  async #written(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  async #write(): Promise<void> {
    const { sink, count } = this.#options;
    // A turn, so that what is audited together is written together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const lines = this.#take();
      this.#underWay = lines.length;
      try {
        // What was cut off must not spoil the line that comes after it.
        await sink.write((this.#isTorn ? "\n" : "") + lines.join(""));
        this.#isTorn = false;
        if (this.#isOver) return;
        count("written", lines.length);
        // One that is slow is not well again before nothing waits.
        if (this.#waiting.length === 0) this.#recovered();
      } catch (error) {
        if (this.#isOver) return;
        this.#isTorn = true;
        this.#lost(lines.length, codeOf(error));
      }
    }
  }

  #take(): string[] {
    let [end, size] = [0, 0];
    while (end < this.#waiting.length && size < batchSize) size += this.#waiting[end++]!.length;
    this.#size -= size;
    return this.#waiting.splice(0, end);
  }

  #lost(lines: number, code: string): void {
    const { count, log } = this.#options;
    count("lost", lines);
    if (this.#isLosing) return;
    this.#isLosing = true;
    log.error({ code }, "lines of the audit are lost: what --audit-log names does not take them");
  }

  #recovered(): void {
    if (!this.#isLosing) return;
    this.#isLosing = false;
    this.#options.log.info({}, "lines of the audit are written again");
  }
}

/** `ENOSPC`, `EPIPE` and such. */
function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" && /^[A-Z0-9_]{1,40}$/.test(code) ? code : "Unknown";
}
