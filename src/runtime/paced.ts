import { type Clock, sleep } from "./clock.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Limits calls to `burst` at once, and then `perSecond`. Further calls wait. */
export function paced<T>(
  clock: Clock,
  { burst, perSecond }: { burst: number; perSecond: number },
  make: () => Promise<T>,
): () => Promise<T> {
  const bucket = new TokenBucket(clock, { size: () => burst, perSecond: () => perSecond });
  return async () => {
    const { waitMs } = bucket;
    // Spent before the wait, so that each further call waits for a token of its own.
    bucket.spend();
    if (waitMs > 0) await sleep(clock, waitMs);
    return make();
  };
}
