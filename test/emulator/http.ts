import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

/** An answer, ready to be written. */
export interface Reply {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** A JSON object as it came over the wire. */
export type Json = Record<string, unknown>;

/** The largest request body that is read, in bytes: well above what any of the imitated services takes. */
const largestBody = 2 ** 20;

/**
 * An error as an AWS service answers it.
 *
 * `code` is the shape's name, which the SDK maps to its exception class.
 */
export class ServiceError extends Error {
  readonly code: string;
  readonly status: number;
  readonly requestId: string = randomUUID();

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** @returns the request's whole body @throws ServiceError over 1 MiB */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > largestBody) throw new ServiceError("RequestEntityTooLargeException", "Request body is too large", 413);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** An answer in the JSON 1.1 protocol of SSM and KMS. */
export function jsonReply(body: unknown, status = 200): Reply {
  return {
    status,
    headers: { "content-type": "application/x-amz-json-1.1", "x-amzn-requestid": randomUUID() },
    body: Buffer.from(JSON.stringify(body)),
  };
}

/** An error in the JSON 1.1 protocol: the shape's name in the body and in a header. */
export function errorReply(error: ServiceError): Reply {
  const reply = jsonReply({ __type: error.code, message: error.message }, error.status);
  reply.headers["x-amzn-errortype"] = error.code;
  reply.headers["x-amzn-requestid"] = error.requestId;
  return reply;
}

/** An error in the Query protocol of STS: XML. */
export function queryErrorReply(error: ServiceError): Reply {
  const id = error.requestId;
  const side = error.status < 500 ? "Sender" : "Receiver";
  return xmlReply(
    `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>${side}</Type><Code>${error.code}</Code>` +
      `<Message>${escapeXml(error.message)}</Message></Error><RequestId>${id}</RequestId></ErrorResponse>`,
    error.status,
    id,
  );
}

/** An answer in the Query protocol. */
export function xmlReply(body: string, status = 200, id: string = randomUUID()): Reply {
  return { status, headers: { "content-type": "text/xml", "x-amzn-requestid": id }, body: Buffer.from(body) };
}

/** `text` as character data of XML. */
export function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Writes `reply` as the whole answer. */
export function write(response: ServerResponse, reply: Reply): void {
  response.writeHead(reply.status, { ...reply.headers, "content-length": reply.body.length });
  response.end(reply.body);
}
