import { hash } from "node:crypto";
import type { SyncedSecret } from "../../api/types.ts";

/**
 * One source as the revision sees it; never a value.
 * `left` is a source that the Secret goes without: optional and missing, or gone and its keys deleted.
 */
export type RevisionSource = { name: string; selector: string } & (
  | { version: number; modified: number; versionId?: string }
  | { left: true }
);

/** What a Secret is made from. */
export interface Made {
  spec: SyncedSecret["spec"];
  /** AWS account and region of the sources. */
  account: string;
  region: string;
  sources: readonly RevisionSource[];
  /** The encryption context that binding asks of its ciphertexts, as text; undefined where it asks for none. */
  bound?: string | undefined;
}

/** One way to write down what a Secret was made from. Pure; neither digest has a point in it. */
export interface RevisionFormat {
  /** A digest of what in the spec decides the Secret's content. */
  spec(spec: SyncedSecret["spec"]): string;
  /** A digest of what the sources were. */
  sources(made: Made): string;
}

/**
 * Every format that has ever been written, by its number. A format that has been in a release never changes and never
 * leaves: what is hashed differently is a format more.
 */
const formats: ReadonlyMap<number, RevisionFormat> = new Map([[1, { spec: specDigest, sources: sourcesDigest }]]);

/** The format that is written. A release that knows a newer one without writing it makes the way back free of cost. */
const written = 1;

/**
 * Revisions of Secrets: a format's number, a digest of the spec's output part, and a digest of what the sources were,
 * in the form `1.<spec>.<sources>`. Equal revisions mean equal Secrets, so that nothing has to be decrypted to know that
 * a Secret is current. Each is compared in the format that it was written in, so that a new format costs nothing until
 * a Secret is written anyway.
 */
export class Revisions {
  readonly #formats: ReadonlyMap<number, RevisionFormat>;
  readonly #written: number;

  /** @param write the number of the format that is written; one of `known` */
  constructor(known = formats, write = written) {
    this.#formats = known;
    this.#written = write;
  }

  /** The revision to write. */
  of(made: Made): string {
    return inFormat(this.#written, this.#formats.get(this.#written)!, made);
  }

  /** Whether a revision says that a Secret was made from just this. In a format that is not known it says nothing. */
  isOf(revision: string | undefined, made: Made): boolean {
    const found = this.#formatOf(revision);
    return found !== undefined && revision === inFormat(found.number, found.format, made);
  }

  /** Whether a Secret with this revision was made from this spec, whatever its sources were then. */
  isOfSpec(revision: string | undefined, spec: SyncedSecret["spec"]): boolean {
    const found = this.#formatOf(revision);
    return found !== undefined && revision!.startsWith(`${found.number}.${found.format.spec(spec)}.`);
  }

  /** Whether a revision is in a format that is not known here: a newer release has written it. */
  isForeign(revision: string | undefined): boolean {
    return numberOf(revision) !== undefined && this.#formatOf(revision) === undefined;
  }

  #formatOf(revision: string | undefined): { number: number; format: RevisionFormat } | undefined {
    const number = numberOf(revision);
    const format = number === undefined ? undefined : this.#formats.get(number);
    return format && { number: number!, format };
  }
}

function inFormat(number: number, format: RevisionFormat, made: Made): string {
  return `${number}.${format.spec(made.spec)}.${format.sources(made)}`;
}

/** The number that a revision begins with; undefined where it is none of ours. */
function numberOf(revision: string | undefined): number | undefined {
  const digits = /^([1-9][0-9]{0,8})\./.exec(revision ?? "")?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** The digest of a Secret's key names: what `keyferry.io/key-digest` holds, to tell a removed key without a value. */
export function keysDigest(keys: Iterable<string>): string {
  return digest([...keys].sort().join("\n"));
}

/** What decides the Secret's content; when it is looked at, and by which connection, does not. */
function specDigest(spec: SyncedSecret["spec"]): string {
  const { name: _name, ...target } = spec.target ?? {};
  return digest(canonical({ data: spec.data ?? [], dataFrom: spec.dataFrom ?? [], target }));
}

function sourcesDigest({ account, region, sources, bound }: Made): string {
  // A parameter that several entries use is one source.
  const lines = sources.map((source) => {
    const seen = "left" in source ? "left" : `${source.version}\t${source.modified}`;
    const id = "left" in source || source.versionId === undefined ? "" : `\t${source.versionId}`;
    return `${source.name}\t${source.selector}\t${seen}${id}`;
  });
  // Nothing where nothing is bound: revisions from before there was binding stay as they are. No source's line begins so.
  const context = bound === undefined ? [] : [`\tbound\t${bound}`];
  return digest([account, region, ...context, ...[...new Set(lines)].sort()].join("\n"));
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
  return hash("sha256", text, "hex").slice(0, 32);
}
