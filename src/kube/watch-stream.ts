import type { Clock, Timer } from "../runtime/clock.ts";
import { type Line, LineSplitter } from "./lines.ts";

/**
 * Bytes of one line of a watch. An object in etcd has 1.5 MiB at most; JSON and its escapes can make that several
 * times as much.
 */
const longestLine = 8 * 1024 * 1024;

/** Milliseconds for bytes to come in after the silence limit: a process that slept finds its timer due before them. */
const graceMs = 1000;

/** How a stream ended. `unopened` is a request that failed before its first byte. */
export type StreamEnd<V> =
  | { how: "closed" | "broken" | "silent" | "stopped" }
  | { how: "unopened"; error: unknown }
  | { how: "left"; verdict: V };

/** How to read one stream. */
export interface StreamOptions<V> {
  /** Opens it; its signal aborts when the stream is not wanted any more. */
  open: (signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>;
  /** Called for every line; anything but undefined ends the reading. */
  onLine: (line: Line) => V | undefined;
  /** Milliseconds without a byte, also before the first, after which the connection counts as dead. */
  silenceMs: number;
  clock: Clock;
  signal: AbortSignal;
}

/**
 * Reads the lines of a stream until it ends, breaks, falls silent, or the reader has had enough. Never rejects, and
 * returns at once when the signal aborts, also where the source does not heed its own. A slow reader slows the source:
 * nothing is read ahead.
 */
export async function readStream<V>(options: StreamOptions<V>): Promise<StreamEnd<V>> {
  const { open, onLine, signal, clock, silenceMs } = options;
  const inner = new AbortController();
  const stop = () => inner.abort();
  if (signal.aborted) return { how: "stopped" };
  signal.addEventListener("abort", stop, { once: true });
  const watchdog = new Watchdog(clock, silenceMs, stop);
  const cut = <F>(otherwise: F) =>
    signal.aborted ? ({ how: "stopped" } as const) : watchdog.barked ? ({ how: "silent" } as const) : otherwise;
  let iterator: AsyncIterator<Uint8Array> | undefined;
  try {
    try {
      iterator = (await abortable(open(inner.signal), inner.signal))[Symbol.asyncIterator]();
    } catch (error) {
      return cut({ how: "unopened", error } as const);
    }
    const splitter = new LineSplitter(longestLine);
    for (;;) {
      let step: IteratorResult<Uint8Array>;
      try {
        step = await abortable(iterator.next(), inner.signal);
      } catch {
        return cut({ how: "broken" } as const);
      }
      watchdog.calm();
      const lines = step.done ? [splitter.end()] : splitter.push(step.value);
      for (const line of lines) {
        if (signal.aborted) return { how: "stopped" };
        const verdict = line && onLine(line);
        if (verdict !== undefined) return { how: "left", verdict };
      }
      if (step.done) return { how: "closed" };
    }
  } finally {
    watchdog.cancel();
    signal.removeEventListener("abort", stop);
    inner.abort();
    void Promise.resolve(iterator?.return?.()).catch(() => {});
  }
}

/** Settles as `promise` does, or rejects as soon as `signal` aborts. */
export function abortable<V>(promise: Promise<V>, signal: AbortSignal): Promise<V> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Error("stopped"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** Calls `bark` once when `calm` has not been called for `silenceMs`. One timer, set anew when it fires. */
class Watchdog {
  barked = false;
  #clock: Clock;
  #silenceMs: number;
  #bark: () => void;
  #heardAt: number;
  #timer: Timer;

  constructor(clock: Clock, silenceMs: number, bark: () => void) {
    this.#clock = clock;
    this.#silenceMs = silenceMs;
    this.#bark = bark;
    this.#heardAt = clock.monotonic();
    this.#timer = clock.setTimer(() => this.#look(), silenceMs);
  }

  calm(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  cancel(): void {
    this.#timer.cancel();
  }

  #look(): void {
    const heardAt = this.#heardAt;
    const left = heardAt + this.#silenceMs - this.#clock.monotonic();
    if (left > 0) {
      this.#timer = this.#clock.setTimer(() => this.#look(), left);
      return;
    }
    this.#timer = this.#clock.setTimer(() => {
      if (this.#heardAt !== heardAt) {
        this.#look();
        return;
      }
      this.barked = true;
      this.#bark();
    }, graceMs);
  }
}
