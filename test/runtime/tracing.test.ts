import { expect, test } from "vitest";
import { KubeError } from "../../src/kube/errors.ts";
import { Canceled } from "../../src/runtime/cancellation.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { joinSpans, noSpan, noTracer, type Span, traced } from "../../src/runtime/tracing.ts";

/** A span that writes down what happens to it. */
function recording(name: string, events: string[]): Span {
  return {
    set: (attributes) => void events.push(`${name} set ${JSON.stringify(attributes)}`),
    fail: (reason) => void events.push(`${name} failed ${reason}`),
    child(child, attributes = {}) {
      events.push(`${name} begins ${child} ${JSON.stringify(attributes)}`);
      return recording(`${name}/${child}`, events);
    },
    end: () => void events.push(`${name} ended`),
  };
}

test("without a tracer a step only runs", async () => {
  const span = noTracer.start("reconcile");
  expect(await traced(span, "read", {}, async (inner) => inner === noSpan)).toBe(true);
});

test("a step ends with its work and returns the result", async () => {
  const events: string[] = [];
  const result = await traced(recording("a", events), "read", { count: 2 }, async (span) => {
    span.set({ found: 1 });
    return "result";
  });
  expect(result).toBe("result");
  expect(events).toEqual(['a begins read {"count":2}', 'a/read set {"found":1}', "a/read ended"]);
});

test.each([
  ["a failure, by its reason", new Failure("AccessDenied", "wait", "quotes-a-value"), "AccessDenied"],
  ["an error of the API server, by its kind", new KubeError("conflict", "quotes-a-value"), "conflict"],
  ["another error, by its name", new TypeError("quotes-a-value"), "TypeError"],
])("a step is marked by %s, without the message", async (_, error, kind) => {
  const events: string[] = [];
  await expect(traced(recording("a", events), "read", {}, () => Promise.reject(error))).rejects.toBe(error);
  expect(events).toEqual(["a begins read {}", `a/read failed ${kind}`, "a/read ended"]);
});

test("a step that nobody waits for any more has not failed", async () => {
  const events: string[] = [];
  const canceled = traced(recording("a", events), "read", {}, () => Promise.reject(new Canceled()));
  await expect(canceled).rejects.toBeInstanceOf(Canceled);
  expect(events).toEqual(["a begins read {}", 'a/read set {"keyferry.canceled":true}', "a/read ended"]);
});

test("a call for several reconciles is one step of each", async () => {
  const events: string[] = [];
  const [a, b] = [recording("a", events), recording("b", events)];
  const both = joinSpans([a, noSpan, b, a, joinSpans([b, a])]);
  await expect(traced(both, "call", {}, () => Promise.reject(new TypeError("x")))).rejects.toThrow("x");
  expect(events).toEqual([
    ...["a begins call {}", "b begins call {}"],
    ...["a/call failed TypeError", "b/call failed TypeError"],
    ...["a/call ended", "b/call ended"],
  ]);
  expect(joinSpans([a, noSpan])).toBe(a);
  expect(joinSpans([noSpan])).toBe(noSpan);
});
