import { createHash } from "node:crypto";

/** Characters of a role session's name, at most (STS API Reference, AssumeRole). */
const longest = 64;

/**
 * The name of the operator's sessions, which CloudTrail records and messages show as part of the caller's ARN:
 * `keyferry.<cluster>.<namespace>`. Steady, since it tells who called from one session to the next. What is too long is
 * cut, and ends in a digest of all of it, so that no two namespaces come to have one name.
 *
 * @param clusterName empty where the cluster has none; what a session's name cannot hold becomes a hyphen
 * @param namespace where the identity is a namespace's own
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
