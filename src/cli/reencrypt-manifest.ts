import { Composer, CST, isMap, isScalar, isSeq, LineCounter, type Node, Parser, type YAMLMap } from "yaml";
import type { Algorithm } from "../aws/kms.ts";
import type { Owner } from "../ciphertexts/binding.ts";

/** One entry of a SyncedSecret that has a ciphertext. */
export interface CipherEntry {
  /** How messages call it: `shop/checkout data[2] (LICENSE)`. */
  label: string;
  owner: Owner;
  kind: "blob" | "message";
  ciphertext: string;
  keyId?: string;
  algorithm: Algorithm;
  context: ReadonlyMap<string, string>;
  /** Whether the entry says that it is not bound. */
  isUnbound: boolean;
  /** Puts another ciphertext in the place of this one, under the key of an ARN; an entry that is bound says so no more. */
  replace(ciphertext: string, keyId: string, isBound: boolean): void;
}

/** A text of YAML documents, of which nothing changes but what is replaced. */
export interface Manifests {
  entries: CipherEntry[];
  /** The text as it is now; to the letter what was read, where nothing was replaced. */
  text(): string;
}

/**
 * Finds the ciphertexts of all SyncedSecrets in a text, also within a List. Pure.
 *
 * @param namespace of those that name none
 * @returns a clause where the text is no YAML; the parser's own words may hold a value
 */
export function readManifests(text: string, namespace: string): Manifests | { problem: string } {
  const lines = new LineCounter();
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  const documents = [...new Composer({ keepSourceTokens: true, logLevel: "silent" }).compose(tokens)];
  for (const { errors } of documents) {
    const at = errors[0]?.pos[0];
    if (at !== undefined) return { problem: `is no YAML: line ${lines.linePos(at).line}` };
  }
  const entries = documents.flatMap(({ contents }) => entriesOf(contents, namespace));
  return { entries, text: () => tokens.map((token) => CST.stringify(token)).join("") };
}

function entriesOf(contents: Node | null, namespace: string): CipherEntry[] {
  if (!isMap(contents)) return [];
  const items = textOf(contents, "kind")?.endsWith("List") ? contents.get("items") : undefined;
  const objects = isSeq(items) ? items.items : [contents];
  return objects.flatMap((object) => {
    if (!isMap(object) || textOf(object, "kind") !== "SyncedSecret") return [];
    if (!textOf(object, "apiVersion")?.startsWith("keyferry.io/")) return [];
    const metadata = object.get("metadata");
    const name = (isMap(metadata) ? textOf(metadata, "name") : undefined) ?? "";
    const owner = { namespace: (isMap(metadata) ? textOf(metadata, "namespace") : undefined) ?? namespace, name };
    return ["dataFrom", "data"].flatMap((field) => {
      const list = object.getIn(["spec", field]);
      if (!isSeq(list)) return [];
      return list.items.flatMap((item, index) => {
        if (!isMap(item)) return [];
        const key = textOf(item, "key");
        const label = `${name} ${field}[${index}]${key === undefined ? "" : ` (${key})`}`;
        return entryOf(item, label, owner) ?? [];
      });
    });
  });
}

function entryOf(item: YAMLMap, label: string, owner: Owner): CipherEntry | undefined {
  const blob = item.get("kms");
  const message = item.get("encryptionSDK");
  const source = isMap(blob) ? blob : isMap(message) ? message : undefined;
  const ciphertext = source && textOf(source, "ciphertext");
  if (!source || ciphertext === undefined) return undefined;
  const keyId = textOf(source, "keyId");
  const pairs = source.get("encryptionContext");
  const context = new Map<string, string>();
  if (isMap(pairs)) {
    for (const { key, value } of pairs.items) {
      if (isScalar(key) && isScalar(value)) context.set(String(key.value), String(value.value));
    }
  }
  return {
    label,
    owner,
    kind: isMap(blob) ? "blob" : "message",
    ciphertext,
    ...(keyId === undefined ? {} : { keyId }),
    algorithm: (textOf(source, "algorithm") ?? "SYMMETRIC_DEFAULT") as Algorithm,
    context,
    isUnbound: source.get("bound") === false,
    replace(text, key, isBound) {
      put(source, "ciphertext", text);
      if (keyId !== undefined) put(source, "keyId", key);
      if (isBound) remove(source, "bound");
    },
  };
}

/** Sets a value in its own place in the source. */
function put(map: YAMLMap, key: string, text: string): void {
  const node = map.get(key, true);
  if (isScalar(node) && node.srcToken) CST.setScalarValue(node.srcToken, text, { type: "PLAIN" });
}

/** Takes a pair out of the source. */
function remove(map: YAMLMap, key: string): void {
  const at = map.items.findIndex((pair) => isScalar(pair.key) && pair.key.value === key);
  const items = (map.srcToken as { items?: { start: CST.SourceToken[] }[] } | undefined)?.items;
  const item = items?.[at];
  if (!items || !item) return;
  // What stands before the first one, its indentation above all, is the next one's then.
  if (at === 0 && items[1]) items[1].start = item.start;
  items.splice(at, 1);
  map.items.splice(at, 1);
}

function textOf(map: YAMLMap, key: string): string | undefined {
  const value = map.get(key);
  return typeof value === "string" ? value : undefined;
}
