import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { AwsServer, callerXml } from "./aws-server.ts";

/** An endpoint that gives credentials to a process: instance metadata, or the agent of EKS Pod Identity. */
interface Giver {
  url: string;
  requests: { method: string; path: string; headers: IncomingMessage["headers"] }[];
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  close(): void;
}

async function startGiver(): Promise<Giver> {
  const server = createServer((request, response) => {
    giver.requests.push({ method: request.method!, path: request.url!, headers: request.headers });
    giver.answer(request, response);
  });
  server.on("connect", (request, socket) => {
    giver.requests.push({ method: "CONNECT", path: request.url!, headers: request.headers });
    socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const giver: Giver = {
    url: `http://127.0.0.1:${port}`,
    requests: [],
    answer: (_, response) => void response.writeHead(404).end(),
    close: () => server.close(),
  };
  return giver;
}

const expiration = () => new Date(Date.now() + 3_600_000).toISOString();
const given = (accessKeyId: string) => ({
  ...{ AccessKeyId: accessKeyId, SecretAccessKey: "secret", Token: "token", Expiration: expiration() },
  ...{ Code: "Success", LastUpdated: new Date().toISOString(), Type: "AWS-HMAC", AccountId: "123456789012" },
});

let sts: AwsServer;
let giver: Giver;
let folder: string;
let before: NodeJS.ProcessEnv;

beforeAll(async () => {
  [sts, giver, folder] = await Promise.all([AwsServer.start(), startGiver(), mkdtemp(join(tmpdir(), "own-"))]);
});
afterAll(async () => {
  giver.close();
  await sts.close();
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
  giver.requests.length = 0;
  sts.received.length = 0;
  // The chain caches what it has found for the process.
  vi.resetModules();
});
afterEach(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
});

/** The access key that signs a call of the operator's own identity. */
async function signedBy(environment: Record<string, string>): Promise<string | undefined> {
  const nowhere = { AWS_CONFIG_FILE: "/dev/null", AWS_SHARED_CREDENTIALS_FILE: "/dev/null" };
  Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: "true", ...nowhere, ...environment });
  sts.answer(({ target }, response) => {
    if (target === "GetCallerIdentity") {
      return callerXml(response, "123456789012", "arn:aws:sts::123456789012:assumed-role/keyferry/x");
    }
    const keys = `<AccessKeyId>ASIAIRSA</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>${expiration()}</Expiration>`;
    const result = `<${target}Result><Credentials>${keys}</Credentials><AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/keyferry/x</Arn></AssumedRoleUser></${target}Result>`;
    response.writeHead(200, { "content-type": "text/xml" });
    response.end(`<${target}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${result}</${target}Response>`);
  });
  const { rig, specAt } = await import("./aws-server.ts");
  const { identities } = rig();
  const identity = identities.get({ ...specAt(sts.url), credentials: { kind: "default" } });
  expect(await identity.caller()).toMatchObject({ account: "123456789012" });
  identities.close();
  const call = sts.received.find(({ target }) => target === "GetCallerIdentity");
  return /Credential=([A-Z0-9]+)\//.exec(String(call?.headers.authorization))?.[1];
}

it("takes keys of the environment", async () => {
  expect(await signedBy({ AWS_ACCESS_KEY_ID: "AKIAENVIRONMENT", AWS_SECRET_ACCESS_KEY: "x" })).toBe("AKIAENVIRONMENT");
});

it("takes the keys of the profile that AWS_PROFILE names", async () => {
  const file = join(folder, "credentials");
  await writeFile(file, "[other]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = x\n");
  expect(await signedBy({ AWS_PROFILE: "other", AWS_SHARED_CREDENTIALS_FILE: file })).toBe("AKIAPROFILE");
});

