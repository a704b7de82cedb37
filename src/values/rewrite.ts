import { find, type Match, type Pattern } from "./pattern.ts";
import { invalid } from "./refusal.ts";
import type { Work } from "./work.ts";

/** A piece of a replacement: text, or the group that stands there. */
type Piece = { text: string } | { group: number | string };

/** A replacement, read once for all names. */
export type Replacement = readonly Piece[];

/**
 * Reads a replacement: `$1`, `${1}` and `${name}` stand for groups, `$0` for the whole match, and `\$`, `$$` and `\\` for
 * a dollar sign and a backslash. After `$` only digits count, and of them no more than make a group of the pattern.
 *
 * @param rule which replacement it is, for messages: `keys.rewrite[0]`
 * @throws Refusal where it names a group that the pattern does not have, or a `$` that stands for nothing
 */
export function parseReplacement(text: string, pattern: Pattern, rule: string): Replacement {
  const pieces: Piece[] = [];
  const groups = pattern.expression.groupCount();
  const names = pattern.expression.namedGroups() as Readonly<Record<string, number>>;
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at);
    const plain = /^[^$\\]+/.exec(rest)?.[0] ?? (/^(?:\\.|\$\$)/s.test(rest) ? undefined : "");
    if (plain) {
      pieces.push({ text: plain });
      at += plain.length;
      continue;
    }
    if (plain === undefined) {
      pieces.push({ text: rest[1]! });
      at += 2;
      continue;
    }
    const [written, braced, digits] = /^\$(?:\{(\w{1,64})\}|(\d{1,3}))/.exec(rest) ?? [];
    if (written === undefined)
      throw invalid(`${rule}.replacement has a $ or \\ that stands for nothing; write \\$ or \\\\`);
    if (braced !== undefined && !/^\d+$/.test(braced)) {
      if (!Object.hasOwn(names, braced)) throw unknownGroup(rule);
      pieces.push({ group: names[braced]! });
      at += written.length;
      continue;
    }
    let number = braced ?? digits!;
    while (digits !== undefined && number.length > 1 && Number(number) > groups) number = number.slice(0, -1);
    if (Number(number) > groups) throw unknownGroup(rule);
    pieces.push({ group: Number(number) });
    at += braced === undefined ? 1 + number.length : written.length;
  }
  return pieces;
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
  return replacement.map((piece) => ("text" in piece ? piece.text : (match.group(piece.group) ?? ""))).join("");
}

function unknownGroup(rule: string) {
  return invalid(`${rule}.replacement names a group that its pattern does not have`);
}
