/** A binary heap: the least element by `before` comes out first. push and pop are O(log n), peek is O(1). */
export class Heap<E> {
  #elements: E[] = [];
  #before: (a: E, b: E) => boolean;

  constructor(before: (a: E, b: E) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#elements.length;
  }

  peek(): E | undefined {
    return this.#elements[0];
  }

  push(element: E): void {
    const elements = this.#elements;
    let at = elements.length;
    elements.push(element);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(element, elements[parent]!)) break;
      elements[at] = elements[parent]!;
      at = parent;
    }
    elements[at] = element;
  }

  pop(): E | undefined {
    const elements = this.#elements;
    const first = elements[0];
    const last = elements.pop();
    if (elements.length === 0 || last === undefined) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= elements.length) break;
      if (child + 1 < elements.length && this.#before(elements[child + 1]!, elements[child]!)) child++;
      if (!this.#before(elements[child]!, last)) break;
      elements[at] = elements[child]!;
      at = child;
    }
    elements[at] = last;
    return first;
  }
}
