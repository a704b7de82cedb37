import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { IdentitySpec } from "../../src/aws/identity-spec.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { Sealed } from "../../src/runtime/sealed.ts";
import { ssmOf } from "../support/permits.ts";
import { AwsServer, json, rig, specAt } from "./aws-server.ts";

const canary = "c4n4ry";
const role = "arn:aws:iam::123456789012:role/checkout";

let server: AwsServer;
let refused: Sealed[];
let asked: number;
let refusal: { code: string; message: string; status: number } | undefined;

const spec = (token: () => Promise<Sealed> = async () => Sealed.text(`token-${canary}`)): IdentitySpec => ({
  ...specAt(server.url),
  namespace: "shop",
  credentials: {
    kind: "webIdentity",
    serviceAccount: "shop/checkout",
    roleArn: role,
    tokens: {
      token: () => {
        asked += 1;
        return token();
      },
      refused: (one) => void refused.push(one),
    },
  },
});

beforeAll(async () => {
  server = await AwsServer.start();
  server.answer(({ target }, response) => {
    if (target !== "AssumeRoleWithWebIdentity") {
      return json(response, 200, { Parameters: [], InvalidParameters: ["/a"] });
    }
    const xml = { "content-type": "text/xml" };
    if (refusal) {
      const { code, message, status } = refusal;
      const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error>`;
      response.writeHead(status, xml).end(`<ErrorResponse>${error}</ErrorResponse>`);
      return;
    }
    const credentials = `<AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s-${canary}</SecretAccessKey><SessionToken>t-${canary}</SessionToken><Expiration>${new Date(Date.now() + 3_600_000).toISOString()}</Expiration>`;
    const user = `<AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/checkout/keyferry.shop</Arn></AssumedRoleUser>`;
    const result = `<AssumeRoleWithWebIdentityResult><Credentials>${credentials}</Credentials>${user}</AssumeRoleWithWebIdentityResult>`;
    response.writeHead(200, xml);
    response.end(
      `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${result}</AssumeRoleWithWebIdentityResponse>`,
    );
  });
});
afterAll(() => server.close());
beforeEach(() => {
  [refused, asked, refusal] = [[], 0, undefined];
  server.received.length = 0;
});

const read = async (of: IdentitySpec) => {
  const made = rig();
  const identity = made.identities.get(of);
  const result = await ssmOf(identity)
    .getParameters(["/a"], { decrypt: false })
    .then(() => undefined)
    .catch((error: Error) => error);
  return { ...made, identity, failure: result as Error | undefined };
};

test("exchanges the token without a signature, in a session with the namespace's name", async () => {
  const { failure, identity, identities, log } = await read(spec());
  expect(failure).toBeUndefined();
  const [exchange, call] = server.received;
  expect(Object.fromEntries(new URLSearchParams(exchange!.body))).toMatchObject({
    ...{ RoleArn: role, RoleSessionName: "keyferry.shop", DurationSeconds: "3600" },
    WebIdentityToken: `token-${canary}`,
  });
  expect(exchange!.headers.authorization).toBeUndefined();
  expect(call!.headers.authorization).toContain("Credential=ASIA1/");
  expect(identity).toMatchObject({ account: "123456789012", lastCaller: { account: "123456789012" } });
  expect(log.lines.join()).not.toContain(canary);
  identities.close();
});

test("shares one exchange between concurrent calls", async () => {
  const { identities } = rig();
  const identity = identities.get(spec());
  await Promise.all(Array.from({ length: 5 }, () => ssmOf(identity).getParameters(["/a"], { decrypt: false })));
  expect(asked).toBe(1);
  identities.close();
});

test("is one identity for equal ServiceAccounts and roles, whatever function returns their tokens", () => {
  const { identities } = rig();
  const first = identities.get(spec());
  expect(identities.get(spec(() => Promise.reject(new Error("unused"))))).toBe(first);
  const other = spec();
  expect(identities.get({ ...other, credentials: { ...other.credentials, roleArn: `${role}-2` } as never })).not.toBe(
    first,
  );
  identities.close();
});

test.each<[string, string, string, object, RegExp, boolean]>([
  [
    "a denial",
    "AccessDenied",
    "Not authorized to perform sts:AssumeRoleWithWebIdentity",
    { reason: "AccessDenied", next: "wait" },
    /may not sts:AssumeRoleWithWebIdentity on .*sub and sts\.amazonaws\.com as aud/,
    false,
  ],
  [
    "a denied sts:TagSession",
    "AccessDenied",
    `User: x is not authorized to perform: sts:TagSession on resource: ${canary}`,
    { reason: "AccessDenied", next: "wait" },
    /may not sts:TagSession on .* with sts:TagSession/,
    false,
  ],
  [
    "a service control policy",
    "AccessDenied",
    "x with an explicit deny in a service control policy",
    { reason: "AccessDenied" },
    /a Deny in a service control policy forbids it/,
    false,
  ],
  [
    "a wrong audience",
    "InvalidIdentityToken",
    "Incorrect token audience",
    { reason: "ConnectionNotReady", next: "wait" },
    /does not have the token's audience sts\.amazonaws\.com/,
    true,
  ],
  [
    "a missing OIDC provider",
    "InvalidIdentityToken",
    `No OpenIDConnect provider found in your account for ${canary}`,
    { reason: "ConnectionNotReady", next: "wait" },
    /has no OIDC provider in IAM for the cluster's issuer/,
    true,
  ],
  [
    "another invalid token",
    "InvalidIdentityToken",
    canary,
    { reason: "ConnectionNotReady", next: "wait" },
    /its issuer must be an OIDC provider/,
    true,
  ],
  [
    "an expired token",
    "ExpiredTokenException",
    canary,
    { reason: "ConnectionNotReady", next: "retry" },
    /for expired: a new one is requested/,
    true,
  ],
  [
    "a rejected claim",
    "IDPRejectedClaim",
    canary,
    { reason: "AccessDenied", next: "wait" },
    /OIDC provider rejects the token/,
    true,
  ],
  [
    "an unreachable issuer",
    "IDPCommunicationError",
    canary,
    { reason: "Unreachable", next: "retry" },
    /cannot reach the cluster's OIDC issuer/,
    false,
  ],
  [
    "a missing role",
    "NoSuchEntity",
    canary,
    { reason: "AccessDenied", next: "wait" },
    /does not exist: create it, or correct the annotation/,
    false,
  ],
  [
    "a region without STS",
    "RegionDisabledException",
    canary,
    { reason: "AccessDenied", next: "wait" },
    /not activated for eu-west-1/,
    false,
  ],
  [
    "an invalid request",
    "ValidationError",
    canary,
    { reason: "ConnectionNotReady", next: "wait" },
    /check the annotation/,
    false,
  ],
])("reports %s with role and ServiceAccount, and no text of AWS", async (_, code, message, parts, says, isOfToken) => {
  refusal = { code, message, status: code === "AccessDenied" ? 403 : 400 };
  const { failure, identity, identities, log } = await read(spec());
  expect(failure).toMatchObject({ name: "AwsFailure", scope: "credentials", ...parts });
  expect(failure!.message).toMatch(says);
  expect(failure!.message).toContain(role);
  if (code !== "RegionDisabledException" && code !== "NoSuchEntity")
    expect(failure!.message).toContain("ServiceAccount shop/checkout");
  expect(`${failure!.message} ${log.lines.join()}`).not.toContain(canary);
  expect(refused).toHaveLength(isOfToken ? 1 : 0);
  expect(identity.refusal).toBe(failure);
  identities.close();
});

test("makes no call to AWS without a token", async () => {
  const missing = new Failure("ConnectionNotReady", "wait", "ServiceAccount shop/checkout does not exist");
  const { failure, identities } = await read(spec(() => Promise.reject(missing)));
  expect(failure).toMatchObject({ name: "AwsFailure", scope: "credentials", message: missing.message, next: "wait" });
  expect(server.received).toEqual([]);
  identities.close();
});

test("remembers a refusal for some seconds, and then asks again", async () => {
  refusal = { code: "AccessDenied", message: "no", status: 403 };
  const { identity, identities, clock } = await read(spec());
  const again = () => ssmOf(identity).getParameters(["/a"], { decrypt: false });
  await expect(again()).rejects.toThrow("may not");
  expect(server.received).toHaveLength(1);
  refusal = undefined;
  await clock.advance(3_000);
  await again();
  expect(identity.refusal).toBeUndefined();
  identities.close();
});
