import type { SyncedSecret } from "../../api/types.ts";
import type { Source } from "./pinned-versions.ts";

/**
 * The revisions that this process has itself made or found to be current, and for which account and region: what they
 * were made from is known, whatever a status says.
 */
export class VerifiedRevisions {
  readonly #found = new Map<string, string>();
  /** What a revision was made from, as a status told that has been edited since. */
  readonly #sources = new Map<string, { revision: string; sources: readonly Source[] }>();

  /**
   * Notes that a Secret was found, or made, current.
   *
   * @param asWhom the identity's account and region
   */
  found({ metadata }: SyncedSecret, revision: string, asWhom: string): void {
    this.#found.set(`${metadata.namespace}/${metadata.name}`, `${metadata.uid} ${asWhom} ${revision}`);
  }

  /** Whether this process, as the same account in the same region, has found this revision to be current. */
  isVerified({ metadata }: SyncedSecret, revision: string | undefined, asWhom: string): boolean {
    const found = this.#found.get(`${metadata.namespace}/${metadata.name}`);
    return revision !== undefined && found === `${metadata.uid} ${asWhom} ${revision}`;
  }

  /** Notes that a Secret's revision is the one that follows from these sources. */
  verified({ metadata }: SyncedSecret, revision: string, sources: readonly Source[]): void {
    this.#sources.set(`${metadata.namespace}/${metadata.name}`, { revision: `${metadata.uid} ${revision}`, sources });
  }

  /** The sources that were verified of this revision, whatever the status says by now. */
  sourcesOf({ metadata }: SyncedSecret, revision: string): readonly Source[] | undefined {
    const known = this.#sources.get(`${metadata.namespace}/${metadata.name}`);
    return known?.revision === `${metadata.uid} ${revision}` ? known.sources : undefined;
  }

  /** @param key namespace/name of a SyncedSecret that is no more */
  forget(key: string): void {
    this.#found.delete(key);
    this.#sources.delete(key);
  }
}
