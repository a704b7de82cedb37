import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/crds.ts";
import { page, rowsBelow } from "./pages.ts";

const coverage = page("docs/coverage.md");
const tables = ["## Encryption", "## KMS keys", "## Parameter Store", "## Before it runs", "## Input that is wrong"];

/** A test that a row names: its file, and its title or the sentence of its row in a table of tests. */
const named = /`(test\/[^`]+\.test\.ts)` "([^"]+)"/g;

for (const heading of tables) {
  describe(`${heading.slice(3)}: a test shows`, () => {
    for (const [what, ...cells] of rowsBelow(coverage, heading)) {
      test(what!, () => {
        const tests = [...cells[1]!.matchAll(named)].map(([, file, title]) => [file!, title!] as const);
        expect(tests).not.toHaveLength(0);
        for (const [file, title] of tests)
          expect(existsSync(join(root, file)) && hasTest(file, title), title).toBe(true);
        // Nothing else may stand in the cell: what is no test is not taken for one.
        expect(cells[1]!.replace(named, "").replace(/[;\s]/g, "")).toBe("");
      });
    }
  });
}

/** A test's own title; the first cell of a row, and a key, of a table that tests are made of. */
const places = [
  { before: /(?:\b(?:it|test)|\))\($/, after: /^,/ },
  { before: /(?:^|\n)\s*\[$/, after: /^,/ },
  { before: /(?:^|[{,]|\*\/)$/, after: /^: / },
];

/** Whether a file has a test of this title. */
function hasTest(file: string, title: string): boolean {
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

test("every row has as many cells as its table", () => {
  for (const heading of tables) {
    const rows = rowsBelow(coverage, heading);
    expect(new Set(rows.map((row) => row.length)).size, heading).toBe(1);
  }
});

test("detects a title that no test has", () => {
  expect(hasTest("test/controllers/kms-blobs.test.ts", "a blob that is cut short")).toBe(true);
  expect(hasTest("test/controllers/kms-blobs.test.ts", "a blob that is cut shorter")).toBe(false);
  expect(hasTest("test/controllers/kms-blobs.test.ts", "data[0] (B)")).toBe(false);
});
