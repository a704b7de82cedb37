// Refuses words that the project once coined and has replaced by the field's own: docs/glossary.md. Exits with 1 where
// one stands in code, comments, messages, tests or docs. With paths as arguments it looks at those only.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Each word, and what to write instead. */
const banned: readonly (readonly [RegExp, string])[] = [
  [/\boverlays?\b/i, "mutation cache"],
  [/\bdoubts\b/i, "mutation cache, stale keys or stale answers"],
  [/\bgathered\b/i, "snapshot"],
  [/\bvouch(er|ers|es|ed)?\b/i, "verified revision"],
  [/\babouts\b/i, "parameter metadata"],
  [/\bbeliefs?\b/i, "deletion confirmer"],
  [/\bowed\b/i, "describe queue"],
  [/\bsweeps\b/i, "resync, or garbage collection"],
  [/\bsights?\b/i, "version stamp"],
  [/\bspots?\b/i, "parameter state"],
  [/\bwrite-?places\b/i, "write limiter"],
  [/\bwrite-?valve\b|\bvalves?\b/i, "circuit breaker"],
  [/\b(of )?the mass\b/i, "bulk"],
  [/\bsmall-?map\b/i, "one-or-many map"],
];

/** The list itself, and files that the project did not write. */
const exempt = /^(scripts\/words\.ts|CHANGELOG\.md|package-lock\.json|test\/values\/go-replace\.json)$/;
const read = /\.(ts|md|ya?ml|tpl|txt|sh)$|^(Makefile|Dockerfile)$/;

const named = process.argv.slice(2);
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", ...named], {
  encoding: "utf8",
});
let found = 0;
for (const path of tracked.split("\n").filter((path) => read.test(path) && !exempt.test(path))) {
  const text = readOrNothing(path);
  for (const [index, line] of text.split("\n").entries()) {
    for (const [word, instead] of banned) {
      const match = word.exec(line);
      if (!match) continue;
      found++;
      console.error(`${path}:${index + 1}: "${match[0]}": write ${instead}`);
    }
  }
}
if (found > 0) {
  console.error(`${found} words that docs/glossary.md has replaced`);
  process.exit(1);
}

/** A deleted file may still be in the index. */
function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
