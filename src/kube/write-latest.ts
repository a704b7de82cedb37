interface Seen {
  namespace: string;
  /** Monotonic milliseconds. */
  at: number;
}

const never: Seen = { namespace: "", at: Number.NEGATIVE_INFINITY };

/** In which namespace something was seen last, and when it was seen in another. */
export class Latest {
  #last = never;
  #other = never;

  note(namespace: string, at: number): void {
    if (this.#last.namespace !== namespace) this.#other = this.#last;
    this.#last = { namespace, at };
  }

  /** Whether it was seen in another namespace since then. */
  isOfAnother(namespace: string, since: number): boolean {
    return (this.#last.namespace === namespace ? this.#other : this.#last).at >= since;
  }

  forget(): void {
    this.#last = this.#other = never;
  }
}
