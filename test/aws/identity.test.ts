import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { IdentitySpec } from "../../src/aws/identity-spec.ts";
import { Sealed } from "../../src/runtime/sealed.ts";
import { ssmOf } from "../support/permits.ts";
import { until } from "../support/scripted-server.ts";
import { AwsServer, callerXml, json, rig, specAt } from "./aws-server.ts";

const arn = "arn:aws:iam::123456789012:user/ferry";

let server: AwsServer;

beforeEach(async () => {
  server = await AwsServer.start();
  server.answer((received, response) => {
    if (received.target === "GetCallerIdentity") return callerXml(response, "123456789012", arn);
    json(response, 200, { Parameters: [], InvalidParameters: ["/a"] });
  });
});

afterEach(() => server.close());

const look = (identity: { ssm: import("../../src/aws/ssm.ts").SsmPort }) =>
  ssmOf(identity).getParameters(["/a"], { decrypt: false });

describe("a key", () => {
  const base: IdentitySpec = {
    region: "eu-west-1",
    credentials: { kind: "static", accessKeyId: "AKIA1", secretAccessKey: Sealed.text("s3cret") },
  };
  const keyOf = (spec: IdentitySpec) => rig().identities.get(spec).key;
  const withCredentials = (part: object): IdentitySpec => ({
    ...base,
    credentials: { ...base.credentials, ...part } as IdentitySpec["credentials"],
  });

  test("is the same for equal specs, whatever the order of fields and the process", () => {
    const copy: IdentitySpec = {
      credentials: { secretAccessKey: Sealed.text("s3cret"), accessKeyId: "AKIA1", kind: "static" },
      region: "eu-west-1",
      useFIPS: false,
    };
    expect(keyOf(copy)).toBe(keyOf(base));
    expect(keyOf(base)).toMatch(/^[0-9a-f]{32}$/);
  });

  test.each<[string, IdentitySpec]>([
    ["region", { ...base, region: "eu-west-2" }],
    ["access key", withCredentials({ accessKeyId: "AKIA2" })],
    ["secret", withCredentials({ secretAccessKey: Sealed.text("other") })],
    ["session token", withCredentials({ sessionToken: Sealed.text("t") })],
    ["kind of credentials", { ...base, credentials: { kind: "default" } }],
    ["endpoint", { ...base, endpoints: { ssm: "https://vpce.example" } }],
    ["endpoint's service", { ...base, endpoints: { kms: "https://vpce.example" } }],
    ["endpoint of its queue", { ...base, endpoints: { sqs: "https://vpce.example" } }],
    ["use of FIPS", { ...base, useFIPS: true }],
    ["use of dual stack", { ...base, useDualStack: true }],
  ])("differs by its %s", (_, spec) => {
    expect(keyOf(spec)).not.toBe(keyOf(base));
  });
});

describe("the clients", () => {
  test("are shared by equal specs", () => {
    const { identities } = rig();
    expect(identities.get(specAt(server.url))).toBe(identities.get(specAt(server.url)));
    expect(identities.size).toBe(1);
  });

  test("keep their connection between calls, and send the user agent", async () => {
    const { identities } = rig();
    const identity = identities.get(specAt(server.url));
    await look(identity);
    await look(identity);
    expect(server.sockets.size).toBe(1);
    const { headers } = server.received[0]!;
    expect(headers["user-agent"]).toMatch(/(^| )keyferry\/1\.2\.3( |$)/);
    expect(headers.authorization).toContain("AKIAKEYFERRYTEST/");
    expect(headers.authorization).toContain("/eu-west-1/ssm/");
    identities.close();
  });

  test("do not retry", async () => {
    const { identities } = rig();
    server.answerError("InternalServerError", "x", 500);
    await expect(look(identities.get(specAt(server.url)))).rejects.toMatchObject({ next: "retry" });
    expect(server.received).toHaveLength(1);
    identities.close();
  });

  test("close their sockets when idle, and are recreated on the next call", async () => {
    const { identities, clock } = rig({ idleMs: 60_000 });
    const identity = identities.get(specAt(server.url));
    await look(identity);
    await clock.advance(59_000);
    await look(identity);
    await clock.advance(59_000);
    expect(server.sockets.size).toBe(1);
    await clock.advance(1_000);
    expect(identities.size).toBe(0);
    await until(() => server.sockets.size === 0, "the end of the sockets");
    await look(identity);
    expect(identities.size).toBe(1);
    expect(identities.get(specAt(server.url))).toBe(identity);
    identities.close();
  });

  test("are evicted least recently used first above the maximum", async () => {
    const { identities } = rig({ maxIdentities: 2 });
    const [a, b] = [specAt(server.url, "AKIAA"), specAt(server.url, "AKIAB")].map((spec) => identities.get(spec));
    await look(b!);
    await look(a!);
    expect(server.sockets.size).toBe(2);
    await look(identities.get(specAt(server.url, "AKIAC")));
    expect(identities.size).toBe(2);
    await until(() => server.sockets.size === 2, "the end of one's sockets");
    const before = server.received.length;
    await look(b!);
    expect(server.received.length).toBe(before + 1);
    expect(identities.size).toBe(2);
    identities.close();
  });

  test("finish their call in flight when evicted", async () => {
    const { identities } = rig({ maxIdentities: 1 });
    let release = () => {};
    server.answer((_, response) => {
      release = () => json(response, 200, { Parameters: [] });
    });
    const call = look(identities.get(specAt(server.url, "AKIAA")));
    await until(() => server.received.length === 1, "the call");
    identities.get(specAt(server.url, "AKIAB"));
    expect(identities.size).toBe(1);
    release();
    expect(await call).toMatchObject({ found: [] });
    await until(() => server.sockets.size === 0, "the end of the sockets");
    identities.close();
  });

  test("stay open past the idle timeout during a call", async () => {
    const { identities, clock } = rig({ idleMs: 1_000, callTimeoutMs: 60_000 });
    let release = () => {};
    server.answer((_, response) => {
      release = () => json(response, 200, { Parameters: [] });
    });
    const call = look(identities.get(specAt(server.url)));
    await until(() => server.received.length === 1, "the call");
    await clock.advance(1_500);
    release();
    expect(await call).toMatchObject({ found: [] });
    identities.close();
  });

  test("are destroyed at shutdown with their calls in flight; later calls fail", async () => {
    const { identities, clock } = rig();
    server.answer(() => {});
    const identity = identities.get(specAt(server.url));
    const call = look(identity);
    await until(() => server.received.length === 1, "the call");
    identities.close();
    await expect(call).rejects.toMatchObject({ name: "AwsFailure", next: "retry" });
    await expect(look(identity)).rejects.toMatchObject({ code: "AbortError" });
    await until(() => server.sockets.size === 0, "the end of the sockets");
    expect(clock.pending).toBe(0);
  });
});

