import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { SingleFlight } from "../runtime/single-flight.ts";
import type { SendCall } from "./calls.ts";
import { invalidAnswer, stopped } from "./classify.ts";
import type { CallContext } from "./failure.ts";

/** The principal of an identity. */
export interface Caller {
  /** 12 digits. */
  account: string;
  arn: string;
}

/** Caches an identity's principal by access key. */
export class Callers {
  readonly #metadata: CallContext;
  readonly #send: SendCall;
  readonly #accessKeyId: (about: CallContext) => Promise<string>;
  #known: { accessKeyId: string; caller: Caller } | undefined;
  readonly #asking = new SingleFlight<Caller>();

  /**
   * @param send makes a call as the identity
   * @param accessKeyId returns the access key that signs the next call, or rejects with an AwsFailure
   */
  constructor(region: string, send: SendCall, accessKeyId: (about: CallContext) => Promise<string>) {
    this.#metadata = { service: "sts", operation: "GetCallerIdentity", region };
    this.#send = send;
    this.#accessKeyId = accessKeyId;
  }

  /** The last known principal, without a call. */
  get known(): Caller | undefined {
    return this.#known?.caller;
  }

  /**
   * Calls AWS if the credentials have changed since the last call. Concurrent requests share one call.
   *
   * @param signal ends this wait only: others may wait for the same answer
   * @throws AwsFailure
   */
  async caller(signal?: AbortSignal): Promise<Caller> {
    if (signal?.aborted) throw stopped(this.#metadata);
    const asking = this.#asking.run(() => this.#ask());
    if (!signal) return asking;
    return new Promise((resolve, reject) => {
      const stop = () => reject(stopped(this.#metadata));
      signal.addEventListener("abort", stop, { once: true });
      asking.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    });
  }

  async #ask(): Promise<Caller> {
    const accessKeyId = await this.#accessKeyId(this.#metadata);
    if (this.#known?.accessKeyId === accessKeyId) return this.#known.caller;
    const answer = await this.#send(this.#metadata, undefined, ({ sts }, abortSignal) =>
      sts.send(new GetCallerIdentityCommand({}), { abortSignal }),
    );
    const { Account: account, Arn: arn } = answer;
    if (!account || !/^[0-9]{12}$/.test(account) || !arn || !/^arn:[\x21-\x7e]{1,2000}$/.test(arn)) {
      throw invalidAnswer(this.#metadata, "no caller");
    }
    this.#known = { accessKeyId, caller: { account, arn } };
    return this.#known.caller;
  }
}
