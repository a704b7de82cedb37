import { isExpired } from "../../../parameters/cache/cache-entry.ts";
import type { Policies } from "../../../parameters/cache/policies.ts";
import type { Failure } from "../../../runtime/failure.ts";
import type { ParameterView } from "./reference-view.ts";

/** The metadata of one source, from DescribeParameters. */
export interface SourceMetadata {
  /** The entry's name in messages: `data[2] (DB_PASSWORD)`. */
  label: string;
  name: string;
  selector: string;
  keyId?: string;
  policies?: Policies;
  /** Whether the source is known to have expired. */
  hasExpired: boolean;
}

/** The known policies and keys of all sources. */
export interface SourcesMetadata {
  sources: SourceMetadata[];
  /** Whether some of it comes from the status, and not from an answer of AWS to this process. */
  isStored: boolean;
  /** Why policies cannot be read, if the resource sets `refresh.whenExpired`. */
  unseen?: Failure;
}

export function newSourcesMetadata(): SourcesMetadata {
  return { sources: [], isStored: false };
}

/** Adds the known metadata of one source. */
export function addSourceMetadata(
  sourcesMetadata: SourcesMetadata | undefined,
  source: Pick<SourceMetadata, "label" | "name" | "selector">,
  state: ParameterView,
): void {
  const { metadata } = state;
  if (!sourcesMetadata || !metadata) return;
  if (metadata.unsure === "stored") sourcesMetadata.isStored = true;
  const { keyId, policies } = metadata;
  if (keyId === undefined && !policies) return;
  sourcesMetadata.sources.push({
    ...{ ...source, hasExpired: isExpired(state) || state.reportedExpiredAt !== undefined },
    ...(keyId === undefined ? {} : { keyId }),
    ...(policies ? { policies } : {}),
  });
}

/** When the next source expires, in milliseconds since the epoch; undefined if none will. */
export function nextExpiryOf({ sources }: SourcesMetadata): number | undefined {
  return earliest(sources.filter(({ hasExpired }) => !hasExpired));
}

/** When the first source expires, or has expired. */
export function firstExpiryOf({ sources }: SourcesMetadata): number | undefined {
  return earliest(sources);
}

function earliest(sources: readonly SourceMetadata[]): number | undefined {
  let least: number | undefined;
  for (const { policies } of sources) {
    const at = policies?.expiresAt;
    if (at !== undefined && (least === undefined || at < least)) least = at;
  }
  return least;
}
