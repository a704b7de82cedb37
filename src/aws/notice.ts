import { nameProblem, parseParameterRef } from "./names.ts";

/** What a message of a queue says. */
export type Notice = ParameterNotice | { kind: "unknown" };

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
 * Reads a message's body: an event of EventBridge about a parameter, bare, as a queue that is a rule's target gets it,
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

function eventOf(event: object): ParameterNotice | undefined {
  if (own(event, "source") !== "aws.ssm") return undefined;
  const type = types.get(own(event, "detail-type"));
  const detail = own(event, "detail");
  if (!type || !isObject(detail)) return undefined;
  const [account, region] = [own(event, "account"), own(event, "region")];
  if (typeof account !== "string" || !/^[0-9]{12}$/.test(account)) return undefined;
  if (typeof region !== "string" || !/^[a-z0-9-]{1,64}$/.test(region)) return undefined;
  const written = type === "change" ? own(detail, "name") : (own(detail, "parameter-name") ?? own(detail, "name"));
  const name = nameOf(written);
  if (name === undefined || !agrees(own(event, "resources"), account, region, name)) return undefined;
  const operation = word(own(detail, type === "change" ? "operation" : "policy-type"));
  return { kind: "parameter", type, account, region, name, operation, time: timeOf(own(event, "time")) };
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
