import { createHash } from "node:crypto";

/** Maximum characters of a role session name (STS API Reference, AssumeRole). */
const longest = 64;

/**
 * The name of the operator's sessions, which CloudTrail records and messages show as part of the caller's ARN:
 * `keyferry.<cluster>.<namespace>`. It is stable across sessions. A long name is truncated and ends in a digest of the
 * full name, so that namespaces have distinct names.
 *
 * @param clusterName empty if unset; invalid characters become hyphens
 * @param namespace that owns the identity, if any
 */
export function sessionName(clusterName: string, namespace?: string): string {
  const parts = [
    "keyferry",
    ...(clusterName === "" ? [] : [clusterName]),
    ...(namespace === undefined ? [] : [namespace]),
  ];
  const whole = parts.join(".");
  const name = whole.replace(/[^a-zA-Z0-9_+=,.@-]/g, "-");
  if (name === whole && name.length <= longest) return name;
  const digest = createHash("sha256").update(whole).digest("hex").slice(0, 12);
  return `${name.slice(0, longest - 1 - digest.length)}-${digest}`;
}
