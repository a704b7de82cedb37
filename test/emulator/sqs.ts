import { sleep, systemClock } from "../../src/runtime/clock.ts";
import type { Call } from "./call.ts";
import type { Reply } from "./http.ts";

/** Milliseconds between two looks at a queue that somebody waits at, where nothing says that a message has come. */
const lookAgainMs = 250;

/**
 * Waits for messages in moto's place: a wait there takes one of moto's threads and goes on after its client has gone,
 * whose messages are then lost until they come again.
 */
export class Sqs {
  #waiting = new Set<AbortController>();

  /** Tells all who wait that a message may have come. */
  sent(): void {
    for (const waiting of this.#waiting) waiting.abort();
  }

  /**
   * Answers a ReceiveMessage when there are messages, when its WaitTimeSeconds are over, or when its client has gone.
   *
   * @param send asks moto, with another body
   */
  async receive(call: Call, send: (body: Buffer) => Promise<Reply>): Promise<Reply> {
    const { WaitTimeSeconds: wait = 0 } = call.input as { WaitTimeSeconds?: number };
    const end = systemClock.monotonic() + wait * 1_000;
    const body = Buffer.from(JSON.stringify({ ...call.input, WaitTimeSeconds: 0 }));
    for (;;) {
      const woken = new AbortController();
      this.#waiting.add(woken);
      try {
        const reply = await send(body);
        const left = end - systemClock.monotonic();
        const isEmpty = reply.status === 200 && !reply.body.includes('"Messages"');
        if (!isEmpty || left <= 0 || call.request.gone?.aborted) return reply;
        const signals = [woken.signal, ...(call.request.gone ? [call.request.gone] : [])];
        await sleep(systemClock, Math.min(left, lookAgainMs), AbortSignal.any(signals));
        if (call.request.gone?.aborted) return reply;
      } finally {
        this.#waiting.delete(woken);
      }
    }
  }
}
