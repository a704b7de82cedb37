import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Identities, type IdentitiesOptions } from "../../src/aws/identity.ts";
import type { IdentitySpec } from "../../src/aws/identity-spec.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import type { Log } from "../../src/runtime/log.ts";
import { Sealed } from "../../src/runtime/sealed.ts";
import { FakeClock } from "../support/clock.ts";

/** A request as it came. */
export interface Received {
  /** `AmazonSSM.GetParameters`, `TrentService.Decrypt`, or of STS the form's Action. */
  target: string;
  headers: IncomingMessage["headers"];
  body: string;
}

/** What a test answers: all of it may be nonsense. */
export type Script = (received: Received, response: ServerResponse) => void;

/** A server of AWS's protocols on the loopback that says what the test tells it to. */
export class AwsServer {
  readonly url: string;
  readonly received: Received[] = [];
  readonly sockets = new Set<Socket>();
  #script: Script = (_, response) => json(response, 200, { Parameters: [] });
  #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("connection", (socket) => {
      this.sockets.add(socket);
      socket.once("close", () => this.sockets.delete(socket));
    });
    server.on("request", async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const body = Buffer.concat(chunks).toString();
      const target = String(request.headers["x-amz-target"] ?? new URLSearchParams(body).get("Action"));
      const received = { target, headers: request.headers, body };
      this.received.push(received);
      this.#script(received, response);
    });
  }

  static async start(): Promise<AwsServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new AwsServer(server);
  }

  answer(script: Script): void {
    this.#script = script;
  }

  /** Answers every request with a JSON object. */
  answerJson(body: object, status = 200): void {
    this.#script = (_, response) => json(response, status, body);
  }

  /** Answers as AWS does when it refuses. */
  answerError(code: string, message: string, status = 400): void {
    this.answerJson({ __type: code, message, Message: message }, status);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, {
    "content-type": "application/x-amz-json-1.1",
    "x-amzn-requestid": "0f0f0f0f-1111-2222-3333-444444444444",
  });
  response.end(JSON.stringify(body));
}

/** The answer of sts:GetCallerIdentity. */
export function callerXml(response: ServerResponse, account: string, arn: string): void {
  response.writeHead(200, { "content-type": "text/xml" });
  response.end(
    `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>${arn}</Arn><UserId>AIDA</UserId><Account>${account}</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>`,
  );
}

/** A log that keeps what it is told, as the text that a real one would write. */
export function keepingLog(): Log & { lines: string[] } {
  const lines: string[] = [];
  const keep = (fields: object, message: string) => void lines.push(`${JSON.stringify(fields)} ${message}`);
  return { lines, debug: keep, info: keep, warn: keep, error: keep };
}

/** Identities against loopback servers, with a clock that stands still. */
export function rig(options: Partial<IdentitiesOptions> = {}) {
  const clock = new FakeClock();
  const metrics = new Metrics();
  const log = keepingLog();
  const identities = new Identities({
    clock,
    metrics,
    log,
    allowInsecureEndpoints: true,
    userAgent: "keyferry/1.2.3",
    ...options,
  });
  return { clock, metrics, log, identities };
}

/** An identity of eu-west-1 with static keys, all of whose services are at `url`. */
export function specAt(url: string, accessKeyId = "AKIAKEYFERRYTEST"): IdentitySpec {
  return {
    region: "eu-west-1",
    credentials: { kind: "static", accessKeyId, secretAccessKey: Sealed.text("not-checked") },
    endpoints: { ssm: url, kms: url, sts: url, sqs: url },
  };
}

/** The value of one series of a metric; 0 where there is none. */
export async function seriesOf(metrics: Metrics, name: string, labels: Record<string, string>): Promise<number> {
  const metric = (await metrics.registry.getMetricsAsJSON()).find((one) => one.name === name);
  const values = (metric?.values ?? []) as { labels: Record<string, string>; value: number }[];
  const found = values.filter((one) =>
    Object.entries(labels).every(([key, value]) => String(one.labels[key]) === value),
  );
  return found.reduce((sum, { value }) => sum + value, 0);
}