it("assumes the role of a profile by its source profile", async () => {
  const file = join(folder, "config");
  const role = "[profile ferry]\nrole_arn = arn:aws:iam::123456789012:role/ferry\nsource_profile = keys\n";
  await writeFile(file, `${role}[profile keys]\naws_access_key_id = AKIASOURCE\naws_secret_access_key = x\n`);
  expect(await signedBy({ AWS_PROFILE: "ferry", AWS_CONFIG_FILE: file, AWS_ENDPOINT_URL_STS: sts.url })).toBe(
    "ASIAIRSA",
  );
  expect(sts.received[0]).toMatchObject({ target: "AssumeRole" });
  expect(sts.received[0]!.headers.authorization).toContain("Credential=AKIASOURCE/");
});

it("exchanges the token of IAM roles for service accounts (IRSA)", async () => {
  const file = join(folder, "web-identity-token");
  await writeFile(file, "the-pods-token");
  const signer = await signedBy({
    AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/keyferry",
    AWS_WEB_IDENTITY_TOKEN_FILE: file,
    AWS_ENDPOINT_URL_STS: sts.url,
  });
  expect(signer).toBe("ASIAIRSA");
  expect(new URLSearchParams(sts.received[0]!.body).get("WebIdentityToken")).toBe("the-pods-token");
});

it.each([
  ["us-east-1", "sts.us-east-1.amazonaws.com:443"],
  ["cn-north-1", "sts.cn-north-1.amazonaws.com.cn:443"],
  ["us-gov-west-1", "sts.us-gov-west-1.amazonaws.com:443"],
])("exchanges it at the endpoint of the connection's region: %s", async (region, host) => {
  const file = join(folder, "web-identity-token");
  await writeFile(file, "the-pods-token");
  const role = { AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/keyferry", AWS_WEB_IDENTITY_TOKEN_FILE: file };
  Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: "true", AWS_CONFIG_FILE: "/dev/null", ...role });
  const { rig } = await import("./aws-server.ts");
  const { Proxies } = await import("../../src/runtime/proxies.ts");
  // The proxy sees which host is asked for.
  const { identities } = rig({ proxies: new Proxies({ HTTPS_PROXY: giver.url }) });
  await expect(identities.get({ region, credentials: { kind: "default" } }).caller()).rejects.toThrow();
  identities.close();
  expect(giver.requests.map(({ method, path }) => `${method} ${path}`)).toContain(`CONNECT ${host}`);
});

it("asks the agent of EKS Pod Identity with the token of its file", async () => {
  const file = join(folder, "eks-pod-identity-token");
  await writeFile(file, "the-pods-token");
  giver.answer = (_, response) => void response.end(JSON.stringify(given("ASIAPODIDENTITY")));
  const signer = await signedBy({
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `${giver.url}/v1/credentials`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file,
  });
  expect(signer).toBe("ASIAPODIDENTITY");
  expect(giver.requests).toEqual([
    expect.objectContaining({
      path: "/v1/credentials",
      headers: expect.objectContaining({ authorization: "the-pods-token" }),
    }),
  ]);
});

it("asks the instance's metadata for its role by IMDSv2", async () => {
  giver.answer = ({ method, url, headers }, response) => {
    if (method === "PUT" && url === "/latest/api/token") return void response.end("a-session-token");
    if (headers["x-aws-ec2-metadata-token"] !== "a-session-token") return void response.writeHead(401).end();
    const role = "/latest/meta-data/iam/security-credentials/";
    if (url === role) return void response.end("node-role");
    if (url === `${role}node-role`) return void response.end(JSON.stringify(given("ASIAINSTANCE")));
    response.writeHead(404).end();
  };
  const signer = await signedBy({
    AWS_EC2_METADATA_DISABLED: "false",
    AWS_EC2_METADATA_SERVICE_ENDPOINT: giver.url,
  });
  expect(signer).toBe("ASIAINSTANCE");
  expect(giver.requests[0]).toMatchObject({ method: "PUT", path: "/latest/api/token" });
});
