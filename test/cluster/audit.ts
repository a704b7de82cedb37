import { open, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** One request that the API server answered, or a watch that it began, as its audit log has it. */
export interface AuditedRequest {
  /** get, list, watch, create, update, patch, delete, deletecollection. */
  verb: string;
  /** The resource's API group; empty for the core group. */
  group: string;
  /** `secrets`, or `secrets/status` where a subresource was meant; empty for a path without a resource. */
  resource: string;
  namespace: string;
  name: string;
  user: string;
  userAgent: string;
  /** With its query. */
  uri: string;
  /** The HTTP status. */
  code: number;
  /** Milliseconds since 1970 when the server received it. */
  at: number;
}

/**
 * Reads an audit log from a point on, so that a test counts what happened between two looks:
 * `const audit = await AuditReader.from(cluster.auditLogPath)`, the deed, `await audit.take()`.
 */
export class AuditReader {
  #path: string;
  #offset: number;
  /** Watches that began: they have a second line when they end. */
  #begun = new Set<string>();

  private constructor(path: string, offset: number) {
    this.#path = path;
    this.#offset = offset;
  }

  /** A reader that gives what is logged from now on. */
  static async from(path: string): Promise<AuditReader> {
    return new AuditReader(path, await quietSize(path));
  }

  /**
   * What has been logged since the last call, oldest first, each request once. A line is written after its answer has
   * gone out, so this waits until the log has not grown for a while.
   */
  async take(): Promise<AuditedRequest[]> {
    const end = await quietSize(this.#path);
    const file = await open(this.#path);
    const bytes = Buffer.alloc(end - this.#offset);
    await file.read(bytes, 0, bytes.length, this.#offset).finally(() => file.close());
    // A line that is being written stays for the next call.
    const whole = bytes.subarray(0, bytes.lastIndexOf("\n") + 1);
    this.#offset += whole.length;
    const requests: AuditedRequest[] = [];
    for (const line of whole.toString().split("\n")) {
      if (line === "") continue;
      const event = JSON.parse(line) as AuditEvent;
      if (this.#begun.has(event.auditID)) continue;
      if (event.stage === "ResponseStarted") this.#begun.add(event.auditID);
      requests.push(requestOf(event));
    }
    return requests;
  }
}

/** How often each "verb resource" occurs: `{ "patch secrets": 3, "patch syncedsecrets/status": 3 }`. */
export function countRequests(requests: AuditedRequest[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { verb, resource } of requests) counts[`${verb} ${resource}`] = (counts[`${verb} ${resource}`] ?? 0) + 1;
  return counts;
}

/** audit.k8s.io/v1 Event: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/ */
interface AuditEvent {
  auditID: string;
  stage: string;
  verb: string;
  requestURI: string;
  user: { username: string };
  userAgent?: string;
  objectRef?: { apiGroup?: string; resource?: string; subresource?: string; namespace?: string; name?: string };
  responseStatus?: { code?: number };
  requestReceivedTimestamp: string;
}

function requestOf(event: AuditEvent): AuditedRequest {
  const { apiGroup = "", resource = "", subresource, namespace = "", name = "" } = event.objectRef ?? {};
  return {
    verb: event.verb,
    group: apiGroup,
    resource: subresource ? `${resource}/${subresource}` : resource,
    namespace,
    name,
    user: event.user.username,
    userAgent: event.userAgent ?? "",
    uri: event.requestURI,
    code: event.responseStatus?.code ?? 0,
    at: Date.parse(event.requestReceivedTimestamp),
  };
}

/** The log's size, once it has been the same for 100 ms; or as it is after 2 s, where other tests keep it growing. */
async function quietSize(path: string): Promise<number> {
  let last = -1;
  for (let looks = 0; looks < 20; looks++) {
    const { size } = await stat(path);
    if (size === last) break;
    last = size;
    await sleep(100);
  }
  return last;
}
