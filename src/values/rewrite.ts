import { find, type Match, type Pattern } from "./pattern.ts";
import { invalid } from "./refusal.ts";
import type { Work } from "./work.ts";

/** A piece of a replacement: text or a group. */
type Piece = string | { group: number };

/** A parsed replacement, to be applied to many names. */
export type Replacement = readonly Piece[];

/** The tokens of a replacement: plain text, an escape, a group by name or number, or a lone `$` or `\`. */
const pieceForm =
  /(?<plain>[^$\\]+)|\\(?<escaped>.)|\$(?<dollar>\$)|\$\{(?<braced>\w{1,64})\}|\$(?<digits>\d{1,3})|[$\\]/gs;

/**
 * Parses a replacement: `$1`, `${1}` and `${name}` stand for groups, `$0` for the whole match, and `\$`, `$$` and `\\`
 * for a dollar sign and a backslash. After `$`, the longest run of digits that is a group of the pattern counts.
 *
 * @param rule the replacement's field, for messages: `rename.rewrite[0]`
 * @throws Refusal if it names a group that the pattern does not have, or contains a lone `$` or `\`
 */
export function parseReplacement(text: string, pattern: Pattern, rule: string): Replacement {
  return [...text.matchAll(pieceForm)].flatMap(({ groups }): Piece[] => {
    const { plain, escaped, dollar, braced, digits } = groups!;
    const written = plain ?? escaped ?? dollar;
    if (written !== undefined) return [written];
    if (braced !== undefined) return [{ group: groupOf(braced, pattern, rule) }];
    if (digits === undefined) {
      throw invalid(`${rule}.replacement has a $ or \\ that stands for nothing; write \\$ or \\\\`);
    }
    let length = digits.length;
    while (length > 1 && Number(digits.slice(0, length)) > pattern.expression.groupCount()) length -= 1;
    return [{ group: groupOf(digits.slice(0, length), pattern, rule) }, digits.slice(length)];
  });
}

/** Returns the number of a group in a replacement. @throws Refusal if the pattern does not have the group */
function groupOf(written: string, { expression }: Pattern, rule: string): number {
  const names = expression.namedGroups() as Readonly<Record<string, number>>;
  const number = /^\d+$/.test(written) ? Number(written) : Object.hasOwn(names, written) ? names[written]! : Infinity;
  if (number > expression.groupCount()) {
    throw invalid(`${rule}.replacement names a group that its pattern does not have`);
  }
  return number;
}

/**
 * Replaces every match. As in RE2 and Go, an empty match right after another match does not count: `(.*)` matches `url`
 * once, and not again at its end.
 */
export function replaceAll(text: string, pattern: Pattern, replacement: Replacement, work: Work): string {
  let replaced = "";
  let [copied, from, lastEnd] = [0, 0, -1];
  while (from <= text.length) {
    const match = find(pattern, text, from, work);
    if (!match) break;
    const { start, end } = match;
    if (end > start || start !== lastEnd) {
      replaced += text.slice(copied, start) + expand(replacement, match);
      work.spend(replaced.length >> 4);
      copied = end;
    }
    lastEnd = end;
    // Advance by one code point: an empty match never splits a surrogate pair.
    from = end > start ? end : end + (text.codePointAt(end)! > 0xffff ? 2 : 1);
  }
  return replaced + text.slice(copied);
}

function expand(replacement: Replacement, match: Match): string {
  return replacement.map((piece) => (typeof piece === "string" ? piece : (match.group(piece.group) ?? ""))).join("");
}
