import { Canceled } from "./cancellation.ts";
import { Failure } from "./failure.ts";

/**
 * Attributes of a span: names, counts, versions and reasons. Never a value, a ciphertext, a token or an answer of AWS.
 * Undefined attributes are left out.
 */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** One timed step of a reconcile. */
export interface Span {
  /** Adds attributes. */
  set(attributes: SpanAttributes): void;
  /** Marks the step as failed. @param reason a condition's reason or a kind of error; never a message */
  fail(reason: string): void;
  /** Begins a step within this one. */
  child(name: string, attributes?: SpanAttributes): Span;
  end(): void;
}

/** Begins traces. */
export interface Tracer {
  /** Begins the trace of one reconcile. */
  start(name: string, attributes?: SpanAttributes): Span;
}

/** Records nothing. */
export const noSpan: Span = { set() {}, fail() {}, child: () => noSpan, end() {} };

/** Records nothing: the default. */
export const noTracer: Tracer = { start: () => noSpan };

/** Several spans as one: a call that several reconciles wait for is a step of each of them. */
class JoinedSpan implements Span {
  readonly spans: ReadonlySet<Span>;

  constructor(spans: ReadonlySet<Span>) {
    this.spans = spans;
  }

  set(attributes: SpanAttributes): void {
    for (const span of this.spans) span.set(attributes);
  }

  fail(reason: string): void {
    for (const span of this.spans) span.fail(reason);
  }

  child(name: string, attributes?: SpanAttributes): Span {
    return new JoinedSpan(new Set([...this.spans].map((span) => span.child(name, attributes))));
  }

  end(): void {
    for (const span of this.spans) span.end();
  }
}

/** One span for all of these. Equal spans count once. */
export function joinSpans(spans: Iterable<Span>): Span {
  const all = new Set<Span>();
  for (const span of spans) {
    if (span instanceof JoinedSpan) for (const one of span.spans) all.add(one);
    else if (span !== noSpan) all.add(span);
  }
  const [first = noSpan] = all;
  return all.size > 1 ? new JoinedSpan(all) : first;
}

/**
 * Runs `work` as a step of `parent`. The step ends with it, and is marked as failed if it throws, unless because nobody
 * waits for it any more.
 */
export function traced<T>(
  parent: Span,
  name: string,
  attributes: SpanAttributes,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  return parent === noSpan ? work(noSpan) : within(parent.child(name, attributes), work);
}

async function within<T>(span: Span, work: (span: Span) => Promise<T>): Promise<T> {
  try {
    return await work(span);
  } catch (error) {
    noteError(span, error);
    throw error;
  } finally {
    span.end();
  }
}

/** Marks a span by an error's reason or kind. An error's message may quote a value. */
export function noteError(span: Span, error: unknown): void {
  if (error instanceof Canceled) span.set({ "keyferry.canceled": true });
  else span.fail(kindOf(error));
}

function kindOf(error: unknown): string {
  if (error instanceof Failure) return error.reason;
  if (!(error instanceof Error)) return "unknown";
  return "kind" in error && typeof error.kind === "string" ? error.kind : error.name;
}
