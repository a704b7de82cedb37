import { type KeyArn, keyArnText, nameProblem, parseKeyRef, parseParameterRef, partitionOf } from "./names.ts";

/** What a message of a queue says. */
export type Notice = ParameterNotice | KeyNotice | { kind: "unknown" };

/** Something may have changed about a KMS key: a hint to look at it. */
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

/** Something may have changed about a parameter: a hint to look, without version and value. */
export interface ParameterNotice {
  kind: "parameter";
  type: "change" | "policy";
  /** 12 digits. */
  account: string;
  region: string;
  /** With its slash in front: to AWS `x` and `/x` are one name. */
  name: string;
  /** `Create`, `Update`, `Delete`, `LabelParameterVersion`; a policy's type; empty where the event does not say. */
  operation: string;
  /** Milliseconds since the epoch, to the second; undefined where the event does not say. */
  time: number | undefined;
}

/** Characters of a body that is looked at, at most: many times what an event of Parameter Store has, in an envelope too. */
const bodyLength = 65_536;

const unknown: Notice = { kind: "unknown" };

/**
 * Reads a message's body: an event of EventBridge about a parameter or a KMS key, bare, as a queue that is a rule's target gets it,
 * or inside a notification of SNS. The body may be anything. An event counts for the account and region that EventBridge
 * says it is of; one whose ARN says otherwise is not believed.
 *
 * @returns `unknown` for everything else; never throws
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

/** What KMS itself announces, after the fact (AWS KMS Developer Guide, "Monitoring KMS keys with Amazon EventBridge"). */
const keyEvents: ReadonlySet<unknown> = new Set([
  "KMS CMK Deletion",
  "KMS Imported Key Material Expiration",
  "KMS CMK Rotation",
]);

/** Calls that CloudTrail records, and that change whether a key can be used, or for how long. */
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
  // A call that failed has changed nothing.
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

/** The ARN of the first of these that names a key of a place: ARNs, ids, or lists of them. */
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

/** Whether the ARNs that the event lists, where it lists any, are of the one parameter that it says it is about. */
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

/** Parses JSON of an object; undefined where it is something else, or too long. The parser's words are dropped. */
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

/** An own property: what a prototype has is none of the message's. */
function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Record<string, unknown>)[key] : undefined;
}
