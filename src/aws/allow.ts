import { isMultiRegion, keyArnText, nameProblem, type ParameterRef, parseKeyArn, parseParameterRef } from "./names.ts";

/** Whether something may be used, and if not, which rule of its connection says so: a clause for the user. */
export type Verdict = { allowed: true } | { allowed: false; rule: string };

const allowed: Verdict = { allowed: true };

/** The part of a pattern that stands for the namespace. */
const placeholder = "{namespace}";

/** Patterns that a rule quotes, at most, and characters of each. */
const quoted = { patterns: 5, characters: 100 };

/**
 * Whether a connection's `allow.parameters` covers a parameter. `{namespace}` in a pattern is a whole part between
 * slashes; `*` stands at the end, for the rest of the name, slashes too. A pattern that is anything else covers nothing.
 * Names that AWS keeps for itself, below `/aws/`, are covered only by a pattern that spells their first two parts out,
 * `/aws/service/` or `/aws/reference/`: those lead to what AWS publishes, and into Secrets Manager.
 *
 * @param patterns undefined where the connection has credentials of its own and lists none: everything is then allowed
 * @param name as the user wrote it, without selector: a name or an ARN. Something else is never allowed.
 * @param namespace of the SyncedSecret
 */
export function allowsParameter(patterns: readonly string[] | undefined, name: string, namespace: string): Verdict {
  const parsed = parseParameterRef(name);
  if ("problem" in parsed) return { allowed: false, rule: parsed.problem };
  if (!patterns) return allowed;
  const { ref } = parsed;
  const where = placeOf(ref);
  const covers = (pattern: Pattern) => {
    if (pattern.place !== where || !isSpeltOut(pattern, ref.name)) return false;
    return pattern.isPrefix ? ref.name.startsWith(pattern.name) : ref.name === pattern.name;
  };
  return patterns.some((text) => isCoveredBy(text, namespace, covers)) ? allowed : notCovered(patterns, namespace);
}

/**
 * Whether a connection's `allow.parameters` covers everything that a listing of a path could give: the path has to lie
 * inside one pattern as a whole. A name without `*` covers no path.
 *
 * @param patterns as for `allowsParameter`
 * @param path as the user wrote it, with or without a slash at its end; `/` for everything
 * @param _recursive makes no difference: the direct members' names can be anything too
 */
export function allowsPath(
  patterns: readonly string[] | undefined,
  path: string,
  _recursive: boolean,
  namespace: string,
): Verdict {
  const rooted = path.startsWith("/") ? path : `/${path}`;
  const members = rooted.endsWith("/") ? rooted : `${rooted}/`;
  if (members !== "/") {
    const problem = nameProblem(members.slice(0, -1));
    if (problem) return { allowed: false, rule: problem };
  }
  if (!patterns) return allowed;
  const covers = (pattern: Pattern) =>
    pattern.place === "" && pattern.isPrefix && members.startsWith(pattern.name) && isSpeltOut(pattern, members);
  return patterns.some((text) => isCoveredBy(text, namespace, covers)) ? allowed : notCovered(patterns, namespace);
}

/** What stands in `allow.keyIds` for every key that the identity may use. */
export const everyKey = "*";

/**
 * Whether a connection's `allow.keyIds` has a key. Only the whole ARN of a key counts: an alias can be moved to another
 * key. The ARN of a multi-Region key (`mrk-`) stands for all its replicas, in whatever region: they are one key to
 * whoever encrypts, and calls go to the connection's own region only, where that replica's own policy decides.
 *
 * @param keyIds undefined allows every key; an empty list none
 * @param key as the user wrote it, or as KMS says that it used it
 */
export function allowsKey(keyIds: readonly string[] | undefined, key: string): Verdict {
  if (!keyIds || keyIds.includes(everyKey)) return allowed;
  if (keyIds.length === 0) return { allowed: false, rule: noKeys };
  if (!parseKeyArn(key)) {
    return { allowed: false, rule: "allow.keyIds of its connection lists keys by ARN: name the key by its ARN" };
  }
  if (keyIds.some((listed) => anyReplica(listed) === anyReplica(key))) return allowed;
  return { allowed: false, rule: "allow.keyIds of its connection does not list it" };
}

