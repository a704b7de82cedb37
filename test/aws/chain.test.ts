import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { AwsServer, json, rig, specAt } from "./aws-server.ts";

const canary = "c4n4ry";

let server: AwsServer;
let folder: string;
let before: NodeJS.ProcessEnv;
let count = 0;

beforeAll(async () => {
  server = await AwsServer.start();
  folder = await mkdtemp(join(tmpdir(), "chain-"));
});

afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

beforeEach(() => {
  before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
});

afterEach(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
});

/** What a call by the operator's own credentials fails of. @param config of a file that no other case has */
async function failureWith(config: string, environment: Record<string, string>) {
  count += 1;
  const file = join(folder, `config-${count}`);
  await writeFile(file, config);
  Object.assign(process.env, {
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: file,
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    ...environment,
  });
  const { identities, log } = rig();
  const identity = identities.get({ ...specAt(server.url), credentials: { kind: "default" } });
  const failure: Error = await identity.caller().then(
    () => new Error("it was answered"),
    (error: Error) => error,
  );
  identities.close();
  expect(failure.message + log.lines.join()).not.toContain(canary);
  return failure;
}

const own = { AWS_PROFILE: "own" };
const sso = "sso_account_id = 123456789012\nsso_role_name = ferry\nsso_region = eu-west-1\n";

test.each<[string, string, Record<string, string>, string, RegExp]>([
  ["an empty configuration", "", {}, "None", /has no AWS credentials of its own/],
  ["a missing profile", "[profile other]\n", own, "ProfileNotFound", /AWS_PROFILE of the operator/],
  [
    "a missing source_profile",
    `[profile own]\nrole_arn = arn:aws:iam::123456789012:role/a\nsource_profile = ${canary}\n`,
    own,
    "SourceProfile",
    /source_profile .* is not there/,
  ],
  [
    "a credential_process that fails",
    `[profile own]\ncredential_process = sh -c "echo ${canary} >&2; exit 3"\n`,
    own,
    "CredentialProcess",
    /credential_process .* fails/,
  ],
  [
    "a credential_process with invalid output",
    `[profile own]\ncredential_process = echo ${canary}\n`,
    own,
    "CredentialProcess",
    /prints no valid credentials/,
  ],
  [
    "a missing SSO session",
    `[profile own]\n${sso}sso_start_url = https://${canary}.example.test/start\n`,
    own,
    "SsoExpired",
    /SSO session .* has expired or is not there/,
  ],
  ["incomplete SSO settings", `[profile own]\n${sso}`, own, "SsoProfile", /SSO settings/],
  [
    "a profile that requires MFA",
    `[profile own]\nrole_arn = arn:aws:iam::123456789012:role/a\nsource_profile = keys\nmfa_serial = ${canary}\n[profile keys]\naws_access_key_id = a\naws_secret_access_key = ${canary}\n`,
    own,
    "ProfileMfa",
    /asks for MFA/,
  ],
  [
    "a missing token file",
    "",
    { AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/ferry", AWS_WEB_IDENTITY_TOKEN_FILE: `/nowhere/${canary}` },
    "TokenFile",
    /AWS_WEB_IDENTITY_TOKEN_FILE, the operator's token for arn:aws:iam::123456789012:role\/ferry, cannot be read/,
  ],
  [
    "an unreachable agent",
    "",
    { AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:1/${canary}` },
    "AgentUnreachable",
    /Pod Identity Agent runs on its node/,
  ],
])("names %s as the cause of missing credentials", async (_, config, environment, trouble, says) => {
  const failure = await failureWith(config, environment);
  expect(failure).toMatchObject({ name: "AwsFailure", scope: "credentials", code: `Chain.${trouble}`, next: "retry" });
  expect(failure).toMatchObject({ reason: "ConnectionNotReady", message: expect.stringMatching(says) });
});

test("distinguishes a refusal by the agent from an unreachable agent", async () => {
  server.answer((_, response) => json(response, 403, { Code: "AccessDeniedException", Message: canary }));
  const failure = await failureWith("", { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${server.url}/v1/credentials` });
  expect(failure).toMatchObject({ code: "Chain.AgentRefused", message: expect.stringContaining("association") });
});
