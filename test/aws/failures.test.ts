import { afterAll, afterEach, describe, expect, test } from "vitest";
import { kmsOf, ssmOf } from "../support/permits.ts";
import { AwsServer, callerXml, json, rig, seriesOf, specAt } from "./aws-server.ts";

const canary = "c4n4ry-b1rd";
const user = "arn:aws:iam::123456789012:user/ferry";
const parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/shop/db";
const key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const kmsDenial = `User: ${user} is not authorized to perform: kms:Decrypt on resource: ${key} because no identity-based policy allows the kms:Decrypt action (Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException; Request ID: ${canary}; Proxy: null)`;

const server = await AwsServer.start();
const made = rig();
const identity = made.identities.get(specAt(server.url));

afterEach(() => {
  // Whatever AWS said, none of it may be read anywhere but in our own words.
  expect(made.log.lines.join("\n")).not.toContain(canary);
});

afterAll(async () => {
  made.identities.close();
  await server.close();
});

const getParameters = () => ssmOf(identity).getParameters(["/shop/db"], { decrypt: true });
const getParameter = () => ssmOf(identity).getParameter("/shop/db:3", { decrypt: false });
const listPath = () => ssmOf(identity).getParametersByPath({ path: "/shop/", recursive: true, decrypt: false });
const decrypt = () => kmsOf(identity).decrypt({ ciphertext: Buffer.from("x"), keyId: key });
const decryptAny = () => kmsOf(identity).decrypt({ ciphertext: Buffer.from("x") });
const caller = () => identity.caller();

async function failureOf(call: () => Promise<unknown>) {
  const failure = await call().then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({ name: "AwsFailure" });
  const known = failure as { reason: string; next: string; message: string; code: string; scope: string };
  expect(known.message + JSON.stringify(known) + (known as unknown as Error).stack).not.toContain(canary);
  return known;
}

type Row = [string, () => Promise<unknown>, string, string, string, RegExp];

