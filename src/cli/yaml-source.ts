import {
  Composer,
  CST,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  Parser,
  type Scalar,
  type YAMLMap,
} from "yaml";

/** A text of YAML documents or JSON, with the position of every node. */
export interface YamlSource {
  documents: readonly Document.Parsed[];
  /** The line of a node, from 1. */
  lineOf(node: Node): number;
}

/**
 * Parses a text as kubectl does: with aliases and merge keys. Pure.
 *
 * @returns a clause if the text is not YAML, or is a template; the parser's own message may contain a value
 */
export function parseSource(text: string): YamlSource | { problem: string } {
  const lines = new LineCounter();
  const tokens = new Parser(lines.addNewLine).parse(text);
  const composer = new Composer({ keepSourceTokens: true, merge: true, logLevel: "silent" });
  const documents = [...composer.compose(tokens)] as Document.Parsed[];
  for (const document of documents) {
    const at = document.errors[0]?.pos[0];
    if (at !== undefined) return { problem: `is not valid YAML: line ${lines.linePos(at).line}${templateHint(text)}` };
    try {
      document.toJS();
    } catch {
      return { problem: "is not valid YAML: it has too many aliases, or merges what is no map" };
    }
  }
  return { documents, lineOf: (node) => lines.linePos(node.range?.[0] ?? 0).line };
}

function templateHint(text: string): string {
  return text.includes("{{") ? "; where it is a template ({{ }}), render it first (helm template)" : "";
}

/** A field of a map, and its location: the map itself, or a map merged into it. */
export interface Field {
  map: YAMLMap;
  pair: Pair;
  /** The value, with its alias resolved. */
  node: Node | undefined;
}

/** Finds a field by the merge rules of YAML 1.1: the map's own first, then the first merged map that has it. */
export function fieldOf(document: Document, map: YAMLMap, name: string): Field | undefined {
  const own = map.items.find(({ key }) => isScalar(key) && key.value === name);
  if (own) return { map, pair: own, node: behind(document, own.value) };
  for (const { key, value } of map.items) {
    if (!isMergeKey(key)) continue;
    const merged = behind(document, value);
    for (const one of isSeq(merged) ? merged.items : [merged]) {
      const source = behind(document, one);
      const found = isMap(source) ? fieldOf(document, source, name) : undefined;
      if (found) return found;
    }
  }
  return undefined;
}

/** A field's value if it is a text. */
export function textOf(document: Document, map: YAMLMap, name: string): string | undefined {
  const node = fieldOf(document, map, name)?.node;
  return isScalar(node) && typeof node.value === "string" ? node.value : undefined;
}

/** A node, or the target of its alias. */
export function behind(document: Document, node: unknown): Node | undefined {
  if (isAlias(node)) return node.resolve(document);
  return isScalar(node) || isCollection(node) ? node : undefined;
}

function isMergeKey(key: unknown): boolean {
  if (!isScalar(key)) return false;
  return key.value === "<<" || (typeof key.value === "symbol" && key.value.description === "<<");
}

/** A range of a text, by offsets, and its replacement. */
export interface Edit {
  start: number;
  end: number;
  text: string;
}

/** Replaces a scalar's text and keeps its quotes. Also changes the node. */
export function replaceScalar(source: string, node: Scalar, text: string): Edit {
  const [start, end] = node.range!;
  const before = source.slice(start, end);
  const type = node.srcToken?.type;
  const quote = type === "double-quoted-scalar" ? '"' : type === "single-quoted-scalar" ? "'" : "";
  // A block scalar includes its last line break.
  const lineBreak = type === "block-scalar" ? (/\r?\n$/.exec(before)?.[0] ?? "") : "";
  node.value = text;
  return { start, end, text: `${quote}${text}${quote}${lineBreak}` };
}

/** Removes a field from its map; no edit if it is already removed. Also changes the map. */
export function removeField({ map, pair }: Field): Edit[] {
  const at = map.items.indexOf(pair);
  const items = (map.srcToken as { items?: CST.CollectionItem[] } | undefined)?.items;
  const item = items?.[at];
  const key = item?.key;
  if (!items || !item || !key) return [];
  map.items.splice(at, 1);
  const next = items[at + 1]?.key;
  // The text before the first field, above all its indentation, then belongs to the next one.
  if (at === 0 && next) return [{ start: key.offset, end: next.offset, text: "" }];
  const start = item.start[0]?.offset ?? key.offset;
  return [{ start, end: start + CST.stringify(item as CST.Token).length, text: "" }];
}

/** Applies edits to a text; of several edits at one place, one is applied. */
export function withEdits(text: string, edits: readonly Edit[]): string {
  let result = text;
  const byStart = new Map(edits.map((edit) => [edit.start, edit]));
  for (const { start, end, text: into } of [...byStart.values()].sort((a, b) => b.start - a.start)) {
    result = result.slice(0, start) + into + result.slice(end);
  }
  return result;
}
