import { type Audit, type AuditEvent, auditLines } from "./audit.ts";
import { type Clock, endsWithin } from "./clock.ts";
import type { Log } from "./log.ts";

/** The destination of audit lines. */
export interface Sink {
  /**
   * Writes lines in order, each with its line feed, and waits while the destination is slow. One write at a time. A
   * partially written line does not corrupt the next one.
   *
   * @param wrote called with the number of further lines that are completely written
   * @returns rejects if the next line could not be written
   */
  write(lines: readonly string[], wrote: (lines: number) => void): Promise<void>;
  close(): Promise<void>;
}

export interface AuditWriterOptions {
  sink: Sink;
  clock: Clock;
  log: Log;
  /** Called with the number of lines written or lost. */
  count: (result: "written" | "lost", lines: number) => void;
  /** Maximum characters that wait for the sink; further lines are lost. Default 8 MiB, about 20,000 lines. */
  waitingAtMost?: number;
}

/** Approximate characters of one write. */
const batchSize = 65_536;
/** Maximum tries of one write. */
const maxTries = 2;

/**
 * Writes audit lines to a sink. The operator never waits for it. Lines that the sink does not accept at the second try
 * are lost and counted, and the loss is logged once. Writing continues with the next lines.
 */
export class AuditWriter {
  readonly #options: AuditWriterOptions;
  #waiting: string[] = [];
  #size = 0;
  #writing: Promise<void> | undefined;
  #isLosing = false;
  /** Lines of the current write that are not written yet. */
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
      // A line may have arrived after #write checked for more.
      if (this.#waiting.length > 0) this.#begin();
    });
  }

  /** Resolves when all lines are written or lost, and closes the sink. After `ms`, the remaining lines are lost. */
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
    // Wait one microtask, so that lines audited together are written together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const lines = this.#take();
      this.#underWay = lines.length;
      let failure: unknown;
      for (let tries = 0; this.#underWay > 0 && tries < maxTries; tries++) {
        failure = await this.#tryTo(lines.slice(-this.#underWay));
        if (this.#isOver) return;
      }
      if (this.#underWay > 0) this.#lost(this.#underWay, codeOf(failure));
      // A slow sink has recovered only when no lines wait.
      else if (this.#waiting.length === 0) this.#recovered();
    }
  }

  /** Writes lines, and counts the written ones. @returns the error, if some lines were not written */
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
    log.error({ code }, "audit lines lost: the destination of --audit-log does not accept them");
  }

  #recovered(): void {
    if (!this.#isLosing) return;
    this.#isLosing = false;
    this.#options.log.info({}, "audit lines are written again");
  }
}

/** A system error code, such as `ENOSPC` or `EPIPE`. */
function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" && /^[A-Z0-9_]{1,40}$/.test(code) ? code : "Unknown";
}
