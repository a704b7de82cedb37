/**
 * Messages from one part of the program to others. A publisher does not know who subscribes, so parts can be built in
 * any order and connected afterwards.
 */
export class Topic<Message extends readonly unknown[]> {
  readonly #subscribers: ((...message: Message) => void)[] = [];

  /** Calls every subscriber, in the order of the subscriptions, before it returns. Bound: may be passed as a function. */
  readonly publish = (...message: Message): void => {
    for (const take of this.#subscribers) take(...message);
  };

  subscribe(take: (...message: Message) => void): void {
    this.#subscribers.push(take);
  }
}
