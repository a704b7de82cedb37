import { type KeyArn, keyArnText, nameProblem, parseKeyRef, parseParameterRef, partitionOf } from "../names.ts";

/** The content of a queue message. */
export type Notice = ParameterNotice | KeyNotice | { kind: "unknown" };

/** A hint that a KMS key may have changed. */
export interface KeyNotice {
  kind: "key";
  type: "key";
  /** 12 digits. */
  account: string;
  region: string;
  /** The key's ARN. */
  name: string;
  /** `DisableKey`, `KMS CMK Deletion` and the like. */
  operation: string;
}

/** A hint that a parameter may have changed; it has no version and no value. */
export interface ParameterNotice {
  kind: "parameter";
  type: "change" | "policy";
  /** 12 digits. */
  account: string;
  region: string;
  /** With a leading slash: `x` and `/x` are the same name for AWS. */
  name: string;
  /** `Create`, `Update`, `Delete`, `LabelParameterVersion`; a policy's type; empty if the event has none. */
  operation: string;
  /** Milliseconds since the epoch, to the second; undefined if the event has none. */
  time: number | undefined;
}

/** Maximum characters of a body to parse: many times the size of a Parameter Store event in an envelope. */
const bodyLength = 65_536;

const unknown: Notice = { kind: "unknown" };

/**
 * Parses a message body: an EventBridge event about a parameter or a KMS key, directly from a rule or wrapped in an SNS
 * notification. The body is untrusted. The event's account and region fields apply; an event whose ARN contradicts them
 * is `unknown`.
 *
 * @returns `unknown` for any other body; never throws
 */
export function parseNotice(body: string): Notice {
  const outer = object(body);
  if (!outer) return unknown;
  const inner = own(outer, "Type") === "Notification" ? object(own(outer, "Message")) : outer;
  return inner ? (eventOf(inner) ?? unknown) : unknown;
}

function eventOf(event: object): ParameterNotice | KeyNotice | undefined {
  const [account, region] = [own(event, "account"), own(event, "region")];
  if (typeof account !== "string" || !/^[0-9]{12}$/.test(account)) return undefined;
  if (typeof region !== "string" || !/^[a-z0-9-]{1,64}$/.test(region)) return undefined;
  const detail = own(event, "detail");
  if (!isObject(detail)) return undefined;
  const source = own(event, "source");
  if (source === "aws.ssm") return parameterEvent(event, detail, account, region);
  return source === "aws.kms" ? keyEvent(event, detail, account, region) : undefined;
}

function parameterEvent(event: object, detail: object, account: string, region: string): ParameterNotice | undefined {
  const type = types.get(own(event, "detail-type"));
  if (!type) return undefined;
  const written = type === "change" ? own(detail, "name") : (own(detail, "parameter-name") ?? own(detail, "name"));
  const name = nameOf(written);
  if (name === undefined || !agrees(own(event, "resources"), account, region, name)) return undefined;
  const operation = word(own(detail, type === "change" ? "operation" : "policy-type"));
  return { kind: "parameter", type, account, region, name, operation, time: timeOf(own(event, "time")) };
}

/** Events that KMS sends after a change (AWS KMS Developer Guide, "Monitoring KMS keys with Amazon EventBridge"). */
const keyEvents: ReadonlySet<unknown> = new Set([
  "KMS CMK Deletion",
  "KMS Imported Key Material Expiration",
  "KMS CMK Rotation",
]);

/** CloudTrail calls that change whether, or for how long, a key is usable. */
const keyCalls: ReadonlySet<unknown> = new Set([
  "ScheduleKeyDeletion",
  "CancelKeyDeletion",
  "DisableKey",
  "EnableKey",
  "ImportKeyMaterial",
  "DeleteImportedKeyMaterial",
]);

function keyEvent(event: object, detail: object, account: string, region: string): KeyNotice | undefined {
  const type = own(event, "detail-type");
  const place = { partition: partitionOf(region), account, region };
  if (keyEvents.has(type)) {
    const name = keyOf([own(event, "resources"), own(detail, "key-id")], place);
    return name === undefined
      ? undefined
      : { kind: "key", type: "key", account, region, name, operation: type as string };
  }
  const operation = own(detail, "eventName");
  const isCall = type === "AWS API Call via CloudTrail" && own(detail, "eventSource") === "kms.amazonaws.com";
  // A failed call changed nothing.
  if (!isCall || !keyCalls.has(operation) || own(detail, "errorCode") !== undefined) return undefined;
  const listed = own(detail, "resources");
  const arns =
    Array.isArray(listed) && listed.length <= 10 ? listed.map((one) => isObject(one) && own(one, "ARN")) : [];
  const [asked, answered] = [own(detail, "requestParameters"), own(detail, "responseElements")];
  const keyIds = [answered, asked].map((part) => (isObject(part) ? own(part, "keyId") : undefined));
  const name = keyOf([arns, ...keyIds], place);
  return name === undefined
    ? undefined
    : { kind: "key", type: "key", account, region, name, operation: operation as string };
}

/** Returns the ARN of the first candidate (ARNs, ids, or lists) that is a key of the account and region. */
function keyOf(candidates: readonly unknown[], place: Omit<KeyArn, "id">): string | undefined {
  for (const candidate of candidates.flatMap((one) => (Array.isArray(one) ? one.slice(0, 10) : [one]))) {
    const ref = typeof candidate === "string" ? parseKeyRef(candidate) : undefined;
    if (ref?.kind === "id") return keyArnText({ ...place, id: ref.id });
    if (ref?.kind !== "keyArn") continue;
    if (ref.account === place.account && ref.region === place.region) return keyArnText(ref);
  }
  return undefined;
}

const types: ReadonlyMap<unknown, ParameterNotice["type"]> = new Map([
  ["Parameter Store Change", "change"],
  ["Parameter Store Policy Action", "policy"],
]);

function nameOf(written: unknown): string | undefined {
  if (typeof written !== "string" || written.length > 2_048) return undefined;
  const name = written.startsWith("/") ? written : `/${written}`;
  return nameProblem(name) === undefined ? name : undefined;
}

/** Reports whether the event's ARNs, if any, are all of the parameter that it names. */
function agrees(resources: unknown, account: string, region: string, name: string): boolean {
  if (resources === undefined || (Array.isArray(resources) && resources.length === 0)) return true;
  if (!Array.isArray(resources) || resources.length > 10) return false;
  return resources.every((arn) => {
    const parsed = typeof arn === "string" ? parseParameterRef(arn) : undefined;
    if (!parsed || !("ref" in parsed) || parsed.ref.kind !== "arn") return false;
    const { ref } = parsed;
    return ref.account === account && ref.region === region && ref.name === name;
  });
}

function word(text: unknown): string {
  return typeof text === "string" && /^[A-Za-z]{1,64}$/.test(text) ? text : "";
}

function timeOf(text: unknown): number | undefined {
  if (typeof text !== "string" || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(text)) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

/** Parses a JSON object; undefined if it is anything else, or too long. Parser errors are dropped. */
function object(text: unknown): object | undefined {
  if (typeof text !== "string" || text.length > bodyLength) return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    return isObject(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns an own property, never one of the prototype. */
function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Record<string, unknown>)[key] : undefined;
}
