import { type Document, isMap, isPair, isScalar, type Node, type Pair, visit } from "yaml";
import { behind } from "./yaml-source.ts";

/** Something in a document that holds a ciphertext, or may hold one, and what it is. */
export interface Other {
  node: Node;
  what: string;
}

/** A manifest within a text, as `kubectl.kubernetes.io/last-applied-configuration` or a Kustomize patch holds one. */
const embedded = /ciphertext["'\\]*\s*[:=]\s*(?:[>|][+-]?\s*)?["'\\]*[A-Za-z0-9+/]{16}/;

/**
 * What KMS makes of a symmetric key begins with these bytes (01 02 02 or 03, 00 78), here in base64, and in base64 once
 * more. Long enough to be one: the shortest has 140 bytes.
 */
const blob = /(?:AQICAH|AQIDAH|QVFJQ0FI|QVFJREFI)[A-Za-z0-9+/=]{60,}/g;

/** Characters from which on a replaced ciphertext is looked for in the text: a shorter one may stand there by chance. */
const tellingLength = 40;

/**
 * Finds what holds a ciphertext and is no entry of a SyncedSecret. Pure.
 *
 * @param entries the nodes of the ciphertexts of entries
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
  if (key.value === "ciphertext") return "this ciphertext is no entry of a SyncedSecret: move it there";
  if (key.value === "path" && typeof node.value === "string" && /\/ciphertext$/.test(node.value)) {
    return "this patch sets a ciphertext: move it where the SyncedSecret is";
  }
  return undefined;
}

/**
 * Finds blobs in a text that its entries do not account for: in comments, in other objects, in texts. Pure, and linear in
 * the text for each ciphertext that was replaced.
 *
 * @param replaced ciphertexts that must not be there any more
 * @param known ciphertexts that the entries have now
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
    // The data keys of a message are such blobs, and its base64 may show them.
    if (!current.has(found) && !known.some((ciphertext) => ciphertext.includes(found))) places.add(index);
  }
  return [...linesOf(text, places)].map((line) => `line ${line} holds a blob that is no entry of a SyncedSecret`);
}

/** The lines of places in a text, in order, each once. */
function linesOf(text: string, places: ReadonlySet<number>): Set<number> {
  const lines = new Set<number>();
  let [line, lineBreak] = [1, text.indexOf("\n")];
  for (const place of [...places].sort((a, b) => a - b)) {
    for (; lineBreak >= 0 && lineBreak < place; line++) lineBreak = text.indexOf("\n", lineBreak + 1);
    lines.add(line);
  }
  return lines;
}
