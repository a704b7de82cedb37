import { invalid } from "./refusal.ts";

/** A value and the offset where it ends. */
interface Read {
  value: string;
  end: number;
}

/** Characters by their escape letter in double quotes. */
const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", '"': '"', "\\": "\\" };

/**
 * Reads lines of `NAME=value` as Docker Compose, Ruby's and Python's dotenv all read them, and refuses syntax that they
 * read differently. A value is
 * - literal in single quotes, which may span lines;
 * - in double quotes, which may span lines, with the escapes `\n`, `\r`, `\"` and `\\`;
 * - without quotes, the text up to the end of the line or a `#` after white space, trimmed.
 *
 * It ignores `export` before a name, comments and empty lines, and never expands variables. It refuses other escapes, a
 * backslash without quotes, `\'` and `\\` in single quotes, a `$` that another tool would expand, back quotes, text
 * after a closing quote, a `#` right after a character, a line without `=`, and a duplicate name.
 *
 * @throws Refusal with the number of the line
 */
export function parseDotenv(source: string): Map<string, string> {
  const text = source.replace(/\r\n?/g, "\n");
  const entries = new Map<string, string>();
  let line = 1;
  for (let at = 0; at < text.length; ) {
    const first = text.slice(at, lineEnd(text, at));
    if (/^[^\S\n]*(?:#|$)/.test(first)) {
      at += first.length + 1;
      line++;
      continue;
    }
    const name = /^[^\S\n]*(?:export[^\S\n]+)?([\w.-]+)[^\S\n]*=[^\S\n]*/.exec(first);
    if (!name) throw invalid(`line ${line} is not of the form NAME=value`);
    if (entries.has(name[1]!)) throw invalid(`line ${line} sets a name that an earlier line sets`);
    const { value, end } = valueAt(text, at + name[0].length, line);
    entries.set(name[1]!, value);
    line += text.slice(at, end).split("\n").length;
    at = end + 1;
  }
  return entries;
}

function valueAt(text: string, start: number, line: number): Read {
  const quote = text[start];
  if (quote === "`")
    throw invalid(`line ${line} has a value in back quotes, which not every dotenv knows: use single quotes`);
  if (quote !== "'" && quote !== '"') return unquoted(text, start, line);
  const { value, end: close } = quote === "'" ? inSingle(text, start + 1, line) : inDouble(text, start + 1, line);
  const end = lineEnd(text, close);
  if (!/^[^\S\n]*(?:#|$)/.test(text.slice(close + 1, end))) {
    throw invalid(`line ${line} opens a quote that has text after its end`);
  }
  return { value, end };
}

function unquoted(text: string, start: number, line: number): Read {
  const end = lineEnd(text, start);
  const whole = text.slice(start, end);
  const comment = whole.search(/(?:^|[^\S\n])#/);
  const value = (comment < 0 ? whole : whole.slice(0, comment)).trim();
  if (value.includes("#") || comment === 0) {
    throw invalid(`line ${line} has a # in its value: put quotes around it, or a space before a comment`);
  }
  if (value.includes("\\")) throw invalid(`line ${line} has a \\ in its value: put single quotes around it`);
  checkDollar(value, line);
  return { value, end };
}

function inSingle(text: string, start: number, line: number): Read {
  const end = text.indexOf("'", start);
  if (end < 0) throw unclosed(line);
  const value = text.slice(start, end);
  if (/\\(?:\\|$)/.test(value)) {
    throw invalid(
      `line ${line} has \\\\ or \\' in single quotes, which dotenv tools read differently: use double quotes`,
    );
  }
  return { value, end };
}

function inDouble(text: string, start: number, line: number): Read {
  const pieces: string[] = [];
  for (let at = start; ; ) {
    // Linear: take the text before the next backslash or quote as one piece.
    const stop = nextOf(text, at);
    if (stop < 0) throw unclosed(line);
    const piece = text.slice(at, stop);
    checkDollar(piece, line);
    pieces.push(piece);
    if (text[stop] === '"') return { value: pieces.join(""), end: stop };
    const escaped = text[stop + 1] ?? "";
    if (!Object.hasOwn(escapes, escaped)) {
      throw invalid(
        `line ${line} has an escape in double quotes that dotenv tools read differently: there are \\n, \\r, \\" and \\\\`,
      );
    }
    pieces.push(escapes[escaped]!);
    at = stop + 2;
  }
}

const quoteOrBackslash = /["\\]/g;

function nextOf(text: string, from: number): number {
  quoteOrBackslash.lastIndex = from;
  return quoteOrBackslash.exec(text)?.index ?? -1;
}

/** Other tools expand `$NAME`, `${NAME}` and `$(command)`, and turn `$$` into `$`. */
function checkDollar(value: string, line: number): void {
  if (/\$[\w{($]/.test(value)) {
    throw invalid(`line ${line} has a $ that other tools take for a variable: put single quotes around the value`);
  }
}

function unclosed(line: number) {
  return invalid(`line ${line} opens a quote that is not closed`);
}

function lineEnd(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end;
}
