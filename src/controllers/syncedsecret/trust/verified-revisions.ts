import type { SyncedSecret } from "../../../api/types.ts";
import type { Source } from "./status-sources.ts";

/**
 * The revisions that this process has made or found to be current, with account and region. Their sources are known,
 * whatever the status says.
 */
export class VerifiedRevisions {
  readonly #found = new Map<string, { uid: string | undefined; revision: string; asWhom: string }>();
  /** The sources of a revision, from a status that may have been edited since. */
  readonly #sources = new Map<string, { revision: string; sources: readonly Source[] }>();

  /**
   * Records that a Secret is current.
   *
   * @param asWhom account and region of the identity
   */
  found({ metadata }: SyncedSecret, revision: string, asWhom: string): void {
    this.#found.set(`${metadata.namespace}/${metadata.name}`, { uid: metadata.uid, revision, asWhom });
  }

  /** The account and region for which this process has found this revision to be current. */
  verifiedAs(resource: SyncedSecret, revision: string | undefined): string | undefined {
    const found = this.#foundOf(resource);
    return found?.revision === revision ? found?.asWhom : undefined;
  }

  /** Whether this process has found another revision of the same Secret to be current, and not this one. */
  knowsAnother(resource: SyncedSecret, revision: string | undefined): boolean {
    const found = this.#foundOf(resource);
    return revision !== undefined && found !== undefined && found.revision !== revision;
  }

  /** Records that these sources reproduce a Secret's revision. */
  verified({ metadata }: SyncedSecret, revision: string, sources: readonly Source[]): void {
    this.#sources.set(`${metadata.namespace}/${metadata.name}`, { revision: `${metadata.uid} ${revision}`, sources });
  }

  /** The verified sources of this revision, whatever the status says now. */
  sourcesOf({ metadata }: SyncedSecret, revision: string): readonly Source[] | undefined {
    const known = this.#sources.get(`${metadata.namespace}/${metadata.name}`);
    return known?.revision === `${metadata.uid} ${revision}` ? known.sources : undefined;
  }

  /** @param key namespace/name of a deleted SyncedSecret */
  forget(key: string): void {
    this.#found.delete(key);
    this.#sources.delete(key);
  }

  #foundOf({ metadata }: SyncedSecret) {
    const found = this.#found.get(`${metadata.namespace}/${metadata.name}`);
    return found?.uid === metadata.uid ? found : undefined;
  }
}
