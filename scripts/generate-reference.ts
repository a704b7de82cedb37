// Writes the generated parts of docs/reference/, between a page's markers, from crds/. With --check it only
// compares, and exits with 1 if a page differs.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readKinds, root } from "./crds.ts";
import { settle } from "./generated.ts";
import { namesOf, referenceOf } from "./reference-of.ts";

const pages = new Map<string, string>();
for (const kind of readKinds()) {
  const path = `docs/reference/${kind.kind.toLowerCase()}.md`;
  const page = readFileSync(join(root, path), "utf8");
  pages.set(path, between(between(page, path, "names", namesOf(kind)), path, "fields", referenceOf(kind)));
}
settle(pages, "scripts/generate-reference.ts");

function between(page: string, path: string, part: string, content: string): string {
  const [begin, end] = [`<!-- ${part}: generated from crds/ -->`, `<!-- end of ${part} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${path} lacks the lines ${begin} and ${end}`);
  return `${page.slice(0, from + begin.length)}\n\n${content}\n\n${page.slice(to)}`;
}
