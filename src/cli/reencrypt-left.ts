import { type Document, isMap, isPair, isScalar, type Node, type Pair, visit } from "yaml";
import { behind } from "./yaml-source.ts";

/** A node in a document that holds or may hold a ciphertext, and its kind. */
export interface Other {
  node: Node;
  what: string;
}

/** A manifest within a text, as in `kubectl.kubernetes.io/last-applied-configuration` or a Kustomize patch. */
const embedded = /ciphertext["'\\]*\s*[:=]\s*(?:[>|][+-]?\s*)?["'\\]*[A-Za-z0-9+/]{16}/;

/**
 * A ciphertext of KMS under a symmetric key begins with these bytes (01 02 02 or 03, 00 78), here in base64, and in
 * base64 of base64. The minimum length is that of the shortest blob, 140 bytes.
 */
const blob = /(?:AQICAH|AQIDAH|QVFJQ0FI|QVFJREFI)[A-Za-z0-9+/=]{60,}/g;

/** Minimum characters of a replaced ciphertext to search for in the text: a shorter one may occur by chance. */
const tellingLength = 40;

/**
 * Finds ciphertexts outside of SyncedSecret entries. Pure.
 *
 * @param entries the nodes of the entries' ciphertexts
 */
export function otherCiphertexts(document: Document, entries: ReadonlySet<object>): Other[] {
  const found: Other[] = [];
  visit(document, {
    Pair(_, pair) {
      const what = ofPair(document, pair, entries);
      const node = [pair.key, pair.value].find((one): one is Node => isScalar(one) || isMap(one));
      if (what !== undefined && node) found.push({ node, what });
    },
    Scalar(_, node, path) {
      if (entries.has(node) || typeof node.value !== "string" || !embedded.test(node.value)) return;
      const parent = path.at(-1);
      const key = isPair(parent) && isScalar(parent.key) ? `${parent.key.value}` : "a text";
      found.push({ node, what: `${key} holds a manifest with a ciphertext: take it out, or move it by itself` });
    },
  });
  return found;
}

function ofPair(document: Document, { key, value }: Pair, entries: ReadonlySet<object>): string | undefined {
  if (!isScalar(key)) return "this is a template ({{ }}): render it first (helm template)";
  const node = behind(document, value);
  if (!isScalar(node) || node.value === null || node.value === "" || entries.has(node)) return undefined;
  if (key.value === "ciphertext") return "this ciphertext is not in an entry of a SyncedSecret: move it there";
  if (key.value === "path" && typeof node.value === "string" && /\/ciphertext$/.test(node.value)) {
    return "this patch sets a ciphertext: move it where the SyncedSecret is";
  }
  return undefined;
}

/**
 * Finds blobs in a text that belong to no entry: in comments, in other objects, in strings. Pure, and linear in the
 * text for each replaced ciphertext.
 *
 * @param replaced ciphertexts that must not be left
 * @param known the entries' current ciphertexts
 * @returns a line for each
 */
export function ciphertextsLeft(text: string, replaced: readonly string[], known: readonly string[]): string[] {
  const places = new Set<number>();
  for (const ciphertext of new Set(replaced)) {
    const at = ciphertext.length < tellingLength ? -1 : text.indexOf(ciphertext);
    if (at >= 0) places.add(at);
  }
  const current = new Set(known);
  for (const { 0: found, index } of text.matchAll(blob)) {
    // The data keys of a message are such blobs, and may be visible in its base64.
    if (!current.has(found) && !known.some((ciphertext) => ciphertext.includes(found))) places.add(index);
  }
  return [...linesOf(text, places)].map(
    (line) => `line ${line} holds a blob that is not in an entry of a SyncedSecret`,
  );
}

/** The line numbers of places in a text, in order, without duplicates. */
function linesOf(text: string, places: ReadonlySet<number>): Set<number> {
  const lines = new Set<number>();
  let [line, lineBreak] = [1, text.indexOf("\n")];
  for (const place of [...places].sort((a, b) => a - b)) {
    for (; lineBreak >= 0 && lineBreak < place; line++) lineBreak = text.indexOf("\n", lineBreak + 1);
    lines.add(line);
  }
  return lines;
}
