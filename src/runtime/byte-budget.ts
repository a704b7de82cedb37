import { Fifo } from "./fifo.ts";

/** What one piece of work holds of a budget. */
export interface ByteTicket {
  /** Resolves when there is room for more, or when it is this one's turn to go beyond the budget. */
  room(): Promise<void>;
  /** Takes note of bytes that are held from now on, whether or not there is room. */
  add(bytes: number): void;
  /** Gives back all that is held; twice is as good as once. */
  end(): void;
}

export interface ByteBudgetOptions {
  /** Bytes that may be held in all. */
  all: number;
  /** Bytes of them that one flow may hold. */
  ofFlow: number;
  /** Tickets, each of another flow, that may go beyond at once. */
  beyond: number;
}

/**
 * Bytes that may be held at once, by whom: a flow is a namespace. A ticket of each flow may go beyond, so that work
 * which has begun comes to an end, and a flow whose work is slow keeps nobody else waiting.
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

  /** Bytes that are held. */
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
