import { parse } from "dotenv";
import { invalid } from "./refusal.ts";

/**
 * Reads lines of `NAME=value` as dotenv does: comments, `export`, single, double and back quotes, values over many
 * lines in quotes. What dotenv would drop or cut without a word is refused: a line without `=`, a quote that is not
 * closed, text after the end of a quote on a later line, a `#` right after a character of a value without quotes, and a
 * name that comes twice.
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
    const first = text.slice(at, lineEnd(text, at));
    if (/^\s*(?:#|$)/.test(first)) {
      // dotenv ends lines, and so comments, at these too.
      if (/[\u2028\u2029]/.test(first)) throw invalid(`line ${line} has a line separator (U+2028) in a comment`);
      at += first.length + 1;
      line++;
      continue;
    }
    const name = /^\s*(?:export\s+)?([\w.-]+)(?=\s*=|:\s)/.exec(first);
    if (!name) throw invalid(`line ${line} is not of the form NAME=value`);
    const start = at + name[0].length;
    const stop = entryEnd(text, start, line);
    const parsed = parse(`V${text.slice(start, stop)}`);
    const names = Object.keys(parsed);
    if (names.length !== 1 || names[0] !== "V") {
      throw invalid(`line ${line} can be read in more than one way: check its quotes`);
    }
    if (entries.has(name[1]!)) throw invalid(`line ${line} sets a name that an earlier line sets`);
    entries.set(name[1]!, parsed.V!);
    line += text.slice(start, stop).split("\n").length;
    at = stop + 1;
  }
  return entries;
}

/** Where the entry ends whose `=` is at or after `start`: at the end of its line, or of that with its closing quote. */
function entryEnd(text: string, start: number, line: number): number {
  const end = lineEnd(text, start);
  const first = text.slice(start, end);
  const opening = /^\s*[=:][^\S\n]*(["'`])/.exec(first);
  if (!opening) {
    if (/\S#/.test(first.split(/\s#/, 1)[0]!)) {
      throw invalid(`line ${line} has a # in its value: put quotes around it, or a space before a comment`);
    }
    return end;
  }
  const quote = opening[1]!;
  let close = start + opening[0].length;
  while (close < text.length && text[close] !== quote)
    close += text[close] === "\\" && text[close + 1] === quote ? 2 : 1;
  if (close >= text.length) throw invalid(`line ${line} opens a quote that is not closed`);
  const stop = lineEnd(text, close);
  const rest = text.slice(close + 1, stop);
  // Where more follows on the same line, dotenv takes all of it up to a #, quotes and all.
  const isAmbiguous = stop > end || first.includes("#") || /[\u2028\u2029]/.test(rest);
  if (isAmbiguous && !/^[^\S\u2028\u2029]*(?:#|$)/.test(rest)) {
    throw invalid(`line ${line} opens a quote that has text after its end`);
  }
  return stop;
}

function lineEnd(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end;
}
