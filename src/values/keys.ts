import { maxNameLength } from "./limits.ts";
import { compilePattern } from "./pattern.ts";
import { invalid, type Problem, Refusal } from "./refusal.ts";
import { parseReplacement, replaceAll } from "./rewrite.ts";
import { Work } from "./work.ts";

/** Rules that turn names into keys of the Secret, applied in this order: stripPrefix, rewrite, separator, case. */
export interface KeyRules {
  /** Prefix to remove from a name. Default for the parameters below a path: the path. */
  stripPrefix?: string;
  /** RE2 patterns; each replaces all its matches: `$1` or `${name}` stand for groups, `\$` for a dollar sign. */
  rewrite?: { pattern: string; replacement: string }[];
  /** Replacement for each `/`; default `_`. */
  separator?: string;
  case?: "Upper" | "Lower";
}

/** Compiled rules, to be applied to many names. */
export type KeyOf = (name: string) => string;

/** Reports whether a Secret can have a key of this name: `IsConfigMapKey` of k8s.io/apimachinery. */
export function isSecretKey(key: string): boolean {
  return /^[-._a-zA-Z0-9]{1,253}$/.test(key) && key !== "." && !key.startsWith("..");
}

/**
 * Compiles rules.
 *
 * @param path the path above the names, with or without its last slash; omitted for a document's names
 * @returns a function that returns a name's key, or throws a Refusal if that is not a valid key of a Secret
 * @throws Refusal if a pattern is not RE2
 */
export function keyRules(rules: KeyRules = {}, path?: string, work = new Work()): KeyOf {
  const prefix = rules.stripPrefix ?? (path === undefined ? "" : path.endsWith("/") ? path : `${path}/`);
  const separator = rules.separator ?? "_";
  const rewrites = (rules.rewrite ?? []).map(({ pattern: written, replacement }, index) => {
    const rule = `rename.rewrite[${index}]`;
    const pattern = compilePattern(written, `${rule}.pattern`, work);
    return { pattern, replacement: parseReplacement(replacement, pattern, rule) };
  });

  return (name) => {
    if (name.length > maxNameLength) throw notAKey();
    let key = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    if (path !== undefined && key.startsWith("/")) key = key.slice(1);
    work.spend(5 + (name.length >> 3));
    for (const { pattern, replacement } of rewrites) {
      key = replaceAll(key, pattern, replacement, work);
      if (key.length > maxNameLength) throw notAKey();
    }
    key = key.replaceAll("/", () => separator);
    if (rules.case === "Upper") key = key.toUpperCase();
    if (rules.case === "Lower") key = key.toLowerCase();
    if (!isSecretKey(key)) throw notAKey();
    return key;
  };
}

/**
 * Returns the key of the Secret for a parameter below a path.
 *
 * @param name the parameter's full name
 * @param options.path the path above the parameter
 * @throws Exhausted if it needs more work than is left
 */
export function keyOfMember(
  name: string,
  { rules, path = "" }: { rules?: KeyRules | undefined; path?: string },
  work = new Work(),
): string | Problem {
  try {
    return keyRules(rules, path, work)(name);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { reason: error.reason, message: `parameter ${name}: ${error.message}` };
  }
}

function notAKey(): Refusal {
  return invalid(
    "it does not come to a Secret's key, which has 1 to 253 letters, digits, -, _ and . and does not begin with ..; " +
      "change it with rename.rewrite",
  );
}
