/** Why a line of a stream could not be read. */
export type LineFault = "too-long" | "not-utf8";

/** One line without its newline, or why it could not be read. */
export type Line = { text: string; fault?: undefined } | { text?: undefined; fault: LineFault };

/**
 * Splits a stream of bytes into lines of UTF-8, independent of chunk boundaries. Memory is bounded by `limit` bytes: a
 * longer line is skipped and reported. Each byte is copied a constant number of times.
 */
export class LineSplitter {
  #limit: number;
  #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  /** The beginning of an incomplete line: the first `#length` bytes of `#held`. */
  #held: Uint8Array = empty;
  #length = 0;
  #tooLong = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The lines that end within `chunk`. Consume them before the next call. */
  *push(chunk: Uint8Array): Generator<Line> {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const piece = chunk.subarray(start, end);
      start = end + 1;
      if (this.#length === 0 && !this.#tooLong && piece.length <= this.#limit) yield this.#decode(piece);
      else {
        this.#hold(piece);
        yield this.#release();
      }
    }
    this.#hold(chunk.subarray(start));
  }

  /**
   * Call at the end of the stream. Returns the bytes after the last newline as a line, or undefined if there are none.
   */
  end(): Line | undefined {
    return this.#length > 0 || this.#tooLong ? this.#release() : undefined;
  }

  #hold(piece: Uint8Array): void {
    if (this.#tooLong || piece.length === 0) return;
    const length = this.#length + piece.length;
    if (length > this.#limit) {
      this.#tooLong = true;
      this.#held = empty;
      this.#length = 0;
      return;
    }
    if (length > this.#held.length) {
      const grown = new Uint8Array(Math.min(this.#limit, Math.max(length, 2 * this.#held.length)));
      grown.set(this.#held.subarray(0, this.#length));
      this.#held = grown;
    }
    this.#held.set(piece, this.#length);
    this.#length = length;
  }

  #release(): Line {
    const line: Line = this.#tooLong ? { fault: "too-long" } : this.#decode(this.#held.subarray(0, this.#length));
    this.#tooLong = false;
    this.#length = 0;
    if (this.#held.length > keptBytes) this.#held = empty;
    return line;
  }

  #decode(bytes: Uint8Array): Line {
    try {
      return { text: this.#decoder.decode(bytes) };
    } catch {
      return { fault: "not-utf8" };
    }
  }
}

const newline = 0x0a;
const empty = new Uint8Array(0);
/** Maximum bytes of a buffer kept between lines, so that one large object does not hold memory for ever. */
const keptBytes = 64 * 1024;
