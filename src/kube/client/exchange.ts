import type { Dispatcher } from "undici";

/** A whole answer. */
export interface Answer {
  statusCode: number;
  headers: Record<string, string | string[] | undefined>;
  /** Undefined if the body was too long, or if the connection broke after an error status. */
  bytes: Buffer | undefined;
}

export interface ExchangeOptions {
  abort: AbortSignal;
  /** Called with the status. Returns the maximum bytes of the body; if it is longer, the connection is aborted. */
  begun: (statusCode: number) => number;
}

/**
 * Sends a request and collects its answer, with undici's handlers: a stream with its iterator and promises takes more
 * CPU than the rest of the request.
 *
 * @throws the signal's reason, or the connection's error before the end of a 2xx answer
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
    // A request that waits for a connection has no controller yet: onRequestStart aborts it.
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
      onResponseEnd: () => onceFree(() => give(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))),
      onResponseError(_, error) {
        if (answer && answer.statusCode >= 300) give(undefined);
        else fail(error);
      },
    });
  });
}

/**
 * Runs `act` when the connection of an answer that has just ended is free again: undici frees it in an immediate, which
 * it sets after it has passed the end. A request made before opens another connection: a loop of requests would use two.
 */
function onceFree(act: () => void): void {
  queueMicrotask(() => setImmediate(act));
}
