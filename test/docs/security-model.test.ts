import { describe, expect, test } from "vitest";
import { hasTest, testsIn } from "./named-tests.ts";
import { page, rowsBelow } from "./pages.ts";

const model = page("docs/security-model.md");
const headings = [...model.text.matchAll(/^## Threats .*$/gm)].map(([heading]) => heading);

test("docs/security-model.md has the threats from tenants, from outside, of the operator and of the supply chain", () => {
  expect(headings).toHaveLength(4);
});

for (const heading of headings) {
  describe(`${heading.slice(3)}: a test shows the answer to`, () => {
    for (const cells of rowsBelow(model, heading)) {
      test(cells[0]!, () => {
        expect(cells).toHaveLength(4);
        expect(cells[1]).not.toBe("");
        const { tests, rest } = testsIn(cells[3]!);
        expect(tests).not.toHaveLength(0);
        for (const { file, title } of tests) expect(hasTest(file, title), `${file} ${title}`).toBe(true);
        expect(rest).toBe("");
      });
    }
  });
}
