import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/crds.ts";

/** A test that a page names: its file from the root, and its title, its group's, or its row's in a table of tests. */
export interface NamedTest {
  file: string;
  title: string;
}

const named = /`(test\/[^`]+\.test\.ts)` "([^"]+)"/g;

/** The tests that a cell of a table names, and what else it contains, without white space and separators. */
export function testsIn(cell: string): { tests: NamedTest[]; rest: string } {
  const tests = [...cell.matchAll(named)].map(([, file, title]) => ({ file: file!, title: title! }));
  return { tests, rest: cell.replace(named, "").replace(/[;\s]/g, "") };
}

/** A title of a test or of a group; the first cell of a row, and a key, of a table that tests are made of. */
const places = [
  { before: /(?:\b(?:it|test|describe)|\))\($/, after: /^,/ },
  { before: /(?:^|\n)\s*\[$/, after: /^,/ },
  { before: /(?:^|[{,]|\*\/)$/, after: /^: / },
];

/** Whether a file exists and has a test of this title. */
export function hasTest(file: string, title: string): boolean {
  if (!existsSync(join(root, file))) return false;
  const text = readFileSync(join(root, file), "utf8");
  for (let at = text.indexOf(title); at >= 0; at = text.indexOf(title, at + 1)) {
    const end = at + title.length;
    if (!/^(""|``)$/.test(`${text[at - 1]}${text[end]}`)) continue;
    const before = text.slice(0, at - 1).trimEnd();
    const after = text.slice(end + 1);
    if (places.some((place) => place.before.test(before) && place.after.test(after))) return true;
  }
  return false;
}
