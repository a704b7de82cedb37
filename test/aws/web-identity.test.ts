import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { IdentitySpec } from "../../src/aws/identity-spec.ts";
import { ssmOf } from "../support/permits.ts";
import { AwsServer, callerXml, json, rig, specAt } from "./aws-server.ts";

const canary = "c4n4ry";
const arn = "arn:aws:sts::123456789012:assumed-role/ferry/keyferry";

let server: AwsServer;
let folder: string;
let exchange: (response: ServerResponse) => void;
const before = { ...process.env };

beforeAll(async () => {
  server = await AwsServer.start();
  folder = await mkdtemp(join(tmpdir(), "web-identity-"));
  await writeFile(join(folder, "token"), "a.token.of-the-cluster");
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
  Object.assign(process.env, {
    AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/ferry",
    AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, "token"),
    AWS_ENDPOINT_URL_STS: server.url,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  });
  server.answer((received, response) => {
    if (received.target === "AssumeRoleWithWebIdentity") return exchange(response);
    if (received.target === "GetCallerIdentity") return callerXml(response, "123456789012", arn);
    json(response, 200, { Parameters: [], InvalidParameters: ["/a"] });
  });
});

afterAll(async () => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
  await server.close();
  await rm(folder, { recursive: true });
});

const own = (region: string): IdentitySpec => ({ ...specAt(server.url), region, credentials: { kind: "default" } });

const refuse = (status: number, code: string) => (response: ServerResponse) =>
  void response
    .writeHead(status, { "content-type": "text/xml" })
    .end(
      `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${canary}</Message></Error></ErrorResponse>`,
    );

const grant = (response: ServerResponse) => {
  const expiration = new Date(Date.now() + 3_600_000).toISOString();
  const credentials = `<AccessKeyId>ASIAFERRY</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>${expiration}</Expiration>`;
  const body = `<AssumeRoleWithWebIdentityResult><Credentials>${credentials}</Credentials></AssumeRoleWithWebIdentityResult>`;
  response.writeHead(200, { "content-type": "text/xml" });
  response.end(
    `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${body}</AssumeRoleWithWebIdentityResponse>`,
  );
};

test.each<[string, (response: ServerResponse) => void, object]>([
  [
    "reports a denial with role and ServiceAccount if the role does not trust the ServiceAccount",
    refuse(403, "AccessDenied"),
    { reason: "AccessDenied", next: "wait", message: expect.stringContaining("may not sts:AssumeRoleWithWebIdentity") },
  ],
  ...(
    [
      [
        "AccessDenied",
        "AccessDenied",
        "wait",
        /role\/ferry: the role must exist, and its trust policy.*sts\.amazonaws/,
      ],
      [
        "InvalidIdentityToken",
        "ConnectionNotReady",
        "retry",
        /role\/ferry: .*sts\.amazonaws\.com.*eks\.amazonaws\.com\/role/,
      ],
      ["ExpiredTokenException", "ConnectionNotReady", "retry", /role\/ferry has expired/],
      ["IDPRejectedClaim", "AccessDenied", "wait", /OIDC provider rejects the token/],
      ["IDPCommunicationError", "Unreachable", "retry", /cannot reach the cluster's OIDC issuer/],
      ["MalformedPolicyDocument", "ConnectionNotReady", "retry", /policy malformed/],
      ["PackedPolicyTooLarge", "ConnectionNotReady", "retry", /make them smaller/],
      ["RegionDisabledException", "AccessDenied", "wait", /activate it in IAM/],
      ["InvalidClientTokenId", "AccessDenied", "wait", /does not know the access key/],
      ["SignatureDoesNotMatch", "AccessDenied", "wait", /machine's clock/],
      ["NoSuchEntity", "AccessDenied", "wait", /role\/ferry does not exist/],
      ["ValidationError", "ConnectionNotReady", "retry", /check AWS_ROLE_ARN/],
      ["BrandNewException", "Unreachable", "wait", /an unknown error/],
    ] as const
  ).map(([code, reason, next, says]): [string, (response: ServerResponse) => void, object] => [
    `STS's ${code} says what is broken`,
    refuse(400, code),
    { reason, next, message: expect.stringMatching(says) },
  ]),
  ["retries after a server error of STS", refuse(500, "InternalFailure"), { reason: "Unreachable", next: "retry" }],
  ["retries after a throttle of STS", refuse(400, "Throttling"), { reason: "Throttled", next: "retry" }],
  [
    "has no credentials if STS rejects the token",
    refuse(400, "InvalidIdentityToken"),
    { reason: "ConnectionNotReady", next: "retry" },
  ],
])("%s", async (_, how, parts) => {
  exchange = how;
  const { identities, log } = rig();
  const read = ssmOf(identities.get(own("eu-west-1"))).getParameters(["/a"], { decrypt: false });
  const failure = await read.catch((error: Error) => error);
  expect(failure).toMatchObject({ name: "AwsFailure", scope: "credentials", ...parts });
  expect(`${(failure as Error).message} ${log.lines.join()}`).not.toContain(canary);
  identities.close();
});

test("a call times out while STS hangs", async () => {
  const waiting: ServerResponse[] = [];
  exchange = (response) => void waiting.push(response);
  const { identities, clock } = rig({ callTimeoutMs: 1_000 });
  const read = ssmOf(identities.get(own("eu-west-1"))).getParameters(["/a"], { decrypt: false });
  const failure = read.catch((error: Error) => error);
  await expect.poll(() => waiting.length).toBe(1);
  await clock.advance(1_000);
  expect(await failure).toMatchObject({ code: "TimeoutError", next: "retry" });
  // The exchange goes on for whoever asks next.
  const next = identities.get(own("eu-west-1")).caller();
  for (const response of waiting) refuse(400, "InvalidIdentityToken")(response);
  await expect(next).rejects.toMatchObject({ reason: "ConnectionNotReady" });
  expect(waiting).toHaveLength(1);
  identities.close();
});

test("exchanges the token once for all regions and later identities, with a stable session name", async () => {
  exchange = grant;
  server.received.length = 0;
  const first = rig();
  expect((await first.identities.get(own("eu-west-1")).caller()).arn).toBe(arn);
  first.identities.close();
  const { identities } = rig({ clusterName: "demo" });
  for (const region of ["eu-west-1", "eu-central-1"]) {
    expect((await ssmOf(identities.get(own(region))).getParameters(["/a"], { decrypt: false })).invalid).toEqual([
      "/a",
    ]);
  }
  const exchanges = server.received.filter(({ target }) => target === "AssumeRoleWithWebIdentity");
  expect(exchanges).toHaveLength(1);
  const form = new URLSearchParams(exchanges[0]!.body);
  expect(form.get("RoleSessionName")).toBe("keyferry");
  expect(form.get("WebIdentityToken")).toBe("a.token.of-the-cluster");
  const regions = server.received.map(({ headers }) =>
    /ASIAFERRY\/[0-9]+\/([a-z0-9-]+)\/ssm/.exec(headers.authorization ?? ""),
  );
  expect(regions.filter(Boolean).map((found) => found![1])).toEqual(["eu-west-1", "eu-central-1"]);
  identities.close();
});
