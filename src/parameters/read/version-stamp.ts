import type { ParameterRecord } from "../../aws/ssm.ts";
import type { Sealed } from "../../runtime/sealed.ts";

/** A parameter's version and modification time. Equal stamps mean that the parameter has not changed. */
export interface VersionStamp {
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly modified: number;
  /** The version id of a Secrets Manager secret, whose `version` is always 0. */
  readonly versionId?: string;
}

/** A value and its version stamp: a revision must name the versions that its bytes came from. */
export interface StampedValue extends VersionStamp {
  value: Sealed;
  /** AWS's request id of the read. */
  requestId?: string | undefined;
}

/** Copies only the version stamp of an object. */
export function stampOf({ version, modified, versionId }: VersionStamp): VersionStamp {
  return { version, modified, ...(versionId === undefined ? {} : { versionId }) };
}

/** Whether two stamps are of the same version. */
export function isEqual(a: VersionStamp, b: VersionStamp): boolean {
  return a.version === b.version && a.modified === b.modified && a.versionId === b.versionId;
}

/** The value of a record with its stamp; undefined without a value. */
export function stampedIn(record: ParameterRecord): StampedValue | undefined {
  const { value, requestId } = record;
  return value && { value, ...stampOf(record), requestId };
}
