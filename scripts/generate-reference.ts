// Writes the generated parts of docs/reference/, between a page's markers, from crds/. With --check it only
// compares, and exits with 1 if a page differs.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readKinds, root } from "./crds.ts";
import { settle } from "./generated.ts";
import { between } from "./markers.ts";
import { namesOf, referenceOf } from "./reference-of.ts";

const pages = new Map<string, string>();
for (const kind of readKinds()) {
  const path = `docs/reference/${kind.kind.toLowerCase()}.md`;
  const [named, source] = [readFileSync(join(root, path), "utf8"), "crds/"];
  const page = between({ page: named, path, source }, "names", namesOf(kind));
  pages.set(path, between({ page, path, source }, "fields", referenceOf(kind)));
}
settle(pages, "scripts/generate-reference.ts");
