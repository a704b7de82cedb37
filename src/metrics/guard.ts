import type { Answer, Asked, Handler } from "./http.ts";

/**
 * Whether a client may read:
 * - `unauthenticated`: the API server does not know the token;
 * - `forbidden`: RBAC does not allow it to the token's user;
 * - `limited`: not checked, because too many unknown tokens have come;
 * - `unknown`: the API server does not answer.
 */
export type Verdict =
  | { kind: "allowed" | "unauthenticated" | "unknown" }
  | { kind: "forbidden"; user: string }
  | { kind: "limited"; retryAfterMs: number };

/** Answers only clients whose bearer token `check` allows. */
export function guarded(
  check: (bearer: { token: string; address: string }) => Promise<Verdict>,
  handler: Handler,
): Handler {
  return async (asked) => {
    const token = tokenOf(asked);
    const verdict: Verdict =
      token === undefined ? { kind: "unauthenticated" } : await check({ token, address: asked.address });
    return verdict.kind === "allowed" ? handler(asked) : refusalOf(verdict);
  };
}

/** The token of RFC 6750, section 2.1. */
function tokenOf({ authorization }: Asked): string | undefined {
  return /^bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
}

function refusalOf(verdict: Exclude<Verdict, { kind: "allowed" }>): Answer {
  switch (verdict.kind) {
    case "forbidden":
      return { status: 403, body: `the user ${verdict.user} may not get /metrics\n` };
    case "limited": {
      const headers = { "retry-after": String(Math.ceil(verdict.retryAfterMs / 1_000)) };
      return { status: 429, headers, body: "too many unknown tokens\n" };
    }
    case "unknown":
      return { status: 503, body: "the API server does not answer\n" };
    default:
      return { status: 401, headers: { "www-authenticate": "Bearer" }, body: "unauthorized\n" };
  }
}
