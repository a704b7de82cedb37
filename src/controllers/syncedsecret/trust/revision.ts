import type { SyncedSecret } from "../../../api/types.ts";
import { digest } from "../plan/digest.ts";

/**
 * One source in a revision; never a value.
 * `left` is a source that the Secret is made without: optional and missing, or dropped under DeleteKeys.
 */
export type RevisionSource = { name: string; selector: string } & (
  | { version: number; modified: number; versionId?: string }
  | { left: true }
);

/** Everything that a Secret is made from. */
export interface Made {
  spec: SyncedSecret["spec"];
  /** AWS account and region of the sources. */
  account: string;
  region: string;
  sources: readonly RevisionSource[];
  /** The encryption context that binding requires, as text; undefined without binding. */
  bound?: string | undefined;
}

/** One format of a revision. Pure; neither digest contains a dot. */
export interface RevisionFormat {
  /** A digest of the fields of the spec that decide the Secret's content. */
  spec(spec: SyncedSecret["spec"]): string;
  /** A digest of the sources. */
  sources(made: Made): string;
}

/**
 * Every format that was ever written, by number. A released format never changes and is never removed: a different hash
 * is a new format.
 */
const formats: ReadonlyMap<number, RevisionFormat> = new Map([[1, { spec: specDigest, sources: sourcesDigest }]]);

/** The format that is written. A release that only reads a newer format makes a later rollback free of cost. */
const written = 1;

/**
 * Revisions of Secrets: the format's number, a digest of the spec's output part and a digest of the sources, in the form
 * `1.<spec>.<sources>`. Equal revisions mean equal Secrets, so a Secret is known to be current without decryption. Each
 * revision is compared in its own format, so a new format causes no writes.
 */
export class Revisions {
  readonly #formats: ReadonlyMap<number, RevisionFormat>;
  readonly #written: number;

  /** @param write number of the format to write; one of `known` */
  constructor(known = formats, write = written) {
    this.#formats = known;
    this.#written = write;
  }

  /** The revision to write. */
  of(made: Made): string {
    return inFormat(this.#written, this.#formats.get(this.#written)!, made);
  }

  /** Whether a Secret with this revision was made from exactly this; false for an unknown format. */
  isOf(revision: string | undefined, made: Made): boolean {
    const found = this.#formatOf(revision);
    return found !== undefined && revision === inFormat(found.number, found.format, made);
  }

  /** Whether a Secret with this revision was made from this spec, with any sources. */
  isOfSpec(revision: string | undefined, spec: SyncedSecret["spec"]): boolean {
    const found = this.#formatOf(revision);
    return found !== undefined && revision!.startsWith(`${found.number}.${found.format.spec(spec)}.`);
  }

  /** Whether a revision has an unknown format, which a newer release has written. */
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

/** The format's number in a revision; undefined if the text is not a revision. */
function numberOf(revision: string | undefined): number | undefined {
  const digits = /^([1-9][0-9]{0,8})\./.exec(revision ?? "")?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Digest of the fields that decide the Secret's content, without the refresh policy and the connection. */
function specDigest(spec: SyncedSecret["spec"]): string {
  const { name: _name, ...target } = spec.target ?? {};
  return digest(canonical({ data: spec.data ?? [], dataFrom: spec.dataFrom ?? [], target }));
}

function sourcesDigest({ account, region, sources, bound }: Made): string {
  // A parameter in several entries counts as one source.
  const lines = sources.map((source) => {
    const seen = "left" in source ? "left" : `${source.version}\t${source.modified}`;
    const id = "left" in source || source.versionId === undefined ? "" : `\t${source.versionId}`;
    return `${source.name}\t${source.selector}\t${seen}${id}`;
  });
  // No line without binding, so that revisions from before binding stay valid. No source's line begins with a tab.
  const context = bound === undefined ? [] : [`\tbound\t${bound}`];
  return digest([account, region, ...context, ...[...new Set(lines)].sort()].join("\n"));
}

/** JSON with sorted keys, so that the order of a client's fields does not matter. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    let fields = "";
    for (const key of Object.keys(value).sort()) {
      const field = (value as Record<string, unknown>)[key];
      if (field !== undefined) fields += `${fields && ","}${JSON.stringify(key)}:${canonical(field)}`;
    }
    return `{${fields}}`;
  }
  return JSON.stringify(value);
}
