import {
  type Span as OtelSpan,
  type Tracer as OtelTracer,
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import {
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { Log } from "../runtime/log.ts";
import type { Span, SpanAttributes, Tracer } from "../runtime/tracing.ts";

/** A tracer that sends its spans. */
export interface Tracing extends Tracer {
  /** Sends the spans that wait. Later spans are dropped. */
  close(): Promise<void>;
}

/** Spans that wait to be sent, and spans of one request. What comes beyond is dropped. */
const spansAtMost = { waiting: 2_048, inRequest: 512 };
/** Milliseconds between two requests, and the timeout of one with its retries. */
const everyMs = 2_000;
const timeoutMs = 10_000;
/** Characters of an attribute: names of Kubernetes have 253 at most. */
const attributeCharacters = 512;

/** Later detectors come first. */
const environment = [resourceAttributesEnvDetector, serviceNameEnvDetector];

/** How spans are sent. */
export interface OtlpOptions {
  /** The base URL of the receiver. */
  endpoint: string;
  /** The share of the traces that are sent, from 0 to 1. */
  sampleRatio: number;
  /** Of the process, for every span. */
  attributes: Record<string, string>;
  log: Log;
}

/**
 * Starts to send spans by OTLP over HTTP, with OpenTelemetry's SDK. Registers nothing globally. The program imports this
 * module only when traces are on: see `tracing.ts`.
 */
export function startOtlp({ endpoint, sampleRatio, attributes, log }: OtlpOptions): Tracing {
  const exporter = new LoggedExporter(
    new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, "")}/v1/traces`, timeoutMillis: timeoutMs }),
    log,
  );
  const provider = new TracerProvider({
    // OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME come before ours.
    resource: resourceFromAttributes(attributes).merge(detectResources({ detectors: environment })),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sampleRatio) }),
    spanLimits: { attributeValueLengthLimit: attributeCharacters },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: spansAtMost.waiting,
        maxExportBatchSize: spansAtMost.inRequest,
        scheduledDelayMillis: everyMs,
        exportTimeoutMillis: timeoutMs + 1_000,
      }),
    ],
  });
  const tracer = provider.getTracer("keyferry");
  return {
    start: (name, given) => new OtlpSpan(tracer, tracer.startSpan(name, { attributes: defined(given) }, ROOT_CONTEXT)),
    close: () => provider.shutdown(),
  };
}

/** A span of OpenTelemetry. Parents are passed explicitly: there is no active span. */
class OtlpSpan implements Span {
  readonly #tracer: OtelTracer;
  readonly #span: OtelSpan;

  constructor(tracer: OtelTracer, span: OtelSpan) {
    this.#tracer = tracer;
    this.#span = span;
  }

  set(attributes: SpanAttributes): void {
    this.#span.setAttributes(defined(attributes));
  }

  fail(reason: string): void {
    this.#span.setStatus({ code: SpanStatusCode.ERROR });
    this.#span.setAttribute("error.type", reason);
  }

  child(name: string, attributes?: SpanAttributes): Span {
    const context = trace.setSpan(ROOT_CONTEXT, this.#span);
    return new OtlpSpan(this.#tracer, this.#tracer.startSpan(name, { attributes: defined(attributes) }, context));
  }

  end(): void {
    this.#span.end();
  }
}

/** Logs when requests begin to fail, and when they succeed again. Never logs an answer of the receiver. */
class LoggedExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #log: Log;
  #isFailing = false;

  constructor(exporter: SpanExporter, log: Log) {
    this.#exporter = exporter;
    this.#log = log;
  }

  export(...[spans, done]: Parameters<SpanExporter["export"]>): void {
    this.#exporter.export(spans, (result) => {
      const isFailing = result.code !== 0;
      if (isFailing && !this.#isFailing) {
        const { name, code } = (result.error ?? {}) as { name?: string; code?: string | number };
        this.#log.warn({ error: name, code }, "traces could not be sent; further failures are not logged");
      }
      if (!isFailing && this.#isFailing) this.#log.info({}, "traces are sent again");
      this.#isFailing = isFailing;
      done(result);
    });
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }
}

function defined(attributes: SpanAttributes = {}): Record<string, string | number | boolean> {
  const entries = Object.entries(attributes).filter((entry) => entry[1] !== undefined);
  return Object.fromEntries(entries) as Record<string, string | number | boolean>;
}
