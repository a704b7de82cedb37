/** Minimum number of taken elements before the array is compacted. */
const slack = 1_024;

/**
 * A first-in, first-out queue in constant time. Array.shift and a Map's first key are linear in the removed elements.
 */
export class Fifo<E> {
  #elements: (E | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#elements.length - this.#head;
  }

  push(element: E): void {
    this.#elements.push(element);
  }

  /** Puts an element back at the front, after it was shifted and could not be used. */
  unshift(element: E): void {
    if (this.#head > 0) this.#elements[--this.#head] = element;
    else this.#elements.unshift(element);
  }

  /** The element that `shift` would take. */
  peek(): E | undefined {
    return this.#elements[this.#head];
  }

  shift(): E | undefined {
    if (this.size === 0) return undefined;
    const element = this.#elements[this.#head];
    this.#elements[this.#head++] = undefined;
    if (this.#head > slack && this.#head * 2 > this.#elements.length) {
      this.#elements = this.#elements.slice(this.#head);
      this.#head = 0;
    }
    return element;
  }
}
