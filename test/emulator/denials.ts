import { type Call, glob } from "./call.ts";
import { ServiceError } from "./http.ts";

/** What is forbidden; a part that is left out means any. */
export interface Denial {
  /** An IAM action, `ssm:GetParameters`, with `*` for anything. */
  action?: string;
  /** A parameter's name, with `*` for anything. */
  parameter?: string;
  /** A KMS key's id or ARN, with `*` for anything. */
  key?: string;
  /** An access key id or the caller's ARN, with `*` for anything. */
  principal?: string;
}

/** What somebody wants to do, as a policy looks at it. */
export interface Request {
  action: string;
  /** ARN; `*` for an action that has none. */
  resource: string;
  /** The caller's ARN. */
  principal: string;
  /** Condition keys, such as `kms:ViaService`. */
  context: ReadonlyMap<string, string>;
}

/** Stands in for IAM: everything is allowed that no denial matches, and that the policies, where there are any, allow. */
export class Denials {
  #rules: Denial[] = [];
  #allows: ((request: Request) => boolean) | undefined;

  /** Has only that allowed which `allows` says yes to; everything where it is left out. */
  allowOnly(allows?: (request: Request) => boolean): void {
    this.#allows = allows;
  }

  add(rule: Denial): void {
    this.#rules.push(rule);
  }

  clear(): void {
    this.#rules = [];
    this.#allows = undefined;
  }

  /**
   * @param resource the ARN of a parameter or a key; `*` for an action that has none
   * @param action the IAM action where it is not the call's own
   * @param encryption the encryption context of an action on a key
   * @throws ServiceError AccessDeniedException in AWS's words
   */
  check(
    call: Call,
    resource: string,
    action = `${call.service}:${call.operation}`,
    encryption: ReadonlyMap<string, string> = new Map(),
  ): void {
    if (call.direct) return;
    const isAllowed =
      this.#allows?.({
        ...{ action, resource: resourceOf(call, resource), principal: call.arn },
        context: contextOf(call, encryption),
      }) ?? true;
    if (isAllowed && !this.#rules.some((rule) => matches(rule, call, resource, action))) return;
    const json = call.service === "ssm" || call.service === "kms";
    throw new ServiceError(
      json ? "AccessDeniedException" : "AccessDenied",
      `User: ${call.arn} is not authorized to perform: ${action} on resource: ${resource} because no identity-based policy allows the ${action} action`,
      json ? 400 : 403,
    );
  }
}

function matches(rule: Denial, call: Call, resource: string, action: string): boolean {
  const { action: wanted, parameter, key, principal } = rule;
  if (wanted && !glob(wanted, action)) return false;
  if (principal && !glob(principal, call.accessKeyId) && !glob(principal, call.arn)) return false;
  if (parameter && !resourceIs(resource, ":parameter", parameter.startsWith("/") ? parameter : `/${parameter}`))
    return false;
  return !key || glob(key, resource) || resourceIs(resource, ":key/", key);
}

/** Whether what follows `mark` in an ARN matches the pattern. */
function resourceIs(resource: string, mark: string, pattern: string): boolean {
  const at = resource.indexOf(mark);
  return at >= 0 && glob(pattern, resource.slice(at + mark.length));
}

/** The condition keys of a call. */
function contextOf({ service, region, input }: Call, encryption: ReadonlyMap<string, string>): Map<string, string> {
  const context = new Map([...encryption].map(([name, value]) => [`kms:EncryptionContext:${name}`, value]));
  // Parameter Store uses keys in its caller's name.
  if (service === "ssm") context.set("kms:ViaService", `ssm.${region}.amazonaws.com`);
  const alias = service === "kms" && typeof input.KeyId === "string" ? /alias\/.*$/.exec(input.KeyId)?.[0] : undefined;
  if (alias !== undefined) context.set("kms:RequestAlias", alias);
  return context;
}

/** The ARN of a queue, which a call names by its URL. */
function resourceOf({ service, region, input }: Call, resource: string): string {
  const url = service === "sqs" && typeof input.QueueUrl === "string" ? URL.parse(input.QueueUrl) : null;
  return url ? `arn:aws:sqs:${region}${url.pathname.replaceAll("/", ":")}` : resource;
}
