import { isMultiRegion, keyArnText, nameProblem, type ParameterRef, parseKeyArn, parseParameterRef } from "./names.ts";

/** Whether a use is allowed; if not, a clause for the user that names the connection's rule. */
export type Verdict = { allowed: true } | { allowed: false; rule: string };

const allowed: Verdict = { allowed: true };

/** The placeholder for the namespace in a pattern. */
const placeholder = "{namespace}";

/** Maximum number of patterns that a message quotes, and of characters in each. */
const quoted = { patterns: 5, characters: 100 };

/**
 * Reports whether a connection's `allow.parameters` covers a parameter. `{namespace}` replaces one whole level; `*` is
 * allowed only at the end and matches the rest of the name, including slashes. Any other pattern matches nothing. Names
 * that AWS reserves, below `/aws/`, need a pattern with a literal `/aws/service/` (public parameters) or
 * `/aws/reference/` (Secrets Manager) prefix.
 *
 * @param patterns undefined allows everything: the connection has its own credentials and lists no patterns
 * @param name as the user wrote it, without selector: a name or an ARN. Any other text is never allowed.
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
 * Reports whether a connection's `allow.parameters` covers every parameter below a path: one pattern must cover the
 * whole path. A pattern without `*` covers no path.
 *
 * @param patterns as for `allowsParameter`
 * @param path as the user wrote it, with or without a trailing slash; `/` for everything
 */
export function allowsPath(patterns: readonly string[] | undefined, path: string, namespace: string): Verdict {
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

/** The value in `allow.keyIds` for every key that the identity may use. */
export const everyKey = "*";

/**
 * Reports whether a connection's `allow.keyIds` lists a key. Only a full key ARN matches: an alias can be moved to
 * another key. The ARN of a multi-Region key (`mrk-`) matches its replicas in every region. They share key material,
 * and calls go only to the connection's region, where the replica's own key policy applies.
 *
 * @param keyIds undefined allows every key; an empty list allows none
 * @param key as the user wrote it, or as KMS returned it
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

/** The message for a connection that allows no decryption: a cluster connection without key list or binding. */
export const noKeys =
  "its connection opens no ciphertexts: list the ARNs of keys in its allow.keyIds, or set its binding.scope";

/** A key's ARN; for a multi-Region key, without the region. */
function anyReplica(text: string): string {
  const arn = parseKeyArn(text);
  return arn && isMultiRegion(arn.id) ? keyArnText({ ...arn, region: "" }) : text;
}

interface Pattern {
  /** Empty for names; otherwise the ARN up to `parameter`. */
  place: string;
  /** With a leading slash, `{namespace}` replaced and `*` removed. */
  name: string;
  isPrefix: boolean;
  /** The name with `{namespace}` unreplaced. */
  written: string;
}

function isCoveredBy(text: string, namespace: string, covers: (pattern: Pattern) => boolean): boolean {
  const pattern = parsePattern(text, namespace);
  return pattern !== undefined && covers(pattern);
}

/** Parses a pattern; undefined if it is invalid. */
function parsePattern(text: string, namespace: string): Pattern | undefined {
  const isPrefix = text.endsWith("*");
  const body = isPrefix ? text.slice(0, -1) : text;
  let place = "";
  let written = body;
  if (body.startsWith("arn:")) {
    const at = body.indexOf(":parameter/");
    if (at < 0) return undefined;
    // Validate the prefix with a sample name. The ARN of a public parameter has no account.
    const probe = parseParameterRef(`${body.slice(0, at)}:parameter/aws/service`);
    if ("problem" in probe) return undefined;
    place = placeOf(probe.ref);
    written = body.slice(at + ":parameter".length);
  } else if (!written.startsWith("/")) {
    written = `/${written}`;
  }
  const parts = written.split("/").map((part) => (part === placeholder ? namespaceOf(namespace) : part));
  const last = written.slice(written.lastIndexOf("/") + 1);
  // `/{namespace}*` would let namespace `a` read the parameters of `ab`.
  if (parts.includes(undefined) || (isPrefix && last === placeholder)) return undefined;
  // Another star, a brace or two dots need no check: no valid name contains them.
  return { place, name: parts.join("/"), isPrefix, written };
}

/** Returns the namespace if it is a valid name (RFC 1123 label), which has no slash or dot. */
function namespaceOf(namespace: string): string | undefined {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(namespace) ? namespace : undefined;
}

function placeOf(ref: ParameterRef): string {
  return ref.kind === "name" ? "" : `arn:${ref.partition}:ssm:${ref.region}:${ref.account}`;
}

/** Reports whether a name is not reserved by AWS, or the pattern spells out its reserved prefix literally. */
function isSpeltOut(pattern: Pattern, name: string): boolean {
  const [, first = "", second = ""] = name.split("/", 3);
  // AWS rejects customers' names with this prefix in any case.
  if (first.toLowerCase() !== "aws") return true;
  return second !== "" && `${pattern.written}/`.startsWith(`/${first}/${second}/`);
}

/**
 * The message for an uncovered name. It quotes only patterns with `{namespace}`, filled in: others may belong to other
 * namespaces.
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
