import { isDeepStrictEqual } from "node:util";
import { type Document, isMap, isScalar, isSeq, type Scalar, type YAMLMap } from "yaml";
import type { Algorithm } from "../aws/kms.ts";
import type { Owner } from "../ciphertexts/binding.ts";
import { ciphertextsLeft, otherCiphertexts } from "./reencrypt-left.ts";
import {
  behind,
  type Edit,
  type Field,
  fieldOf,
  parseSource,
  removeField,
  replaceScalar,
  textOf,
  withEdits,
} from "./yaml-source.ts";

/** One entry of a SyncedSecret with a ciphertext. */
export interface CipherEntry {
  /** The entry's name in messages: `shop/checkout data[2] (LICENSE)`. */
  label: string;
  owner: Owner;
  kind: "blob" | "message";
  ciphertext: string;
  keyId?: string;
  algorithm: Algorithm;
  context: ReadonlyMap<string, string>;
  /** Whether the entry is marked as unbound. */
  isUnbound: boolean;
  /** The ciphertext's node: the same object for entries that share it by an anchor. */
  place: object;
  /** Replaces the ciphertext, and sets the key's ARN. A bound entry loses its unbound mark. */
  replace(ciphertext: string, keyId: string, isBound: boolean): void;
}

/** A text of YAML documents or JSON that stays unchanged except for replacements. */
export interface Manifests {
  entries: CipherEntry[];
  /** Ciphertexts outside of SyncedSecret entries, which cannot be moved; a line for each. */
  others: string[];
  /** The current text; identical to the input if nothing was replaced. */
  text(): string;
  /** Parses the new text again. @returns a line for each unexpected change or leftover ciphertext */
  problems(): string[];
}

/**
 * Finds the ciphertexts of all SyncedSecrets in a text, also within Lists and other objects. Pure.
 *
 * @param namespace default for objects without a namespace
 * @returns a clause if the text is not YAML; the parser's own message may contain a value
 */
export function readManifests(text: string, namespace: string): Manifests | { problem: string } {
  const source = parseSource(text);
  if ("problem" in source) return source;
  const edits: Edit[] = [];
  const entries: CipherEntry[] = [];
  const others: string[] = [];
  for (const document of source.documents) {
    const found = [...objectsIn(document, document.contents, new Set())].flatMap((object) =>
      entriesOf({ document, text, edits, others }, object, namespace),
    );
    entries.push(...found);
    const places = new Set(found.map(({ place }) => place));
    others.push(...otherCiphertexts(document, places).map(({ node, what }) => `line ${source.lineOf(node)}: ${what}`));
  }
  const before = entries.map(factsOf);
  const expected = new Map<CipherEntry, Facts>();
  for (const entry of entries) {
    const { replace } = entry;
    entry.replace = (ciphertext, keyId, isBound) => {
      replace(ciphertext, keyId, isBound);
      const facts = factsOf(entry);
      expected.set(entry, {
        ...facts,
        ciphertext,
        ...(entry.keyId === undefined ? {} : { keyId }),
        isUnbound: isBound ? false : facts.isUnbound,
      });
    };
  }
  const isJson = parsesAsJson(text);
  return {
    entries,
    others,
    text: () => withEdits(text, edits),
    problems() {
      const known = (all: readonly Facts[]) => all.map(({ ciphertext }) => ciphertext);
      if (expected.size === 0) return ciphertextsLeft(text, [], known(before));
      const after = withEdits(text, edits);
      const changed = "it could not be changed without changing something else: write it without anchors";
      if (isJson && !parsesAsJson(after)) return [changed];
      const again = parseSource(after);
      if ("problem" in again) return [changed];
      const isSame = again.documents.every((document, index) =>
        isDeepStrictEqual(document.toJS(), source.documents[index]?.toJS()),
      );
      if (!isSame || again.documents.length !== source.documents.length) return [changed];
      const read = readManifests(after, namespace);
      const now = "problem" in read ? [] : read.entries.map(factsOf);
      const wrong = entries.filter(
        (entry, index) => !isDeepStrictEqual(now[index], expected.get(entry) ?? before[index]),
      );
      if (wrong.length > 0) return wrong.map(({ label }) => `${label}: ${changed}`);
      return ciphertextsLeft(after, known([...expected.keys()]), known(now));
    },
  };
}

