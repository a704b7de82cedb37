import { parameterArn, type Scope } from "../call.ts";
import { ServiceError } from "../http.ts";

/** Which version of a parameter is meant; the latest where there is none. */
export interface Reference {
  /** As it was asked for. */
  asked: string;
  scope: Scope;
  name: string;
  /** What follows the colon: digits are a version, anything else is a label. */
  selector?: string;
}

/** The deepest hierarchy (PutParameter, HierarchyLevelLimitExceededException). */
const mostLevels = 15;
/** The longest name, counted with its ARN's prefix (PutParameter, Name). */
const longestArn = 1011;

const characters =
  'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive). If formed as a path, it can consist of ' +
  "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_";

/** Why a name is not one; undefined where it is. */
export function nameProblem(scope: Scope, name: string): ServiceError | undefined {
  const path = name.startsWith("/") ? name.slice(1) : name;
  // Only a name that begins with a slash is a path.
  const formed =
    path.includes("/") && !name.startsWith("/")
      ? false
      : path.split("/").every((part) => /^[a-zA-Z0-9_.-]+$/.test(part));
  if (!formed) return new ServiceError("ValidationException", characters);
  if (path.split("/").length > mostLevels) {
    return new ServiceError(
      "HierarchyLevelLimitExceededException",
      `The parameter path has more than ${mostLevels} levels: a hierarchy can have a maximum of ${mostLevels} levels.`,
    );
  }
  if (parameterArn(scope, name).length > longestArn) {
    return new ServiceError("ValidationException", `Parameter name: longer than ${longestArn} characters with its ARN`);
  }
  return undefined;
}

/** Names that nobody but AWS may write. */
export function reservedProblem(name: string): ServiceError | undefined {
  if (/^\/aws(\/|$)/i.test(name)) {
    return new ServiceError("AccessDeniedException", `No access to reserved parameter name: ${name}.`);
  }
  if (/^\/?(aws|ssm)/i.test(name)) return new ServiceError("ValidationException", characters);
  return undefined;
}

/** Takes a reference apart: a name, `name:version`, `name:label`, or an ARN with the same. @throws never: undefined */
export function parseReference(caller: Scope, asked: string): Reference | undefined {
  let scope: Scope = { account: caller.account, region: caller.region };
  let rest = asked;
  if (asked.startsWith("arn:")) {
    const parts = /^arn:[^:]+:ssm:([^:]+):(\d{12}):parameter(\/.+)$/.exec(asked);
    if (!parts || parts[1] !== caller.region) return undefined;
    scope = { account: parts[2]!, region: parts[1] };
    rest = parts[3]!;
  }
  const colon = rest.indexOf(":");
  const name = colon < 0 ? rest : rest.slice(0, colon);
  const selector = colon < 0 ? undefined : rest.slice(colon + 1);
  if (nameProblem(scope, name) || (selector !== undefined && !/^[a-zA-Z0-9_.-]{1,100}$/.test(selector)))
    return undefined;
  return { asked, scope, name, ...(selector === undefined ? {} : { selector }) };
}

/** The order of AWS's answers: by code unit. */
export function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** Parameters of AWS's own: public ones, and the way through to Secrets Manager. */
export function isAws(name: string): boolean {
  return name.startsWith("/aws/");
}
