import { parse } from "dotenv";
import { invalid } from "./refusal.ts";

/**
 * Reads lines of `NAME=value` as dotenv does: comments, `export`, single, double and back quotes, values over many
 * lines in quotes. What dotenv would drop or cut without a word is refused: a line without `=`, a quote that is not
 * closed, text after a closing quote on a later line, and a name that comes twice.
 *
 * Each entry is handed to dotenv alone and under a name of ours: its parser looks for closing quotes to the end of the
 * text from every line, and loses the name `__proto__`.
 *
 * @throws Refusal with the number of the line
 */
export function parseDotenv(source: string): Map<string, string> {
  const text = source.replace(/\r\n?/g, "\n");
  const entries = new Map<string, string>();
  let line = 1;
  for (let at = 0; at < text.length; ) {
    const end = lineEnd(text, at);
    const first = text.slice(at, end);
    if (/^\s*(?:#|$)/.test(first)) {
      at = end + 1;
      line++;
      continue;
    }
    const name = /^\s*(?:export\s+)?([\w.-]+)(?=\s*=|:\s)/.exec(first);
    if (!name) throw invalid(`line ${line} is not of the form NAME=value`);
    const start = at + name[0].length;
    const stop = entryEnd(text, start, line);
    const entry = text.slice(start, stop);
    const parsed = parse(`V${entry}`);
    const names = Object.keys(parsed);
    if (names.length !== 1 || names[0] !== "V")
      throw invalid(`line ${line} can be read in more than one way: check its quotes`);
    if (entries.has(name[1]!)) throw invalid(`line ${line} sets a name that an earlier line sets`);
    entries.set(name[1]!, parsed.V!);
    line += entry.split("\n").length;
    at = stop + 1;
  }
  return entries;
}

/** Where the entry ends whose `=` is at or after `start`: at its line's end, or that of its closing quote. */
function entryEnd(text: string, start: number, line: number): number {
  const end = lineEnd(text, start);
  const opening = /^\s*[=:][^\S\n]*(["'`])/.exec(text.slice(start, end));
  if (!opening) return end;
  const quote = opening[1]!;
  let at = start + opening[0].length;
  while (at < text.length && text[at] !== quote) at += text[at] === "\\" && text[at + 1] === quote ? 2 : 1;
  if (at >= text.length) throw invalid(`line ${line} opens a quote that is not closed`);
  const closingEnd = lineEnd(text, at);
  if (at > end && !/^\s*(?:#|$)/.test(text.slice(at + 1, closingEnd))) {
    throw invalid(`line ${line} opens a quote with text after its end`);
  }
  return closingEnd;
}

function lineEnd(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end;
}
