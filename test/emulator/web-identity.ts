import { ServiceError } from "./http.ts";

/** The trust policy of a role for tokens of an OIDC provider, and the provider's audience. */
export interface WebIdentityTrust {
  /** Subjects (`system:serviceaccount:NAMESPACE:NAME`) that may assume the role; every subject when left out. */
  subjects?: string[];
  /** The audience of the OIDC provider in IAM; sts.amazonaws.com when left out. */
  audience?: string;
  /** Whether IAM of the role's account has an OIDC provider for the issuer; it has when left out. */
  hasProvider?: boolean;
}

/** The claims of a token that STS looks at. */
export interface Claims {
  iss: string;
  sub: string;
  aud: string[];
  /** Seconds since the epoch. */
  exp: number;
}

/** A token in form, with these claims and a signature that nobody checks. @param nowMs it expires an hour later */
export function tokenWith(claims: Partial<Claims>, nowMs: number): string {
  const encoded = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const usual = { iss: "https://issuer", sub: "system:serviceaccount:shop:app", aud: ["sts.amazonaws.com"] };
  return `${encoded({ alg: "RS256" })}.${encoded({ exp: nowMs / 1_000 + 3_600, ...usual, ...claims })}.c2ln`;
}

/**
 * Checks a token as AWS STS does, except for its signature.
 *
 * @param nowMs milliseconds since the epoch
 * @throws ServiceError in AWS's words
 */
export function checkedClaims(token: string, trust: WebIdentityTrust, nowMs: number): Claims {
  const { subjects, audience = "sts.amazonaws.com", hasProvider = true } = trust;
  const claims = claimsOf(token);
  if (!hasProvider) {
    throw new ServiceError("InvalidIdentityToken", `No OpenIDConnect provider found in your account for ${claims.iss}`);
  }
  if (!claims.aud.includes(audience)) throw new ServiceError("InvalidIdentityToken", "Incorrect token audience");
  if (claims.exp * 1_000 <= nowMs) throw new ServiceError("ExpiredTokenException", "Token expired");
  if (subjects && !subjects.includes(claims.sub)) {
    throw new ServiceError("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403);
  }
  return claims;
}

function claimsOf(token: string): Claims {
  const parts = token.split(".");
  try {
    if (parts.length !== 3) throw new Error("not three parts");
    const { iss, sub, aud, exp } = JSON.parse(Buffer.from(parts[1]!, "base64url").toString()) as Record<
      string,
      unknown
    >;
    return { iss: String(iss), sub: String(sub), aud: [aud].flat().map(String), exp: Number(exp) };
  } catch {
    throw new ServiceError("InvalidIdentityToken", "The ID Token provided is not a valid JWT");
  }
}
