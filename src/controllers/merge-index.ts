import { fieldManager } from "../api/annotations.ts";
import type { ObjectMeta } from "../kube/resource.ts";
import { each, type OneOrMany } from "../runtime/one-or-many.ts";
import { reindex } from "./index-of.ts";

/** The field managers with which SyncedSecrets merged into a Secret: `keyferry-<uid>`. */
export function mergeManagers(metadata: ObjectMeta): { manager: string; uid: string }[] {
  const prefix = `${fieldManager}-`;
  const found: { manager: string; uid: string }[] = [];
  for (const { manager, operation } of metadata.managedFields ?? []) {
    if (operation !== "Apply" || !manager?.startsWith(prefix)) continue;
    found.push({ manager, uid: manager.slice(prefix.length) });
  }
  return found;
}

/** The Secrets that SyncedSecrets have merged into, by the uid in the field manager's name. */
export class MergeIndex {
  readonly #byUid = new Map<string, OneOrMany<string>>();
  readonly #uids = new Map<string, readonly string[]>();

  /** Updates the entry of a Secret; undefined for a deleted Secret. */
  set(key: string, metadata: ObjectMeta | undefined): void {
    const before = this.#uids.get(key) ?? [];
    const after = metadata ? mergeManagers(metadata).map(({ uid }) => uid) : [];
    for (const uid of before) if (!after.includes(uid)) reindex(this.#byUid, key, uid, undefined);
    for (const uid of after) if (!before.includes(uid)) reindex(this.#byUid, key, undefined, uid);
    if (after.length > 0) this.#uids.set(key, after);
    else this.#uids.delete(key);
  }

  /** The keys of the Secrets that a SyncedSecret has merged into. */
  of(uid: string): Iterable<string> {
    return each(this.#byUid.get(uid));
  }
}
