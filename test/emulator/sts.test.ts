import { STS } from "@aws-sdk/client-sts";
import { afterAll, beforeEach, expect, test } from "vitest";
import { FakeClock } from "../support/clock.ts";
import { startEmulator } from "./emulator.ts";
import { type Claims, tokenWith } from "./web-identity.ts";

const clock = new FakeClock(Date.now());
const emulator = await startEmulator({ reads: "memory", quota: "none", clock });
afterAll(() => emulator.stop());

const user = "arn:aws:iam::123456789012:user/AKIAKEYFERRYTEST";
const hub = "arn:aws:iam::222222222222:role/hub";
const tenant = "arn:aws:iam::333333333333:role/tenants/shop";

beforeEach(() => {
  emulator.allowAll();
  emulator.role(hub, {});
  emulator.role(tenant, {});
});

const as = (accessKeyId?: string) => new STS(emulator.config(accessKeyId ? { accessKeyId } : {}));
const assume = (RoleArn: string, more: object = {}, accessKeyId?: string) =>
  as(accessKeyId).assumeRole({ RoleArn, RoleSessionName: "keyferry", ...more });
const denied = (action: string, who = user, role = hub) => ({
  name: "AccessDenied",
  $metadata: expect.objectContaining({ httpStatusCode: 403 }),
  message: `User: ${who} is not authorized to perform: ${action} on resource: ${role}`,
});

test("a session belongs to the account of its role, and its ARN omits the role's path", async () => {
  const { Credentials, AssumedRoleUser } = await assume(tenant);
  const arn = "arn:aws:sts::333333333333:assumed-role/shop/keyferry";
  expect(AssumedRoleUser?.Arn).toBe(arn);
  const caller = await as(Credentials!.AccessKeyId).getCallerIdentity({});
  expect(caller).toMatchObject({ Account: "333333333333", Arn: arn });
  expect(Credentials!.Expiration!.getTime()).toBe(clock.now() + 3_600_000);
});

test("denies a caller that the trust policy does not name, with the same error as for a missing role", async () => {
  emulator.role(hub, { trusts: ["arn:aws:iam::999999999999:*"] });
  await expect(assume(hub)).rejects.toMatchObject(denied("sts:AssumeRole"));
  emulator.role(hub, { trusts: [] });
  await expect(assume(hub)).rejects.toMatchObject(denied("sts:AssumeRole"));
  emulator.role(hub, { trusts: [user] });
  await expect(assume(hub)).resolves.toBeDefined();
});

test("denies a wrong and a missing external id with the same error as missing trust", async () => {
  emulator.role(hub, { externalId: "ours" });
  await expect(assume(hub)).rejects.toMatchObject(denied("sts:AssumeRole"));
  await expect(assume(hub, { ExternalId: "theirs" })).rejects.toMatchObject(denied("sts:AssumeRole"));
  await expect(assume(hub, { ExternalId: "ours" })).resolves.toBeDefined();
});

test("requires separate permissions for tags and a source identity in the trust policy", async () => {
  emulator.role(hub, { tagSession: false, setSourceIdentity: false });
  const tags = { Tags: [{ Key: "ns", Value: "shop" }] };
  await expect(assume(hub, tags)).rejects.toMatchObject(denied("sts:TagSession"));
  await expect(assume(hub, { SourceIdentity: "shop" })).rejects.toMatchObject(denied("sts:SetSourceIdentity"));
  emulator.role(hub, {});
  await assume(hub, { ...tags, SourceIdentity: "shop" });
  expect(emulator.sessions().at(-1)).toMatchObject({
    by: user,
    name: "keyferry",
    tags: { ns: "shop" },
    sourceIdentity: "shop",
  });
});

test("passes a source identity to the next session, and refuses to change it", async () => {
  const first = await assume(hub, { SourceIdentity: "shop" });
  const keys = first.Credentials!.AccessKeyId;
  const who = "arn:aws:sts::222222222222:assumed-role/hub/keyferry";
  expect((await assume(tenant, {}, keys)).SourceIdentity).toBe("shop");
  await expect(assume(tenant, { SourceIdentity: "stock" }, keys)).rejects.toMatchObject(
    denied("sts:SetSourceIdentity", who, tenant),
  );
});

