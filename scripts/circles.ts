import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";

/**
 * Refuses import cycles below src: between files, and between folders of one parent, where the files of all their
 * subfolders count as theirs. Imports of types count.
 */

/** One import: both files relative to src. */
type Import = { from: string; to: string };

const root = join(import.meta.dirname, "..", "src");
const statement = /^(?:import|export)\s(?:[^;"]*?\sfrom\s)?"(\.[^"]+)"|\bimport\("(\.[^"]+)"\)/gm;

function importsOf(from: string): Import[] {
  const text = readFileSync(join(root, from), "utf8");
  return [...text.matchAll(statement)].map(([, fixed, dynamic = ""]) => ({
    from,
    to: join(dirname(from), fixed ?? dynamic),
  }));
}

/** The groups of nodes that reach each other, by Tarjan's algorithm; a node alone is none. */
function cycles(edges: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const found: string[][] = [];
  const index = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const visit = (node: string) => {
    index.set(node, index.size);
    lowest.set(node, index.get(node)!);
    stack.push(node);
    for (const next of edges.get(node) ?? []) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) lowest.set(node, Math.min(lowest.get(node)!, lowest.get(next)!));
    }
    if (lowest.get(node) !== index.get(node)) return;
    const group = stack.splice(stack.indexOf(node));
    if (group.length > 1) found.push(group.sort());
  };
  for (const node of edges.keys()) if (!index.has(node)) visit(node);
  return found;
}

/** The edges that the imports make between nodes. @param nodeOf undefined for a file that belongs to no node */
function edgesOf(imports: readonly Import[], nodeOf: (file: string) => string | undefined): Map<string, Set<string>> {
  const edges = new Map<string, Set<string>>();
  for (const { from, to } of imports) {
    const [source, target] = [nodeOf(from), nodeOf(to)];
    if (!source || !target || source === target) continue;
    edges.set(source, (edges.get(source) ?? new Set()).add(target));
  }
  return edges;
}

const files = globSync("**/*.ts", { cwd: root }).sort();
const imports = files.flatMap(importsOf);
const parents = new Set(files.map(dirname).flatMap((folder) => [dirname(folder), folder]));

/** For a file somewhere below `parent`: the folder directly below `parent` that holds it. */
function childOf(parent: string, file: string): string | undefined {
  const [first = "..", ...rest] = relative(parent, file).split(sep);
  return first === ".." || rest.length === 0 ? undefined : join(parent, first);
}

const levels = [(file: string) => file, ...[...parents].map((parent) => (file: string) => childOf(parent, file))];
for (const nodeOf of levels) {
  for (const group of cycles(edgesOf(imports, nodeOf))) {
    const name = group.join(" ⇄ ");
    process.exitCode = 1;
    const within = imports.filter(({ from, to }) => {
      const [source, target] = [nodeOf(from), nodeOf(to)];
      return source !== target && group.includes(source ?? "") && group.includes(target ?? "");
    });
    console.error(`import cycle: ${name}`);
    for (const { from, to } of within) console.error(`  src/${from} imports src/${to}`);
  }
}
