import type { IncomingHttpHeaders } from "node:http";
import type { Json } from "./http.ts";

/** Who calls, as the signature tells. */
export interface Caller {
  accessKeyId: string;
  account: string;
  /** What sts:GetCallerIdentity answers, and what a denial names. */
  arn: string;
}

/** Where data lives: nothing is shared between two of them. */
export interface Scope {
  account: string;
  region: string;
}

/** One request to an AWS service, read and attributed. */
export interface Call extends Caller, Scope {
  /** As it stands in an IAM action: `ssm`, `kms`, `sts`, `sqs`. */
  service: string;
  operation: string;
  /** The JSON body; for the Query protocol, its form fields. */
  input: Json;
  /** A test preparing its ground: not counted, never denied. */
  direct: boolean;
  request: {
    method: string;
    path: string;
    headers: IncomingHttpHeaders;
    body: Buffer;
    /** Aborts when the client goes before it is answered. */
    gone?: AbortSignal;
  };
}

/** The partition of a region's ARNs: `aws`, `aws-cn`, `aws-us-gov`. */
export function partitionOf(region: string): string {
  if (region.startsWith("cn-")) return "aws-cn";
  return region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}

/** Matches `text` against a pattern in which `*` stands for anything, also nothing, and `?` for one character. */
export function glob(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let mark = 0;
  while (t < text.length) {
    if (pattern[p] === "*") {
      star = p++;
      mark = t;
    } else if (pattern[p] === "?" || pattern[p] === text[t]) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++mark;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** The ARN of a parameter; its name with or without the slash in front makes the same one. */
export function parameterArn({ account, region }: Scope, name: string): string {
  const path = name.startsWith("/") ? name : `/${name}`;
  return `arn:${partitionOf(region)}:ssm:${region}:${account}:parameter${path}`;
}
