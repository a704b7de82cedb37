import type { Failure } from "../../../runtime/failure.ts";
import type { Sealed } from "../../../runtime/sealed.ts";
import type { Assembled } from "../../../values/assemble.ts";
import type { Composed, Values } from "./compose.ts";

/** The values of the sources, or their failures, by the key of each reference. */
export interface SourcesRead {
  values: Values;
  failures: ReadonlyMap<string, Failure>;
  /** Set if the sources together are too large; reading stopped there. */
  tooLarge: Failure | undefined;
}

/** The versions of a Secret under Once, read by number, or why they cannot be read. */
export interface PinnedRead {
  values: Values;
  /** Empty if every version was read. */
  problems: readonly Failure[];
}

/** The decrypted blobs and messages of a spec. */
export interface Opened {
  /** Plaintexts by the label of the entry. */
  blobs: ReadonlyMap<string, Sealed>;
  /** ARNs of the KMS keys that encrypted them, in the connection's own region. */
  keyIds: ReadonlySet<string>;
  /** A failover region in which some of them were decrypted. */
  elsewhere?: string;
  /** In the order of the messages. */
  problems: readonly Failure[];
}

/** The current values of our keys in the Secret; `keys` is undefined if there is no Secret. */
export interface LiveSecret {
  keys: ReadonlyMap<string, Uint8Array> | undefined;
}

/** A Secret's data, with what it was assembled from. */
export interface Assembly {
  composed: Composed;
  assembled: Assembled;
}

/** What one reconcile has done so far; a decision asks for the next of these. */
export interface Done {
  looked?: boolean;
  read?: SourcesRead;
  pinned?: PinnedRead;
  lastGood?: PinnedRead;
  opened?: Opened;
  live?: LiveSecret;
  assembly?: Assembly;
}
