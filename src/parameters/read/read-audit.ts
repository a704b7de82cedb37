import { AwsFailure, mayBeSent } from "../../aws/failure.ts";
import type { Identity } from "../../aws/identity.ts";
import type { ParameterRecord } from "../../aws/ssm.ts";
import type { Audit, AuditEvent } from "../../runtime/audit.ts";
import type { Failure } from "../../runtime/failure.ts";
import type { Listing } from "./path-reader.ts";
import type { Read } from "./pending-reads.ts";
import { memberSelector, type ParameterReference, type PathReference, type Reference } from "./reference.ts";
import type { StampedValue } from "./version-stamp.ts";

type Resources = Iterable<string>;

/** Writes one audit event for each parameter that is read with decryption. */
export class ReadAudit {
  readonly #audit: Audit | undefined;

  constructor(audit: Audit | undefined) {
    this.#audit = audit;
  }

  /** Records the read of a parameter, or its failure. */
  read({ identity, name, selector }: ParameterReference, read: Read, resources: Resources): void {
    const about = { kind: "parameter", source: name, selector, resources, ...by(identity) } as const;
    if (read.state === "found") this.#audit?.({ event: "read", ...about, ...whichOf(read.record) });
    else if (read.state === "failed" && !mayBeSent(read.failure)) return;
    else if (read.state === "failed") this.#audit?.({ event: "fail", ...about, ...whyOf(read.failure) });
    else this.#audit?.({ event: "fail", ...about, reason: read.reason, requestId: read.requestId });
  }

  /** Records the listing of a path, or its failure. Includes every parameter that AWS decrypted, used or not. */
  listed(reference: PathReference, listing: Listing, resources: Resources): void {
    const { identity, path } = reference;
    const about = { resources, ...by(identity), selector: memberSelector(reference) };
    const read = listing.state === "failed" ? (listing.read ?? new Map()) : listing.records;
    for (const record of (read as Map<string, ParameterRecord>).values()) {
      this.#audit?.({ event: "read", kind: "parameter", source: record.name, ...about, ...whichOf(record) });
    }
    if (listing.state === "failed") {
      if (!mayBeSent(listing.failure)) return;
      this.#audit?.({ event: "fail", kind: "path", source: path, ...about, ...whyOf(listing.failure) });
    }
  }

  /** Records that cached values are used for one more resource; for a path, one event for each page. */
  reused(reference: Reference, held: ReadonlyMap<string, StampedValue>, resource: string): void {
    const about = { event: "reuse", resources: [resource], ...by(reference.identity) } as const;
    if (reference.kind === "path") {
      const selector = memberSelector(reference);
      for (const requestId of new Set([...held.values()].map((stamped) => stamped.requestId))) {
        this.#audit?.({ ...about, kind: "path", source: reference.path, selector, requestId });
      }
      return;
    }
    const { name: source, selector } = reference;
    for (const stamped of held.values()) {
      this.#audit?.({ ...about, kind: "parameter", source, selector, ...whichOf(stamped) });
    }
  }
}

function by({ region, lastCaller }: Identity): Pick<AuditEvent, "region" | "caller"> {
  return { region, caller: lastCaller };
}

function whichOf({ version, versionId, requestId }: Pick<ParameterRecord, "version" | "versionId" | "requestId">) {
  return { version, versionId, requestId };
}

function whyOf(failure: Failure): Pick<AuditEvent, "reason" | "code" | "requestId"> {
  const { code, requestId } = failure instanceof AwsFailure ? failure : {};
  return { reason: failure.reason, code, requestId };
}
