import { type Clock, sleep } from "./clock.ts";

/** Lets `burst` calls through at once, and then one every `intervalMs`; whoever calls more often waits. */
export function paced<T>(
  clock: Clock,
  { burst, intervalMs }: { burst: number; intervalMs: number },
  make: () => Promise<T>,
): () => Promise<T> {
  // The generic cell rate algorithm: when the next call would be on time if none came in a burst.
  let dueAt = 0;
  return async () => {
    const now = clock.monotonic();
    const waitMs = dueAt - (burst - 1) * intervalMs - now;
    dueAt = Math.max(dueAt, now) + intervalMs;
    if (waitMs > 0) await sleep(clock, waitMs);
    return make();
  };
}
