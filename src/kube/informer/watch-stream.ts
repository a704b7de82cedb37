import type { Clock, Timer } from "../../runtime/clock.ts";
import { type Line, LineSplitter } from "./lines.ts";

/**
 * Maximum bytes of one line of a watch. etcd's limit is 1.5 MiB; as escaped JSON an object can be several times larger.
 */
const maxLineBytes = 8 * 1024 * 1024;

/** Milliseconds added to the silence limit: after a suspension, the timer fires before buffered bytes are read. */
const graceMs = 1000;

/** How a stream ended. `unopened`: the request failed before the first byte. `left`: onLine ended the reading. */
export type StreamEnd<V> =
  | { how: "closed" | "broken" | "silent" | "stopped" }
  | { how: "unopened"; error: unknown }
  | { how: "left"; verdict: V };

/** The options of readStream. */
export interface StreamOptions<V> {
  /** Opens the stream. The signal aborts when reading ends. */
  open: (signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>;
  /** Called when bytes have arrived. */
  onBytes?: () => void;
  /** Called for every line. A result other than undefined ends the reading. */
  onLine: (line: Line) => V | undefined;
  /** Milliseconds without a byte after which the connection counts as dead, also before the first byte. */
  silenceMs: number;
  clock: Clock;
  signal: AbortSignal;
}

/**
 * Reads the lines of a stream until it ends, breaks, exceeds the silence limit, or `onLine` ends the reading. Never
 * rejects. Returns at once when the signal aborts, even if the source ignores its signal. Applies backpressure: nothing
 * is read ahead.
 */
export async function readStream<V>(options: StreamOptions<V>): Promise<StreamEnd<V>> {
  const { open, onBytes, onLine, signal, clock, silenceMs } = options;
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
    const splitter = new LineSplitter(maxLineBytes);
    for (;;) {
      let step: IteratorResult<Uint8Array>;
      try {
        step = await abortable(iterator.next(), inner.signal);
      } catch {
        return cut({ how: "broken" } as const);
      }
      watchdog.calm();
      onBytes?.();
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

/** Settles like `promise`, or rejects when `signal` aborts. */
export function abortable<V>(promise: Promise<V>, signal: AbortSignal): Promise<V> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Error("stopped"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** Calls `bark` once if `calm` is not called for `silenceMs`. Uses one timer, which is re-armed when it fires. */
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
    this.#timer = clock.setTimer(() => this.#check(), silenceMs);
  }

  calm(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  cancel(): void {
    this.#timer.cancel();
  }

  #check(): void {
    const heardAt = this.#heardAt;
    const left = heardAt + this.#silenceMs - this.#clock.monotonic();
    if (left > 0) {
      this.#timer = this.#clock.setTimer(() => this.#check(), left);
      return;
    }
    this.#timer = this.#clock.setTimer(() => {
      if (this.#heardAt !== heardAt) {
        this.#check();
        return;
      }
      this.barked = true;
      this.#bark();
    }, graceMs);
  }
}