describe("the caller", () => {
  test("is requested once by concurrent callers", async () => {
    const { identities } = rig();
    const identity = identities.get(specAt(server.url));
    const both = await Promise.all([identity.caller(), identity.caller()]);
    expect(both).toEqual([
      { account: "123456789012", arn },
      { account: "123456789012", arn },
    ]);
    await identity.caller();
    expect(server.received.map((one) => one.target)).toEqual(["GetCallerIdentity"]);
    identities.close();
  });

  test("is requested again after a failure", async () => {
    const { identities } = rig();
    const identity = identities.get(specAt(server.url));
    server.answer((_, response) => response.writeHead(503).end());
    await expect(identity.caller()).rejects.toMatchObject({ reason: "Unreachable" });
    server.answer((_, response) => callerXml(response, "123456789012", arn));
    expect(await identity.caller()).toEqual({ account: "123456789012", arn });
    identities.close();
  });

  test.each([
    ["an invalid account", "12345", arn],
    ["an invalid ARN", "123456789012", "who knows"],
  ])("with %s is a failure", async (_, account, who) => {
    const { identities } = rig();
    server.answer((_received, response) => callerXml(response, account, who));
    const call = identities.get(specAt(server.url)).caller();
    await expect(call).rejects.toMatchObject({ code: "InvalidAnswer", next: "retry" });
    identities.close();
  });

  test("is awaited no longer than each caller's timeout, and the response is shared", async () => {
    const { identities } = rig();
    let release = () => {};
    server.answer((_, response) => {
      release = () => callerXml(response, "123456789012", arn);
    });
    const identity = identities.get(specAt(server.url));
    const stop = new AbortController();
    const first = identity.caller(stop.signal);
    const second = identity.caller();
    await until(() => server.received.length === 1, "the call");
    stop.abort();
    await expect(first).rejects.toMatchObject({ code: "AbortError" });
    release();
    expect(await second).toEqual({ account: "123456789012", arn });
    identities.close();
  });
});

describe("the operator's own credentials", () => {
  const names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"] as const;
  const isolation = {
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  };
  let before: NodeJS.ProcessEnv;
  beforeEach(() => {
    before = { ...process.env };
    for (const name of names) delete process.env[name];
    Object.assign(process.env, isolation, { AWS_ENDPOINT_URL: "http://127.0.0.1:1" });
  });
  afterEach(() => {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  });

  const own = (url: string, region: string): IdentitySpec => ({
    ...specAt(url),
    region,
    credentials: { kind: "default" },
  });

  test("are awaited while missing, then shared by all regions, whatever endpoints the environment sets", async () => {
    const { identities } = rig();
    await expect(identities.get(own(server.url, "eu-west-1")).caller()).rejects.toMatchObject({
      reason: "ConnectionNotReady",
      next: "retry",
      scope: "credentials",
      message: expect.stringMatching(/^the operator has no AWS credentials of its own: give its ServiceAccount a role/),
    });
    process.env.AWS_ACCESS_KEY_ID = "AKIAOPERATOR";
    process.env.AWS_SECRET_ACCESS_KEY = "s3cret";
    for (const region of ["eu-west-1", "eu-central-1"]) {
      expect((await identities.get(own(server.url, region)).caller()).arn).toBe(arn);
      // The chain remembers: what the environment says now is not looked at again.
      process.env.AWS_ACCESS_KEY_ID = "AKIAOTHER";
    }
    const signed = server.received.map(({ headers }) => String(headers.authorization));
    expect(signed[0]).toMatch(/AKIAOPERATOR\/[0-9]+\/eu-west-1\/sts/);
    expect(signed[1]).toMatch(/AKIAOPERATOR\/[0-9]+\/eu-central-1\/sts/);
    identities.close();
  });
});
