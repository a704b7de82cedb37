import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const folder = join(import.meta.dirname, "../../src");

test("the source reads the time only through a Clock", () => {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const reads = files
    .filter((file) => file.endsWith(".ts") && file !== join("runtime", "clock.ts"))
    .flatMap((file) => {
      const text = readFileSync(join(folder, file), "utf8");
      const found = text.match(/\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bhrtime\b/g) ?? [];
      return found.map((use) => `${file}: ${use}`);
    });
  expect(reads).toEqual([]);
});
