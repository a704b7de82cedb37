import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/crds.ts";

/** A page of documentation. */
export interface Page {
  /** Its path from the repository's root. */
  path: string;
  text: string;
}

/** A fenced block of a page, without the indentation that its fence has. */
export interface Block {
  page: string;
  language: string;
  text: string;
  /** Counts from 1 among the page's blocks of this language. */
  number: number;
}

function markdownIn(folder: string): string[] {
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && entry.name.endsWith(".md")).map(({ name }) => join(folder, name));
}

/** Every page that users read: of the root, docs/ with its folders, examples/ and the chart. */
export const pages: readonly Page[] = ["", "docs", "docs/reference", "examples", "helm/keyferry"]
  .flatMap(markdownIn)
  .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));

/** The page with this path. */
export function page(path: string): Page {
  const found = pages.find((one) => one.path === path);
  if (!found) throw new Error(`there is no page ${path}`);
  return found;
}

/** The fenced blocks of a page, in their order. */
export function blocksOf({ path, text }: Page): Block[] {
  const counts = new Map<string, number>();
  return [...text.matchAll(/^([ ]*)```([a-z]*)\n(.*?)^\1```$/gms)].map(([, indent, language, body]) => {
    const number = (counts.get(language!) ?? 0) + 1;
    counts.set(language!, number);
    const lines = body!.split("\n").map((line) => line.slice(indent!.length));
    return { page: path, language: language!, text: lines.join("\n"), number };
  });
}

/** A page's text without its fenced blocks. */
export function proseOf({ text }: Page): string {
  return text.replace(/^([ ]*)```.*?^\1```$/gms, "");
}

/** What stands between backticks in a page's text. */
export function codeIn(page: Page): string[] {
  return [...proseOf(page).matchAll(/`([^`\n]+(?:\n[^`\n]+)?)`/g)].map(([, code]) => code!.replace(/\s*\n\s*/g, " "));
}

/** The names by which headings of a page can be linked to, as GitHub makes them. */
export function anchorsOf(page: Page): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of proseOf(page).matchAll(/^#{1,6} (.+)$/gm)) {
    const name = heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/ /g, "-");
    let anchor = name;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${name}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** The rows of the tables below a heading, up to the next heading of its rank; each a list of cells. */
export function rowsBelow(page: Page, heading: string): string[][] {
  const rank = heading.match(/^#+/)![0].length;
  const lines = page.text.split("\n");
  const start = lines.indexOf(heading);
  if (start < 0) throw new Error(`${page.path} has no ${heading}`);
  const rest = lines.slice(start + 1);
  const end = rest.findIndex((line) => new RegExp(`^#{1,${rank}} `).test(line));
  const table = (end < 0 ? rest : rest.slice(0, end)).filter((line) => line.startsWith("|"));
  const rows = table.map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
  // Each table begins with its head and a line of dashes.
  return rows.filter((row, index) => !isRule(row) && !(rows[index + 1] && isRule(rows[index + 1]!)));
}

function isRule(row: readonly string[]): boolean {
  return row.every((cell) => /^:?-+:?$/.test(cell));
}