/** An entry's content, without its location. */
type Facts = Omit<CipherEntry, "place" | "replace">;

function factsOf({ place: _, replace: __, ...facts }: CipherEntry): Facts {
  return facts;
}

function parsesAsJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Yields each SyncedSecret in a document once, at any depth. */
function* objectsIn(document: Document, at: unknown, seen: Set<object>): Generator<YAMLMap> {
  const node = behind(document, at);
  if (!node || seen.has(node)) return;
  seen.add(node);
  if (isMap(node)) {
    const isOurs = textOf(document, node, "apiVersion")?.startsWith("keyferry.io/") ?? false;
    if (isOurs && textOf(document, node, "kind") === "SyncedSecret") yield node;
    else for (const { value } of node.items) yield* objectsIn(document, value, seen);
  } else if (isSeq(node)) {
    for (const item of node.items) yield* objectsIn(document, item, seen);
  }
}

/** What all entries of a document share. */
interface Reading {
  document: Document;
  text: string;
  edits: Edit[];
  others: string[];
}

function entriesOf(reading: Reading, object: YAMLMap, namespace: string): CipherEntry[] {
  const { document } = reading;
  const inMap = (map: unknown, name: string) => (isMap(map) ? fieldOf(document, map, name)?.node : undefined);
  const metadata = inMap(object, "metadata");
  const named = (field: string) => (isMap(metadata) ? textOf(document, metadata, field) : undefined);
  const owner = { namespace: named("namespace") ?? namespace, name: named("name") ?? "" };
  const spec = inMap(object, "spec");
  return ["dataFrom", "data"].flatMap((field) => {
    const list = inMap(spec, field);
    if (!isSeq(list)) return [];
    return list.items.flatMap((at, index) => {
      const item = behind(document, at);
      if (!isMap(item)) return [];
      const key = textOf(document, item, "key");
      const label = `${owner.name} ${field}[${index}]${key === undefined ? "" : ` (${key})`}`;
      return entryOf(reading, item, label, owner) ?? [];
    });
  });
}

function entryOf({ document, text, edits, others }: Reading, item: YAMLMap, label: string, owner: Owner) {
  const blob = fieldOf(document, item, "kms")?.node;
  const message = fieldOf(document, item, "encryptionSDK")?.node;
  const source = blob ?? message;
  if (!source || (isScalar(source) && source.value === null)) return undefined;
  const field = (name: string): Field | undefined => (isMap(source) ? fieldOf(document, source, name) : undefined);
  const place = field("ciphertext")?.node;
  if (!isMap(source) || !isScalar(place) || typeof place.value !== "string") {
    others.push(`${label}: it has no ciphertext that is a text`);
    return undefined;
  }
  const key = field("keyId")?.node;
  const keyId = isScalar(key) && typeof key.value === "string" ? key.value : undefined;
  const bound = field("bound");
  const entry: CipherEntry = {
    label,
    owner,
    kind: blob ? "blob" : "message",
    ciphertext: place.value,
    ...(keyId === undefined ? {} : { keyId }),
    algorithm: (textOf(document, source, "algorithm") ?? "SYMMETRIC_DEFAULT") as Algorithm,
    context: contextOf(field("encryptionContext")?.node, document),
    isUnbound: isScalar(bound?.node) && bound.node.value === false,
    place,
    replace(into, arn, isBound) {
      edits.push(replaceScalar(text, place, into));
      if (keyId !== undefined) edits.push(replaceScalar(text, key as Scalar, arn));
      if (isBound && bound) edits.push(...removeField(bound));
    },
  };
  return entry;
}

function contextOf(pairs: unknown, document: Document): Map<string, string> {
  const context = new Map<string, string>();
  if (!isMap(pairs)) return context;
  for (const [name, value] of Object.entries(pairs.toJS(document) as object)) context.set(name, String(value));
  return context;
}
