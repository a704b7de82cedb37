import { Fifo } from "./fifo.ts";

/** The bytes that one piece of work holds. */
export interface ByteTicket {
  /** Resolves when the budget has room, or when this ticket may exceed the budget. */
  room(): Promise<void>;
  /** Adds bytes to the ticket, even if the budget has no room. */
  add(bytes: number): void;
  /** Releases all bytes of the ticket. Idempotent. */
  end(): void;
}

export interface ByteBudgetOptions {
  /** Maximum bytes in total. */
  all: number;
  /** Maximum bytes of one flow. */
  ofFlow: number;
  /** Maximum number of tickets that may exceed the budget at once, at most one of each flow. */
  beyond: number;
}

/**
 * Limits the bytes held at once, in total and by flow; a flow is a namespace. One ticket of each flow may exceed the
 * budget, so that started work can finish, and a slow flow does not block the others.
 */
export class ByteBudget {
  readonly #options: ByteBudgetOptions;
  readonly #waiting = new Map<string, Fifo<() => boolean>>();
  readonly #ofFlow = new Map<string, number>();
  readonly #beyond = new Map<string, ByteTicket>();
  #used = 0;

  constructor(options: ByteBudgetOptions) {
    this.#options = options;
  }

  /** Bytes held in total. */
  get used(): number {
    return this.#used;
  }

  ticket(flow: string): ByteTicket {
    let held = 0;
    let isOver = false;
    const ticket: ByteTicket = {
      room: () =>
        new Promise((resolve) => {
          const enter = () => {
            if (!isOver && !this.#mayGrow(flow, ticket)) return false;
            resolve();
            return true;
          };
          const before = this.#waiting.get(flow);
          if (before && this.#beyond.get(flow) !== ticket) before.push(enter);
          else if (!enter()) this.#wait(flow, enter);
        }),
      add: (bytes) => {
        if (isOver) return;
        held += bytes;
        this.#count(flow, bytes);
      },
      end: () => {
        if (isOver) return;
        isOver = true;
        this.#count(flow, -held);
        if (this.#beyond.get(flow) === ticket) this.#beyond.delete(flow);
        this.#wake();
      },
    };
    return ticket;
  }

  #count(flow: string, bytes: number): void {
    this.#used += bytes;
    const own = (this.#ofFlow.get(flow) ?? 0) + bytes;
    if (own > 0) this.#ofFlow.set(flow, own);
    else this.#ofFlow.delete(flow);
  }

  #mayGrow(flow: string, ticket: ByteTicket): boolean {
    const { all, ofFlow, beyond } = this.#options;
    if (this.#used < all && (this.#ofFlow.get(flow) ?? 0) < ofFlow) return true;
    const other = this.#beyond.get(flow);
    if (other) return other === ticket;
    if (this.#beyond.size >= beyond) return false;
    this.#beyond.set(flow, ticket);
    return true;
  }

  #wait(flow: string, enter: () => boolean): void {
    const waiting = new Fifo<() => boolean>();
    waiting.push(enter);
    this.#waiting.set(flow, waiting);
  }

  #wake(): void {
    for (const [flow, waiting] of this.#waiting) {
      while (waiting.peek()?.()) waiting.shift();
      if (waiting.size === 0) this.#waiting.delete(flow);
    }
  }
}
