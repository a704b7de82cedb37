import { find, type Match, type Pattern } from "./pattern.ts";
import { invalid } from "./refusal.ts";
import type { Work } from "./work.ts";

/** A piece of a replacement: text, or the group that stands there. */
type Piece = string | { group: number };

/** A replacement, read once for all names. */
export type Replacement = readonly Piece[];

/** What a replacement is made of: plain text, an escape, a group by name or number, and what stands for nothing. */
const pieceForm =
  /(?<plain>[^$\\]+)|\\(?<escaped>.)|\$(?<dollar>\$)|\$\{(?<braced>\w{1,64})\}|\$(?<digits>\d{1,3})|[$\\]/gs;

/**
 * Reads a replacement: `$1`, `${1}` and `${name}` stand for groups, `$0` for the whole match, and `\$`, `$$` and `\\` for
 * a dollar sign and a backslash. After `$` only digits count, and of them no more than make a group of the pattern.
 *
 * @param rule which replacement it is, for messages: `rename.rewrite[0]`
 * @throws Refusal where it names a group that the pattern does not have, or a `$` that stands for nothing
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

/** The number of a group that a replacement names. @throws Refusal where the pattern has none such */
function groupOf(written: string, { expression }: Pattern, rule: string): number {
  const names = expression.namedGroups() as Readonly<Record<string, number>>;
  const number = /^\d+$/.test(written) ? Number(written) : Object.hasOwn(names, written) ? names[written]! : Infinity;
  if (number > expression.groupCount()) {
    throw invalid(`${rule}.replacement names a group that its pattern does not have`);
  }
  return number;
}

/**
 * Replaces every match. As RE2 and Go have it, an empty match right after another match is none: `(.*)` matches `url`
 * once, and not the end of it a second time.
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
    // One code point on: an empty match never splits a surrogate pair.
    from = end > start ? end : end + (text.codePointAt(end)! > 0xffff ? 2 : 1);
  }
  return replaced + text.slice(copied);
}

function expand(replacement: Replacement, match: Match): string {
  return replacement.map((piece) => (typeof piece === "string" ? piece : (match.group(piece.group) ?? ""))).join("");
}
