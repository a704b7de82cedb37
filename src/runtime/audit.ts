import type { Reason } from "../api/reasons.ts";

/** One source that AWS was asked to decrypt, or whose plaintext was given out again. Never a value or a ciphertext. */
export interface AuditEvent {
  /**
   * - `read`: AWS has decrypted it;
   * - `reuse`: what an earlier `read` brought, named by its request id, was still held and served more resources;
   * - `fail`: it was to be decrypted, and was not.
   */
  event: "read" | "reuse" | "fail";
  kind: "parameter" | "path" | "blob" | "message";
  /** Name or ARN of the parameter, or the path; of what KMS decrypts, the entry: `data[2] (LICENSE)`. */
  source: string;
  /** `:3` or `:prod`; empty where none was asked for. */
  selector?: string;
  version?: number;
  /** Of a secret of Secrets Manager, whose `version` is 0: the id of its version. */
  versionId?: string | undefined;
  /** The KMS key: as KMS says that it used it, or as it was asked for. */
  key?: string | undefined;
  /** namespace/name of each SyncedSecret that it was for. */
  resources: Iterable<string>;
  /** Why it failed. */
  reason?: Reason;
  /** AWS's name of the error. */
  code?: string | undefined;
  region: string;
  /** Who asked, where that is known. */
  caller: { account: string; arn: string } | undefined;
  /** AWS's id of the request; CloudTrail has the same one. */
  requestId: string | undefined;
}

/** Takes what is to be audited; never waits, and never throws. */
export type Audit = (event: AuditEvent) => void;

/** Raised where a field changes its meaning or goes. A reader tells by the field that a line is one of the audit. */
const format = 1;

/** Names of resources in one line, and characters of them; what is more goes into further lines. */
const resourcesAtMost = 50;
const resourceCharactersAtMost = 1_200;
/** Characters of other texts. With all of them a line stays below 4 KiB, which a pipe takes whole or not at all. */
const atMost = { source: 1_100, caller: 600, key: 300, selector: 128, code: 64 };

/**
 * Writes an event as lines of JSON, each with its line feed. Nearly always it is one; where more resources asked than one
 * line names, each line has some of them, and `resourceCount` is that of all.
 *
 * @param now milliseconds since the epoch
 */
export function auditLines(event: AuditEvent, now: number): string[] {
  const { kind, source, selector, version, versionId, key, reason, code, region, caller, requestId } = event;
  const resources = [...event.resources].sort();
  const before = {
    audit: format,
    time: new Date(now).toISOString(),
    event: event.event,
    kind,
    source: clip(source, atMost.source),
  };
  const about = {
    ...(selector ? { selector: clip(selector, atMost.selector) } : {}),
    ...(version === undefined ? {} : { version }),
    ...(versionId === undefined ? {} : { versionId: clip(versionId, atMost.code) }),
    ...(key === undefined ? {} : { key: clip(key, atMost.key) }),
    ...(reason === undefined ? {} : { reason }),
    ...(code === undefined ? {} : { code: clip(code, atMost.code) }),
  };
  const after = {
    resourceCount: resources.length,
    ...(caller ? { account: caller.account, caller: clip(caller.arn, atMost.caller) } : {}),
    region,
    ...(requestId === undefined ? {} : { requestId }),
  };
  return chunks(resources).map((some) => `${JSON.stringify({ ...before, ...about, resources: some, ...after })}\n`);
}

function chunks(resources: readonly string[]): string[][] {
  let chunk: string[] = [];
  const all = [chunk];
  let characters = 0;
  for (const resource of resources) {
    characters += resource.length;
    if (chunk.length > 0 && (chunk.length >= resourcesAtMost || characters > resourceCharactersAtMost)) {
      chunk = [];
      all.push(chunk);
      characters = resource.length;
    }
    chunk.push(resource);
  }
  return all;
}

function clip(text: string, most: number): string {
  return text.slice(0, most);
}
