import { type Clock, sleep } from "./clock.ts";

/** Limits calls to `burst` at once, and then one every `intervalMs`. Further calls wait. */
export function paced<T>(
  clock: Clock,
  { burst, intervalMs }: { burst: number; intervalMs: number },
  make: () => Promise<T>,
): () => Promise<T> {
  // Generic cell rate algorithm: the theoretical arrival time of the next call.
  let dueAt = 0;
  return async () => {
    const now = clock.monotonic();
    const waitMs = dueAt - (burst - 1) * intervalMs - now;
    dueAt = Math.max(dueAt, now) + intervalMs;
    if (waitMs > 0) await sleep(clock, waitMs);
    return make();
  };
}
