import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Emulator } from "../test/emulator/emulator.ts";
import type { PutParameter } from "../test/emulator/preparations.ts";
import { until } from "../test/support/operator.ts";
import { type Supervised, startSupervised } from "../test/support/supervise.ts";

type Methods = { [M in keyof Emulator as Emulator[M] extends (...args: never[]) => unknown ? M : never]: Emulator[M] };
type Answer<M extends keyof Methods> = Awaited<ReturnType<Methods[M]>>;

/** Parameters in one request to put many: the door reads bodies of at most 1 MiB. */
const parametersInARequest = 2_000;

/** The AWS emulator in a separate process, so that its cost does not count for the benchmark or the operator. */
export class Door {
  readonly url: string;
  readonly #program: Supervised;

  private constructor(url: string, program: Supervised) {
    this.url = url;
    this.#program = program;
  }

  /** Starts the emulator with in-memory parameters. Default: no quota. */
  static async start(folder: string): Promise<Door> {
    const logFile = join(folder, "door.log");
    const program = await startSupervised({
      name: "the emulator",
      command: process.execPath,
      args: ["test/emulator/main.ts", "--memory", "--quota", "none"],
      logFile,
    });
    const place = async () => /^\{"url":"([^"]+)"/m.exec(await readFile(logFile, "utf8"))?.[1];
    await until(async () => (await place()) !== undefined, 30_000, "the emulator");
    return new Door((await place())!, program);
  }

  /** Calls a method of `Emulator` in that process. */
  async ask<M extends keyof Methods>(method: M, ...args: Parameters<Methods[M]>): Promise<Answer<M>> {
    const answer = await fetch(`${this.url}/__door/${method}`, { method: "POST", body: JSON.stringify(args) });
    const result = (await answer.json()) as { error?: string };
    if (answer.status !== 200) throw new Error(`the emulator refused ${method}: ${result.error}`);
    return result as Answer<M>;
  }

  /** Puts SecureStrings of 40 characters under these names. */
  async put(names: readonly string[]): Promise<void> {
    const parameters = names.map((name): PutParameter => ({ name, type: "SecureString", value: "v".repeat(40) }));
    for (let at = 0; at < parameters.length; at += parametersInARequest) {
      await this.ask("putParameters", parameters.slice(at, at + parametersInARequest));
    }
  }

  /** Reads one parameter like another program of the account. @returns false if throttled or failed */
  async readAs(accessKeyId: string, name: string): Promise<boolean> {
    return (
      (await this.#call(accessKeyId, "ssm", "AmazonSSM.GetParameter", { Name: name, WithDecryption: true })) === 200
    );
  }

  /** Waits for a message in a queue, up to 20 s. */
  async receive(QueueUrl: string): Promise<void> {
    await this.#call("AKIAKEYFERRYBENCH", "sqs", "AmazonSQS.ReceiveMessage", { QueueUrl, WaitTimeSeconds: 20 });
  }

  /** Makes one call without the SDK. @returns the HTTP status */
  async #call(accessKeyId: string, service: string, target: string, input: object): Promise<number> {
    const credential = `${accessKeyId}/20260101/eu-west-1/${service}/aws4_request`;
    const answer = await fetch(this.url, {
      method: "POST",
      headers: {
        "content-type": `application/x-amz-json-${service === "sqs" ? "1.0" : "1.1"}`,
        "x-amz-target": target,
        authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=0`,
      },
      body: JSON.stringify(input),
    });
    await answer.arrayBuffer();
    return answer.status;
  }

  async stop(): Promise<void> {
    await this.#program.stop();
  }
}
