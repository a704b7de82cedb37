import type { KubeObject } from "../resource.ts";

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

/** An object, as an Event names it. A list's items have no kind: `object` must have one. */
export function regardingOf({ apiVersion, kind, metadata }: KubeObject): Regarding {
  const { namespace, name, uid } = metadata;
  return { apiVersion: apiVersion!, kind: kind!, name: name!, uid: uid!, ...(namespace ? { namespace } : {}) };
}

/** What happened to an object. */
export interface Happening {
  type: "Normal" | "Warning";
  /** CamelCase; the same as the condition's reason, if there is a condition. At most 128 bytes. */
  reason: string;
  /** The action, CamelCase. At most 128 bytes. */
  action: string;
  /** Human-readable; cut to 1,024 bytes. Never contains a value. */
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
const maxNoteBytes = 1024;
const maxWordBytes = 128;
/** Maximum length of an object's name. An Event is named after its object, a dot and a number. */
const maxNameLength = 253;

/**
 * Makes an Event.
 *
 * @param at.now milliseconds since the epoch
 * @param at.serial distinguishes the Events of one millisecond
 */
export function eventOf(
  regarding: Regarding,
  { type, reason, action, note }: Happening,
  reporter: { controller: string; instance: string },
  { now, serial }: { now: number; serial: number },
): EventObject {
  const suffix = `.${(BigInt(Math.trunc(now)) * 1_000_000n + BigInt(serial % 1_000_000)).toString(16)}`;
  // Kubernetes requires the namespace `default` for Events about cluster-scoped objects.
  const namespace = regarding.namespace ?? "default";
  return {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { namespace, name: cut(regarding.name, maxNameLength - suffix.length) + suffix },
    eventTime: microTime(now),
    reportingController: reporter.controller,
    reportingInstance: cut(reporter.instance, maxWordBytes),
    type,
    reason: cut(reason, maxWordBytes),
    action: cut(action, maxWordBytes),
    note: cut(note, maxNoteBytes, "…"),
    regarding,
  };
}

/** The identity of a series: everything but the time and the object's version. */
export function seriesKey({ apiVersion, kind, namespace = "", name, uid }: Regarding, happening: Happening): string {
  const { type, reason, action, note } = happening;
  return JSON.stringify([apiVersion, kind, namespace, name, uid, type, reason, action, note]);
}

/** metav1.MicroTime: RFC 3339 with microseconds. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

/** Truncates a text to `maxBytes` of UTF-8 at a character boundary, and appends `mark` if it was truncated. */
function cut(text: string, maxBytes: number, mark = ""): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes - Buffer.byteLength(mark);
  // A byte 10xxxxxx continues a character.
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString("utf8") + mark;
}
