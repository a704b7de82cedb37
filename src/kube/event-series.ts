import type { KubeObject } from "./resource.ts";

/** The object that an event is about. */
export interface Regarding {
  apiVersion: string;
  kind: string;
  /** Left out for an object without a namespace. */
  namespace?: string;
  name: string;
  uid: string;
  resourceVersion?: string;
}

/** What happened to it. */
export interface Happening {
  type: "Normal" | "Warning";
  /** CamelCase; the reason of the condition where there is one. At most 128 bytes. */
  reason: string;
  /** What was being done, CamelCase. At most 128 bytes. */
  action: string;
  /** For people; cut to 1,024 bytes. Never a value. */
  note: string;
}

/** An Event of events.k8s.io/v1. */
export interface EventObject extends KubeObject {
  eventTime: string;
  series?: { count: number; lastObservedTime: string };
  reportingController: string;
  reportingInstance: string;
  type: string;
  reason: string;
  action: string;
  note: string;
  regarding: Regarding;
}

/** The API server's limits, in bytes (k8s.io/kubernetes/pkg/apis/core/validation/events.go). */
const longestNote = 1024;
const longestWord = 128;
/** The longest name of an object; an event's is that of its object, a point and a number. */
const longestName = 253;

/**
 * Makes an Event.
 *
 * @param now milliseconds since the epoch
 * @param serial tells apart the events of one millisecond
 */
export function eventOf(
  regarding: Regarding,
  { type, reason, action, note }: Happening,
  reporter: { controller: string; instance: string },
  now: number,
  serial: number,
): EventObject {
  const suffix = `.${(BigInt(Math.trunc(now)) * 1_000_000n + BigInt(serial % 1_000_000)).toString(16)}`;
  // Events about objects without a namespace live in `default`, and only there.
  const namespace = regarding.namespace ?? "default";
  return {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { namespace, name: cut(regarding.name, longestName - suffix.length) + suffix },
    eventTime: microTime(now),
    reportingController: reporter.controller,
    reportingInstance: cut(reporter.instance, longestWord),
    type,
    reason: cut(reason, longestWord),
    action: cut(action, longestWord),
    note: cut(note, longestNote, "…"),
    regarding,
  };
}

/** What makes two events one series: everything but the time and the object's version. */
export function seriesKey({ apiVersion, kind, namespace = "", name, uid }: Regarding, happening: Happening): string {
  const { type, reason, action, note } = happening;
  return JSON.stringify([apiVersion, kind, namespace, name, uid, type, reason, action, note]);
}

/** metav1.MicroTime: six digits of a second's fraction. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

/** Cuts a text to so many bytes of UTF-8, between characters, and puts `mark` where something was cut. */
export function cut(text: string, mostBytes: number, mark = ""): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= mostBytes) return text;
  let end = mostBytes - Buffer.byteLength(mark);
  // A byte 10xxxxxx goes on with a character that began before it.
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString("utf8") + mark;
}