test("limits a session to the role's maximum duration, and to an hour with role chaining", async () => {
  await expect(assume(hub, { DurationSeconds: 3_601 })).rejects.toMatchObject({
    name: "ValidationError",
    message: "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
  });
  emulator.role(hub, { maxSessionDuration: 7_200 });
  const { Credentials } = await assume(hub, { DurationSeconds: 7_200 });
  emulator.role(tenant, { maxSessionDuration: 7_200 });
  await expect(assume(tenant, { DurationSeconds: 3_601 }, Credentials!.AccessKeyId)).rejects.toMatchObject({
    message: "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
  });
  for (const DurationSeconds of [899, 43_201]) {
    await expect(assume(hub, { DurationSeconds })).rejects.toMatchObject({ name: "ValidationError" });
  }
});

test("rejects the credentials of an expired session", async () => {
  const { Credentials } = await assume(hub, { DurationSeconds: 900 });
  const sts = as(Credentials!.AccessKeyId);
  await clock.advance(899_000);
  await expect(sts.getCallerIdentity({})).resolves.toBeDefined();
  await clock.advance(1_000);
  await expect(sts.getCallerIdentity({})).rejects.toMatchObject({ name: "ExpiredToken" });
});

test("denies a caller without permission to assume the role", async () => {
  emulator.deny({ action: "sts:AssumeRole" });
  await expect(assume(hub)).rejects.toThrow("because no identity-based policy allows the sts:AssumeRole action");
});

test.each([
  ["an invalid ARN", { RoleArn: "arn:aws:iam::1:role/x" }],
  ["an invalid session name", { RoleSessionName: "a b" }],
])("rejects %s", async (_, input) => {
  await expect(assume(hub, input)).rejects.toMatchObject({ name: "ValidationError" });
});

const tokenOf = (claims: Partial<Claims>) => tokenWith(claims, clock.now());
const exchange = (WebIdentityToken: string) =>
  as().assumeRoleWithWebIdentity({ RoleArn: tenant, RoleSessionName: "keyferry", WebIdentityToken });

test("exchanges a token for a session of the role, and checks audience, issuer, expiry and subject", async () => {
  const { AssumedRoleUser, Credentials } = await exchange(tokenOf({}));
  expect(AssumedRoleUser?.Arn).toBe("arn:aws:sts::333333333333:assumed-role/shop/keyferry");
  expect(await as(Credentials!.AccessKeyId).getCallerIdentity({})).toMatchObject({ Account: "333333333333" });
  expect(emulator.sessions().at(-1)).toMatchObject({ by: "system:serviceaccount:shop:app", roleArn: tenant });
  const wrongAudience = { name: "InvalidIdentityTokenException", message: "Incorrect token audience" };
  await expect(exchange(tokenOf({ aud: ["kubernetes"] }))).rejects.toMatchObject(wrongAudience);
  await expect(exchange("no-token")).rejects.toMatchObject({ name: "InvalidIdentityTokenException" });
  await expect(exchange(tokenOf({ exp: 1 }))).rejects.toMatchObject({ name: "ExpiredTokenException" });
  emulator.role(tenant, { webIdentity: { subjects: ["system:serviceaccount:shop:other"] } });
  await expect(exchange(tokenOf({}))).rejects.toMatchObject({ name: "AccessDenied" });
  emulator.role(tenant, { webIdentity: { hasProvider: false } });
  await expect(exchange(tokenOf({}))).rejects.toThrow("No OpenIDConnect provider found in your account");
});

test("hands transitive tags down, which need sts:TagSession and cannot be set again", async () => {
  const Tags = [
    { Key: "team", Value: "a" },
    { Key: "stage", Value: "b" },
  ];
  await expect(assume(hub, { Tags, TransitiveTagKeys: ["other"] })).rejects.toMatchObject({ name: "ValidationError" });
  const { Credentials } = await assume(hub, { Tags, TransitiveTagKeys: ["team"] });
  await assume(tenant, {}, Credentials!.AccessKeyId);
  expect(emulator.sessions().at(-1)).toMatchObject({ roleArn: tenant, tags: { team: "a" } });
  const again = { Tags: [{ Key: "Team", Value: "c" }] };
  await expect(assume(tenant, again, Credentials!.AccessKeyId)).rejects.toMatchObject({ name: "ValidationError" });
  emulator.role(tenant, { tagSession: false });
  await expect(assume(tenant, {}, Credentials!.AccessKeyId)).rejects.toMatchObject({
    message: expect.stringContaining("sts:TagSession"),
  });
});
