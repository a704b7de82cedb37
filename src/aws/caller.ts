import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import type { SendCall } from "./calls.ts";
import { invalidAnswer, stopped } from "./classify.ts";
import type { CallContext } from "./failure.ts";

/** Who calls. */
export interface Caller {
  /** 12 digits. */
  account: string;
  arn: string;
}

/** Remembers who an identity is, by the access key that it signs with. */
export class Callers {
  readonly #metadata: CallContext;
  readonly #send: SendCall;
  readonly #accessKeyId: (about: CallContext) => Promise<string>;
  #known: { accessKeyId: string; caller: Caller } | undefined;
  #asking: Promise<Caller> | undefined;

  /**
   * @param send makes a call of the identity
   * @param accessKeyId gives the access key that the next call would be signed with, or rejects with an AwsFailure
   */
  constructor(region: string, send: SendCall, accessKeyId: (about: CallContext) => Promise<string>) {
    this.#metadata = { service: "sts", operation: "GetCallerIdentity", region };
    this.#send = send;
    this.#accessKeyId = accessKeyId;
  }

  /** What was last heard, without asking. */
  get known(): Caller | undefined {
    return this.#known?.caller;
  }

  /**
   * Asks AWS where the credentials are others than those last asked about. Equal asks at one time are one.
   *
   * @param signal ends this wait only: others may wait for the same answer
   * @throws AwsFailure
   */
  async caller(signal?: AbortSignal): Promise<Caller> {
    if (signal?.aborted) throw stopped(this.#metadata);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    const asking = this.#asking;
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
