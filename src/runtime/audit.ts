import type { Reason } from "../api/reasons.ts";

/** One decryption by AWS, or one reuse of a decrypted value. Never contains a value or a ciphertext. */
export interface AuditEvent {
  /**
   * - `read`: AWS has decrypted the source;
   * - `reuse`: a cached value of an earlier `read`, named by its request id, served more resources;
   * - `fail`: the decryption failed.
   */
  event: "read" | "reuse" | "fail";
  kind: "parameter" | "path" | "blob" | "message";
  /** Name or ARN of the parameter, or the path. For a decryption by KMS, the entry: `data[2] (LICENSE)`. */
  source: string;
  /** `:3` or `:prod`; empty if the reference has none. */
  selector?: string;
  version?: number;
  /** For a Secrets Manager secret, whose `version` is 0: its version id. */
  versionId?: string | undefined;
  /** The KMS key that KMS reports as used, or else the requested one. */
  key?: string | undefined;
  /** namespace/name of each SyncedSecret that requested it. */
  resources: Iterable<string>;
  /** The reason of a `fail`. */
  reason?: Reason;
  /** The AWS error code. */
  code?: string | undefined;
  region: string;
  /** The AWS identity of the call, if known. */
  caller: { account: string; arn: string } | undefined;
  /** The AWS request id, as in CloudTrail. */
  requestId: string | undefined;
}

/** Records an audit event. Never waits, and never throws. */
export type Audit = (event: AuditEvent) => void;

/** The format version, raised when a field changes its meaning or is removed. The field identifies audit lines. */
const format = 1;

/** Maximum resource names in one line, and their total characters; the rest goes into further lines. */
const maxResources = 50;
const maxResourceCharacters = 1_200;
/** Maximum characters of other fields. A line stays below 4 KiB, which a pipe writes atomically. */
const maxLength = { source: 1_100, caller: 600, key: 300, selector: 128, code: 64 };

/**
 * Formats an event as JSON lines, each with its line feed. If one line cannot name all resources, each line names some
 * of them, and `resourceCount` is the total.
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
    source: clip(source, maxLength.source),
  };
  const about = {
    ...(selector ? { selector: clip(selector, maxLength.selector) } : {}),
    ...(version === undefined ? {} : { version }),
    ...(versionId === undefined ? {} : { versionId: clip(versionId, maxLength.code) }),
    ...(key === undefined ? {} : { key: clip(key, maxLength.key) }),
    ...(reason === undefined ? {} : { reason }),
    ...(code === undefined ? {} : { code: clip(code, maxLength.code) }),
  };
  const after = {
    resourceCount: resources.length,
    ...(caller ? { account: caller.account, caller: clip(caller.arn, maxLength.caller) } : {}),
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
    if (chunk.length > 0 && (chunk.length >= maxResources || characters > maxResourceCharacters)) {
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
