import type { Dispatcher } from "undici";

/** A whole answer. */
export interface Answer {
  statusCode: number;
  headers: Record<string, string | string[] | undefined>;
  /** Undefined where it was longer than what was allowed, or broke off after a failure's status. */
  bytes: Buffer | undefined;
}

export interface ExchangeOptions {
  abort: AbortSignal;
  /** Called when the status has come: gives the bytes past which the rest is not read, and the connection is given up. */
  begun: (statusCode: number) => number;
}

/**
 * Sends a request and gathers its answer, by undici's handlers: a stream, its iterator and its promises take more time
 * than all else that a request takes here.
 *
 * @throws the signal's reason, or what the connection failed with before the end of a 2xx answer
 */
export function exchange(
  pool: Dispatcher,
  request: Dispatcher.DispatchOptions,
  { abort, begun }: ExchangeOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let answer: Answer | undefined;
    let left = 0;
    const chunks: Buffer[] = [];
    const give = (bytes: Buffer | undefined) => {
      abort.removeEventListener("abort", cancel);
      resolve({ ...answer!, bytes });
    };
    const fail = (error: unknown) => {
      abort.removeEventListener("abort", cancel);
      reject(error);
    };
    // A request that waits for a connection has no controller yet: it is given up when it gets one.
    const cancel = () => {
      controller?.abort(abort.reason as Error);
      fail(abort.reason);
    };
    if (abort.aborted) return fail(abort.reason);
    abort.addEventListener("abort", cancel);
    pool.dispatch(request, {
      onRequestStart(its) {
        controller = its;
        if (abort.aborted) its.abort(abort.reason as Error);
      },
      onResponseStart(_, statusCode, headers) {
        if (statusCode < 200) return;
        answer = { statusCode, headers, bytes: undefined };
        left = begun(statusCode);
      },
      onResponseData(its, chunk) {
        left -= chunk.length;
        if (left >= 0) return void chunks.push(chunk);
        give(undefined);
        its.abort(new Error("the answer is too long"));
      },
      onResponseEnd: () => give(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)),
      onResponseError(_, error) {
        if (answer && answer.statusCode >= 300) give(undefined);
        else fail(error);
      },
    });
  });
}
