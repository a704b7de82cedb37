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

/** Stands in for IAM: everything is allowed that no denial matches. */
export class Denials {
  #rules: Denial[] = [];

  add(rule: Denial): void {
    this.#rules.push(rule);
  }

  clear(): void {
    this.#rules = [];
  }

  /**
   * @param resource the ARN of a parameter or a key; `*` for an action that has none
   * @param action the IAM action where it is not the call's own
   * @throws ServiceError AccessDeniedException in AWS's words
   */
  check(call: Call, resource: string, action = `${call.service}:${call.operation}`): void {
    if (call.direct || !this.#rules.some((rule) => matches(rule, call, resource, action))) return;
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
