import { createHash } from "node:crypto";
import type { SyncedSecret } from "../../api/types.ts";

/** The number of the format below. A change of what is hashed changes it, and keeps the old one computable. */
const format = "1";

/**
 * One source as the revision sees it; never a value.
 * `left` is a source that the Secret goes without: optional and missing, or gone and its keys deleted.
 */
export type RevisionSource = { name: string; selector: string } & (
  | { version: number; modified: number }
  | { left: true }
);

/**
 * The revision of a Secret: the format's number, a digest of the spec's output part, and a digest of what the sources
 * were, in the form `1.<spec>.<sources>`. Equal revisions mean equal Secrets, so that nothing has to be decrypted to
 * know that a Secret is current.
 */
export function revision(
  spec: SyncedSecret["spec"],
  account: string,
  region: string,
  sources: readonly RevisionSource[],
): string {
  // A parameter that several entries use is one source.
  const lines = sources.map((source) => {
    const seen = "left" in source ? "left" : `${source.version}\t${source.modified}`;
    return `${source.name}\t${source.selector}\t${seen}`;
  });
  return `${format}.${specDigest(spec)}.${digest([account, region, ...[...new Set(lines)].sort()].join("\n"))}`;
}

/** Whether a Secret's revision was made from this spec, whatever its sources were then. */
export function isOfSpec(revisionOfSecret: string | undefined, spec: SyncedSecret["spec"]): boolean {
  return revisionOfSecret?.startsWith(`${format}.${specDigest(spec)}.`) ?? false;
}

/** The digest of a Secret's key names: what `keyferry.io/keys` holds, to tell a removed key without a value. */
export function keysDigest(keys: Iterable<string>): string {
  return digest([...keys].sort().join("\n"));
}

/** What decides the Secret's content; when it is looked at, and by which connection, does not. */
function specDigest(spec: SyncedSecret["spec"]): string {
  const { name: _name, ...target } = spec.target ?? {};
  return digest(canonical({ data: spec.data ?? [], dataFrom: spec.dataFrom ?? [], target }));
}

/** JSON with sorted keys, so that the order in which a client sent them does not matter. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const parts = Object.entries(value)
      .filter(([, v]) => v !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`);
    return `{${parts.join(",")}}`;
  }
  return JSON.stringify(value);
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