describe("an error of AWS", () => {
  test.each<Row>([
    [
      "a throttle",
      getParameters,
      "ThrottlingException",
      "Throttled",
      "retry",
      /^AWS throttles ssm:GetParameters in eu-west-1: the account's quota there is spent; it is tried again by itself$/,
    ],
    ["a throttle of KMS", decrypt, "LimitExceededException", "Throttled", "retry", /kms:Decrypt/],
    ["too many requests", caller, "TooManyRequestsException", "Throttled", "retry", /sts:GetCallerIdentity/],
    [
      "a server error",
      getParameters,
      "InternalServerError",
      "Unreachable",
      "retry",
      /^AWS Systems Manager in eu-west-1 answers ssm:GetParameters with a server error/,
    ],
    ["an unavailable service", decrypt, "ServiceUnavailableException", "Unreachable", "retry", /^AWS KMS in eu-west-1/],
    ["a timeout of the server", listPath, "RequestTimeoutException", "Unreachable", "retry", /did not answer in time/],
    [
      "a missing parameter",
      getParameter,
      "ParameterNotFound",
      "ParameterNotFound",
      "wait",
      /^\/shop\/db:3 does not exist in eu-west-1: create it$/,
    ],
    [
      "a missing version",
      getParameter,
      "ParameterVersionNotFound",
      "VersionNotFound",
      "wait",
      /^\/shop\/db:3 does not exist in eu-west-1: AWS keeps the last 100 versions/,
    ],
    [
      "a key that SSM cannot use",
      getParameters,
      "InvalidKeyId",
      "KeyUnavailable",
      "wait",
      /^the KMS key of \/shop\/db in eu-west-1 cannot be used/,
    ],
    [
      "an invalid request",
      getParameters,
      "ValidationException",
      "InvalidData",
      "stalled",
      /^AWS Systems Manager in eu-west-1 takes \/shop\/db for invalid/,
    ],
    [
      "an invalid request of KMS",
      decrypt,
      "ValidationException",
      "InvalidData",
      "stalled",
      /^AWS KMS in eu-west-1 takes kms:Decrypt for invalid: check the key, algorithm, context and ciphertext that the entry gives$/,
    ],
    [
      "a key id that KMS rejects as invalid",
      () => kmsOf(identity).describeKey(key),
      "ValidationException",
      "InvalidData",
      "stalled",
      /^AWS KMS in eu-west-1 takes kms:DescribeKey for invalid: check the key that the entry gives$/,
    ],
    [
      "an invalid filter",
      listPath,
      "InvalidFilterValue",
      "InvalidData",
      "stalled",
      /check the types, the label and the tags/,
    ],
    ["an expired pagination token", listPath, "InvalidNextToken", "Unreachable", "retry", /ssm:GetParametersByPath/],
    [
      "a disabled key",
      decrypt,
      "DisabledException",
      "KeyUnavailable",
      "wait",
      new RegExp(`^the KMS key ${key} in eu-west-1 is disabled: enable it$`),
    ],
    [
      "a key in an unnamed state",
      decrypt,
      "KMSInvalidStateException",
      "KeyUnavailable",
      "wait",
      /cannot be used in its state/,
    ],
    [
      "a key that does not exist",
      decrypt,
      "NotFoundException",
      "KeyUnavailable",
      "wait",
      /does not exist: check the ARN/,
    ],
    [
      "a temporarily unavailable key",
      decryptAny,
      "KeyUnavailableException",
      "KeyUnavailable",
      "retry",
      /^the KMS key of the ciphertext in eu-west-1/,
    ],
    ["a timeout of a KMS dependency", decrypt, "DependencyTimeoutException", "KeyUnavailable", "retry", /tried again/],
    ["an internal error of KMS", decrypt, "KMSInternalException", "KeyUnavailable", "retry", /tried again/],
    [
      "a wrong context or a damaged ciphertext",
      decrypt,
      "InvalidCiphertextException",
      "DecryptFailed",
      "stalled",
      /the encryption context is wrong or the ciphertext is damaged: AWS does not tell which$/,
    ],
    [
      "another key",
      decrypt,
      "IncorrectKeyException",
      "DecryptFailed",
      "stalled",
      new RegExp(`another key than ${key} that keyId names$`),
    ],
    [
      "a signing key",
      decrypt,
      "InvalidKeyUsageException",
      "DecryptFailed",
      "stalled",
      /cannot decrypt with SYMMETRIC_DEFAULT: its key spec or key usage does not match/,
    ],
    [
      "an expired token",
      getParameters,
      "ExpiredTokenException",
      "AccessDenied",
      "wait",
      /^AWS Systems Manager in eu-west-1 does not accept the credentials: they have expired/,
    ],
    ["an expired token of STS", caller, "ExpiredToken", "AccessDenied", "wait", /^AWS STS in eu-west-1/],
    [
      "an unknown access key",
      getParameters,
      "UnrecognizedClientException",
      "AccessDenied",
      "wait",
      /the access key or session token is not known/,
    ],
    ["an access key unknown to STS", caller, "InvalidClientTokenId", "AccessDenied", "wait", /is not known/],
    [
      "a wrong signature",
      getParameters,
      "InvalidSignatureException",
      "AccessDenied",
      "wait",
      /check AWS_SECRET_ACCESS_KEY/,
    ],
    [
      "a wrong clock",
      getParameters,
      "RequestExpired",
      "Unreachable",
      "retry",
      /clock of the operator's machine is wrong/,
    ],
    [
      "an operation unknown to the endpoint",
      getParameters,
      "UnknownOperationException",
      "Unreachable",
      "wait",
      /does not know ssm:GetParameters: check the endpoint$/,
    ],
    ["an unknown error code", getParameters, "StrangeException", "Unreachable", "wait", /an unknown error/],
  ])("%s maps to a reason, a retry decision and our own message", async (_, call, code, reason, next, message) => {
    server.answer((received, response) => {
      const text = `told about ${canary}`;
      if (received.target !== "GetCallerIdentity") {
        return json(response, 400, { __type: `com.amazonaws.x#${code}`, message: text, Message: text });
      }
      response.writeHead(400, { "content-type": "text/xml" });
      response.end(
        `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${text}</Message></Error></ErrorResponse>`,
      );
    });
    expect(await failureOf(call)).toMatchObject({ reason, next, code, message: expect.stringMatching(message) });
  });

  test.each(["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "RequestExpired"])(
    "%s affects every call with the same credentials",
    async (code) => {
      server.answerError(code, canary);
      expect((await failureOf(getParameters)).scope).toBe("credentials");
    },
  );

  test("about an expired signature reports a wrong clock, from AWS's message", async () => {
    server.answerError(
      "InvalidSignatureException",
      "Signature expired: 20261124T000000Z is now earlier than 20261124T001000Z",
    );
    expect(await failureOf(getParameters)).toMatchObject({ reason: "Unreachable", next: "retry" });
  });

  test.each([
    [
      "pending deletion",
      `${key} is pending deletion.`,
      /is pending deletion: cancel the deletion, and enable the key$/,
    ],
    [
      "whose key store is disconnected",
      `${key} is unavailable.`,
      /cannot be reached by KMS: connect its custom key store$/,
    ],
    ["without material", `${key} is pending import.`, /has no key material: import the same key material again$/],
    [
      "in another state",
      `${key} is updating. ${canary}`,
      /cannot be used in its state, or its custom key store fails: check the key's state in KMS$/,
    ],
  ])("about a key %s reports that state, from AWS's message", async (_, text, message) => {
    server.answerError("KMSInvalidStateException", text);
    const failure = await failureOf(decrypt);
    expect(failure).toMatchObject({ reason: "KeyUnavailable", next: "wait", message: expect.stringMatching(message) });
    expect(failure.message).not.toContain(canary);
  });

  test("keeps AWS's request id for the log, outside the message", async () => {
    server.answerError("ParameterNotFound", canary);
    const failure = await failureOf(getParameter);
    const requestId = "0f0f0f0f-1111-2222-3333-444444444444";
    expect(failure).toMatchObject({ requestId });
    expect(failure.message).not.toContain(requestId);
    expect(made.log.lines.at(-1)).toContain(requestId);
  });
});

describe("a denial", () => {
  const denials: [string, () => Promise<unknown>, string, string][] = [
    [
      "names caller, action, resource and region",
      getParameters,
      `User: ${user} is not authorized to perform: ssm:GetParameters on resource: ${parameter} because no identity-based policy allows the ssm:GetParameters action`,
      `${user} may not ssm:GetParameters on ${parameter} in eu-west-1: allow it in the caller's IAM policy`,
    ],
    [
      "of several parameters names no parameter, because several resources may share the message",
      () => ssmOf(identity).getParameters(["/shop/db", "/stock/db"], { decrypt: false }),
      `User: ${user} is not authorized to perform: ssm:GetParameters on resource: ${parameter} because x`,
      `${user} may not ssm:GetParameters on its parameters in eu-west-1: allow it in the caller's IAM policy`,
    ],
    [
      "of KMS through Parameter Store names kms:Decrypt and the key",
      getParameters,
      kmsDenial,
      `${user} may not kms:Decrypt on ${key} in eu-west-1: allow it in the key's policy and the caller's IAM policy`,
    ],
    [
      "of KMS through Parameter Store in the older wording names the parameter's key",
      getParameters,
      `The ciphertext refers to a customer master key that does not exist (Service: AWSKMS; ${canary})`,
      "the caller may not kms:Decrypt on the key of /shop/db in eu-west-1: allow it in the key's policy and the caller's IAM policy",
    ],
    [
      "of KMS names the pinned key",
      decrypt,
      canary,
      `the caller may not kms:Decrypt on ${key} in eu-west-1: allow it in the key's policy and the caller's IAM policy`,
    ],
    [
      "by a Deny names the policy type with the Deny",
      getParameters,
      `User: ${user} is not authorized to perform: ssm:GetParameters on resource: ${parameter} with an explicit deny in a service control policy: ${canary}`,
      `${user} may not ssm:GetParameters on ${parameter} in eu-west-1: a Deny in a service control policy forbids it`,
    ],
    [
      "in an unknown wording is reported from the request",
      getParameters,
      `User: ${canary} is not authorized to perform: ${canary} on resource: ${canary}`,
      "the caller may not ssm:GetParameters on /shop/db in eu-west-1: allow it in the caller's IAM policy",
    ],
    [
      "with invalid ARNs is reported from the request",
      getParameters,
      `User: arn:aws:iam::123456789012:user/${canary}\u001b[31m is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:eu-west-1:123456789012:parameter/${canary}"<script>`,
      "the caller may not ssm:GetParameters on /shop/db in eu-west-1: allow it in the caller's IAM policy",
    ],
    [
      "of a listing names the path",
      listPath,
      "no",
      "the caller may not ssm:GetParametersByPath on /shop/ in eu-west-1: allow it in the caller's IAM policy",
    ],
  ];
  test.each(denials)("%s", async (_, call, text, message) => {
    server.answerError("AccessDeniedException", text);
    expect(await failureOf(call)).toMatchObject({ reason: "AccessDenied", next: "wait", scope: "call", message });
  });

  test("names the known caller even if AWS's message does not", async () => {
    const arn = "arn:aws:sts::123456789012:assumed-role/ferry/keyferry.main";
    server.answer((_, response) => callerXml(response, "123456789012", arn));
    const known = made.identities.get(specAt(server.url, "AKIAOTHER"));
    await known.caller();
    server.answerError("AccessDeniedException", "no");
    const failure = await failureOf(() => ssmOf(known).getParameter("/a", { decrypt: false }));
    expect(failure.message).toBe(
      `${arn} may not ssm:GetParameter on /a in eu-west-1: allow it in the caller's IAM policy`,
    );
  });

  test("of a megabyte is parsed in linear time", async () => {
    server.answerError("AccessDeniedException", `User: ${"arn:aws:iam::".repeat(70_000)}`);
    const start = performance.now();
    await failureOf(getParameters);
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe("an invalid response", () => {
  test.each<[string, (url: import("node:http").ServerResponse) => void, string, RegExp]>([
    [
      "a page of HTML with status 502",
      (r) => r.writeHead(502, { "content-type": "text/html" }).end(`<p>${canary}`),
      "retry",
      /server error/,
    ],
    ["an empty response with status 503", (r) => r.writeHead(503).end(), "retry", /server error/],
    ["status 429", (r) => r.writeHead(429).end(), "retry", /^AWS throttles/],
    [
      "a redirect",
      (r) => r.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
      "retry",
      /redirect, which the operator does not follow/,
    ],
    ["a closed connection", (r) => void r.socket?.destroy(), "retry", /cut the connection/],
    ["invalid JSON", (r) => r.writeHead(200).end(`{"a": ${canary}`), "retry", /could not be understood/],
    ["a response of three megabytes", (r) => r.writeHead(200).end(`"${canary.repeat(280_000)}"`), "retry", /too long/],
  ])("%s is Unreachable or Throttled, and retried", async (_, script, next, message) => {
    server.answer((_received, response) => script(response));
    const call = failureOf(getParameter);
    expect(await call).toMatchObject({ next, message: expect.stringMatching(message) });
  });

  test("a call to a server that never answers times out", async () => {
    server.answer(() => {});
    const { identities } = rig({ callTimeoutMs: 200 });
    const call = () => ssmOf(identities.get(specAt(server.url))).getParameter("/a", { decrypt: false });
    expect(await failureOf(call)).toMatchObject({ code: "TimeoutError", reason: "Unreachable", next: "retry" });
    identities.close();
  });

  test("a call times out by the operator's clock while the response still arrives", async () => {
    const slow = rig({ callTimeoutMs: 60_000 });
    server.answer((_, response) => drip(response));
    const call = failureOf(() => ssmOf(slow.identities.get(specAt(server.url))).getParameter("/a", { decrypt: false }));
    await slow.clock.advance(60_000);
    expect(await call).toMatchObject({ code: "TimeoutError" });
    slow.identities.close();
  });

  test("a call that its caller aborts fails as aborted, and is not counted as a success", async () => {
    server.answer(() => {});
    const stop = new AbortController();
    const call = failureOf(() => ssmOf(identity).getParameter("/a", { decrypt: false, signal: stop.signal }));
    stop.abort();
    expect(await call).toMatchObject({ code: "AbortError", next: "retry" });
    expect(await failureOf(() => identity.caller(stop.signal))).toMatchObject({ code: "AbortError" });
  });

  test("a closed port is Unreachable, with a message that says what to check", async () => {
    const gone = await AwsServer.start();
    await gone.close();
    const call = () => ssmOf(made.identities.get(specAt(gone.url))).getParameter("/a", { decrypt: false });
    expect(await failureOf(call)).toMatchObject({
      code: "NetworkError",
      message: expect.stringMatching(/refused the connection: check/),
    });
  });

  test("a host without an address is Unreachable, with a message that says what to check", async () => {
    const nowhere = rig({
      lookup: (_host, _options, callback) => callback(Object.assign(new Error(canary), { code: "ENOTFOUND" }), "", 0),
    });
    const call = () => nowhere.identities.get(specAt("https://kms.example.test")).caller();
    expect(await failureOf(call)).toMatchObject({
      code: "NetworkError",
      message: expect.stringMatching(/has no address: check/),
    });
  });
});

test("a failure's message does not change between attempts", async () => {
  let turn = 0;
  server.answer((_, response) => {
    turn += 1;
    response.setHeader("x-amzn-requestid", `id-${turn}`);
    response.writeHead(400, { "content-type": "application/x-amz-json-1.1" });
    response.end(JSON.stringify({ __type: "AccessDeniedException", message: kmsDenial.replace(canary, `id-${turn}`) }));
  });
  const first = await failureOf(getParameters);
  expect((await failureOf(getParameters)).message).toBe(first.message);
});

test("counts calls by result, throttles separately, and batch sizes by names", async () => {
  const counted = rig();
  const who = counted.identities.get(specAt(server.url));
  const codes = ["ThrottlingException", "AccessDeniedException", "ParameterNotFound", "InternalServerError"];
  for (const code of codes) {
    server.answerError(code, canary);
    await failureOf(() => ssmOf(who).getParameter("/a", { decrypt: false }));
  }
  server.answerJson({ Parameters: [], InvalidParameters: ["/a"] });
  await ssmOf(who).getParameters(["/a", "/b", "/c"], { decrypt: false });
  server.answerJson({ Plaintext: "eA==", KeyId: key });
  await kmsOf(who).decrypt({ ciphertext: Buffer.from("x") });
  const requests = (labels: Record<string, string>) => seriesOf(counted.metrics, "keyferry_aws_requests_total", labels);
  const operation = "GetParameter";
  for (const result of ["throttled", "denied", "notFound", "error"]) {
    expect([result, await requests({ service: "ssm", operation, result })]).toEqual([result, 1]);
  }
  expect(await requests({ operation: "GetParameters", result: "ok" })).toBe(1);
  expect(await seriesOf(counted.metrics, "keyferry_aws_throttles_total", { service: "ssm", operation })).toBe(1);
  expect(await seriesOf(counted.metrics, "keyferry_aws_parameters_per_call", { le: "3" })).toBe(1);
  expect(await seriesOf(counted.metrics, "keyferry_aws_parameters_per_call", { le: "2" })).toBe(0);
  expect(await seriesOf(counted.metrics, "keyferry_kms_decrypts_total", { result: "ok" })).toBe(1);
  counted.identities.close();
});

/** Sends a byte every so often, so that the connection is never idle. */
function drip(response: import("node:http").ServerResponse): void {
  response.writeHead(200, { "content-type": "application/x-amz-json-1.1" });
  response.write("{");
  const timer = setInterval(() => response.write(" "), 20);
  response.once("close", () => clearInterval(timer));
}
