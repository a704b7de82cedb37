// Refuses impure code in the folders that decide: they may import data types and pure functions only, and use no clock,
// no randomness, no timer and no promise. Exits with 1 where one does otherwise.
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const root = join(import.meta.dirname, "..");
const folders = [
  "src/controllers/syncedsecret/decide",
  "src/controllers/syncedsecret/plan",
  "src/controllers/rollout/decide",
];

/** What these folders may import. Entries that end with a slash allow a whole folder. */
const allowed = [
  ...folders.map((folder) => `${folder}/`),
  "src/controllers/syncedsecret/trust/",
  "src/controllers/grants.ts",
  "src/controllers/conditions.ts",
  "src/controllers/refresh-mark.ts",
  "src/controllers/windows.ts",
  "src/api/",
  "src/aws/allow.ts",
  "src/aws/identity.ts",
  "src/aws/names.ts",
  "src/ciphertexts/",
  "src/kube/write/managed-fields.ts",
  "src/kube/resource.ts",
  "src/parameters/",
  "src/runtime/duration.ts",
  "src/runtime/failure.ts",
  "src/runtime/sealed.ts",
  "src/runtime/writable.ts",
  "src/values/",
  "node:crypto",
];
/** Modules in those folders that do I/O or keep state. */
const refused =
  /(observer|reader|describer|schedule|poller|expiries|outages|limiter|key-watch|assembler|worker)[^/]*\.ts$/;
const impure = /\b(async|await|Promise|setTimeout|setInterval|setImmediate|Date\.now|Math\.random|performance)\b/;

let found = 0;
const report = (path: string, line: number, message: string) => {
  found++;
  console.error(`${path}:${line}: ${message}`);
};
for (const path of folders.flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: root }))) {
  const lines = readFileSync(join(root, path), "utf8").split("\n");
  for (const [index, line] of lines.entries()) {
    const code = line.replace(/\/\/.*|^\s*\/?\*.*/, "");
    const name = /\bfrom "([^"]+)"/.exec(code)?.[1];
    const target = name?.startsWith(".") ? relative(root, join(root, dirname(path), name)) : name;
    const isAllowed = target === undefined || allowed.some((one) => target === one || target.startsWith(one));
    if (!isAllowed || (target !== undefined && refused.test(target))) {
      report(path, index + 1, `imports ${target}: a decision uses data and pure functions only`);
    }
    const word = impure.exec(code.replaceAll(/"[^"]*"|`[^`]*`/g, ""))?.[0];
    if (word) report(path, index + 1, `uses ${word}: a decision takes time and answers from its snapshot`);
  }
}
process.exitCode = found > 0 ? 1 : 0;
