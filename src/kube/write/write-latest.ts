interface Seen {
  namespace: string;
  /** Monotonic milliseconds. */
  at: number;
}

const never: Seen = { namespace: "", at: Number.NEGATIVE_INFINITY };

/** The last occurrence of something, and the last one in another namespace. */
export class Latest {
  #last = never;
  #other = never;

  note(namespace: string, at: number): void {
    if (this.#last.namespace !== namespace) this.#other = this.#last;
    this.#last = { namespace, at };
  }

  /** Whether it occurred in another namespace since `since`. */
  isOfAnother(namespace: string, since: number): boolean {
    return (this.#last.namespace === namespace ? this.#other : this.#last).at >= since;
  }

  forget(): void {
    this.#last = this.#other = never;
  }
}
