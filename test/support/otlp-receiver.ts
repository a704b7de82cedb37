import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/** A span as it was received. */
export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  /** Undefined for the first span of a trace. */
  parentSpanId: string | undefined;
  name: string;
  attributes: Record<string, unknown>;
  isError: boolean;
  /** Nanoseconds since the epoch. */
  start: bigint;
  end: bigint;
}

/** A receiver of OTLP over HTTP, in JSON, on a port of 127.0.0.1. */
export interface OtlpReceiver {
  /** The base URL, as `--otlp-endpoint` takes it. */
  url: string;
  /** The bodies so far, with their paths and headers. */
  requests: { path: string; headers: IncomingHttpHeaders; body: string }[];
  /** All spans so far. */
  spans(): ReceivedSpan[];
  /** Attributes of the resources that sent spans. */
  resources(): Record<string, unknown>[];
  /** From now on requests are read and not answered. */
  hang(): void;
  close(): Promise<void>;
}

interface Value {
  stringValue?: string;
  intValue?: number;
  doubleValue?: number;
  boolValue?: boolean;
}
type Attributes = { key: string; value: Value }[];
interface Body {
  resourceSpans: { resource: { attributes: Attributes }; scopeSpans: { spans: WireSpan[] }[] }[];
}
interface WireSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  attributes?: Attributes;
  status?: { code?: number };
  startTimeUnixNano: string;
  endTimeUnixNano: string;
}

/** OTLP's STATUS_CODE_ERROR. */
const errorStatus = 2;

/** @param port default: a free one */
export async function startOtlpReceiver(port = 0): Promise<OtlpReceiver> {
  const requests: OtlpReceiver["requests"] = [];
  let hangs = false;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      requests.push({ path: request.url!, headers: request.headers, body: Buffer.concat(chunks).toString() });
      if (!hangs) response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const resourceSpans = () => requests.flatMap(({ body }) => (JSON.parse(body) as Body).resourceSpans);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    spans: () => resourceSpans().flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans.map(spanOf))),
    resources: () => resourceSpans().map(({ resource }) => plain(resource.attributes)),
    hang() {
      hangs = true;
    },
    async close() {
      server.close().closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}

function spanOf(span: WireSpan): ReceivedSpan {
  const { traceId, spanId, parentSpanId, name, attributes = [], status, startTimeUnixNano, endTimeUnixNano } = span;
  return {
    ...{ traceId, spanId, parentSpanId, name, attributes: plain(attributes) },
    isError: status?.code === errorStatus,
    ...{ start: BigInt(startTimeUnixNano), end: BigInt(endTimeUnixNano) },
  };
}

function plain(attributes: Attributes): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
