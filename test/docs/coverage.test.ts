import { describe, expect, test } from "vitest";
import { hasTest, testsIn } from "./named-tests.ts";
import { page, rowsBelow } from "./pages.ts";

const coverage = page("docs/coverage.md");
const tables = ["## Encryption", "## KMS keys", "## Parameter Store", "## Before it runs", "## Input that is wrong"];

for (const heading of tables) {
  describe(`${heading.slice(3)}: a test shows`, () => {
    for (const [what, ...cells] of rowsBelow(coverage, heading)) {
      test(what!, () => {
        const { tests, rest } = testsIn(cells[1]!);
        expect(tests).not.toHaveLength(0);
        for (const { file, title } of tests) expect(hasTest(file, title), title).toBe(true);
        // Nothing else may stand in the cell: what is no test is not taken for one.
        expect(rest).toBe("");
      });
    }
  });
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