/** What is said where a connection opens nothing: a cluster connection that names no keys and binds nothing. */
export const noKeys =
  "its connection opens no ciphertexts: list the ARNs of keys in its allow.keyIds, or set its binding.scope";

/** A key's ARN, of a multi-Region key without its region. */
function anyReplica(text: string): string {
  const arn = parseKeyArn(text);
  return arn && isMultiRegion(arn.id) ? keyArnText({ ...arn, region: "" }) : text;
}

interface Pattern {
  /** Empty for names; else the ARN up to `parameter`. */
  place: string;
  /** With its slash in front, `{namespace}` replaced, `*` taken off. */
  name: string;
  isPrefix: boolean;
  /** The name with `{namespace}` as it stands. */
  written: string;
}

function isCoveredBy(text: string, namespace: string, covers: (pattern: Pattern) => boolean): boolean {
  const pattern = parsePattern(text, namespace);
  return pattern !== undefined && covers(pattern);
}

/** Reads a pattern; undefined where it is none. */
function parsePattern(text: string, namespace: string): Pattern | undefined {
  const isPrefix = text.endsWith("*");
  const body = isPrefix ? text.slice(0, -1) : text;
  let place = "";
  let written = body;
  if (body.startsWith("arn:")) {
    const at = body.indexOf(":parameter/");
    if (at < 0) return undefined;
    // An ARN of some name in that place tells whether the place is one; that of AWS's own has no account.
    const probe = parseParameterRef(`${body.slice(0, at)}:parameter/aws/service`);
    if ("problem" in probe) return undefined;
    place = placeOf(probe.ref);
    written = body.slice(at + ":parameter".length);
  } else if (!written.startsWith("/")) {
    written = `/${written}`;
  }
  const parts = written.split("/").map((part) => (part === placeholder ? namespaceOf(namespace) : part));
  const last = written.slice(written.lastIndexOf("/") + 1);
  // `/{namespace}*` would let the namespace `a` read what is `ab`'s.
  if (parts.includes(undefined) || (isPrefix && last === placeholder)) return undefined;
  // What else is wrong with it, another star or brace or two dots, is in no name: such a pattern matches none.
  return { place, name: parts.join("/"), isPrefix, written };
}

/** The namespace, where it is a name that Kubernetes gives one (RFC 1123 label); it then has no slash and no dot. */
function namespaceOf(namespace: string): string | undefined {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(namespace) ? namespace : undefined;
}

function placeOf(ref: ParameterRef): string {
  return ref.kind === "name" ? "" : `arn:${ref.partition}:ssm:${ref.region}:${ref.account}`;
}

/** Whether a name is none of AWS's own, or the pattern's own letters, not a namespace's, say which of them are meant. */
function isSpeltOut(pattern: Pattern, name: string): boolean {
  const [, first = "", second = ""] = name.split("/", 3);
  // AWS takes no names of its customers' that begin so, in whatever case.
  if (first.toLowerCase() !== "aws") return true;
  return second !== "" && `${pattern.written}/`.startsWith(`/${first}/${second}/`);
}

/**
 * What is said where no pattern covers. Of the patterns only those are quoted that name the namespace by `{namespace}`,
 * filled in: the others may be of other namespaces.
 */
function notCovered(patterns: readonly string[], namespace: string): Verdict {
  if (patterns.length === 0) return { allowed: false, rule: "its connection has no allow.parameters" };
  const own = patterns.filter((text) => parsePattern(text, namespace)?.written.split("/").includes(placeholder));
  const shown = own
    .slice(0, quoted.patterns)
    .map((text) => JSON.stringify(text.replaceAll(placeholder, namespace).slice(0, quoted.characters)));
  const more = own.length > shown.length ? ` and ${own.length - shown.length} more` : "";
  const has = own.length > 0 ? `; by its own name namespace ${namespace} has ${shown.join(", ")}${more}` : "";
  return { allowed: false, rule: `allow.parameters of its connection does not cover it${has}` };
}
