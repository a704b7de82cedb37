import { type Audit, type AuditEvent, auditLines } from "./audit.ts";
import { type Clock, endsWithin } from "./clock.ts";
import type { Log } from "./log.ts";

/** Where lines go. */
export interface Sink {
  /**
   * Writes lines, each with its line feed, in their order, and waits where what takes them is behind. One write at a time.
   * What was cut off does not spoil the line that is written next.
   *
   * @param wrote called with how many more of them are written whole, as soon as that is known
   * @returns rejects where the one after those could not be written
   */
  write(lines: readonly string[], wrote: (lines: number) => void): Promise<void>;
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
/** Times that what could not be written is tried. */
const triesAtMost = 2;

/**
 * The audit's way out of the process. The operator never waits for it: lines are lost, counted and spoken of once where the
 * sink does not take them at the second try, and it is written to again with the next ones.
 */
export class AuditWriter {
  readonly #options: AuditWriterOptions;
  #waiting: string[] = [];
  #size = 0;
  #writing: Promise<void> | undefined;
  #isLosing = false;
  /** Lines of the write that is under way, and not written yet. */
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
    if (await endsWithin(clock, this.#written(), ms)) {
      await endsWithin(clock, sink.close(), ms);
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
    // A turn, so that what is audited together is written together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const lines = this.#take();
      this.#underWay = lines.length;
      let failure: unknown;
      for (let tries = 0; this.#underWay > 0 && tries < triesAtMost; tries++) {
        failure = await this.#tryTo(lines.slice(-this.#underWay));
        if (this.#isOver) return;
      }
      if (this.#underWay > 0) this.#lost(this.#underWay, codeOf(failure));
      // One that is slow is not well again before nothing waits.
      else if (this.#waiting.length === 0) this.#recovered();
    }
  }

  /** Writes lines, and counts those that are written. @returns why the others are not */
  async #tryTo(lines: readonly string[]): Promise<unknown> {
    const { sink, count } = this.#options;
    const wrote = (written: number) => {
      if (this.#isOver) return;
      this.#underWay -= written;
      count("written", written);
    };
    return sink.write(lines, wrote).catch((error: unknown) => error);
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
