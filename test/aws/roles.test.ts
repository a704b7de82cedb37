import type { ServerResponse } from "node:http";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { AwsFailure } from "../../src/aws/failure.ts";
import type { IdentitySpec, RoleStep } from "../../src/aws/identity-spec.ts";
import { RoleChain } from "../../src/aws/roles.ts";
import { sessionName } from "../../src/aws/session-name.ts";
import { startEmulator } from "../emulator/emulator.ts";
import { settle } from "../support/clock.ts";
import { kmsOf, ssmOf } from "../support/permits.ts";
import { AwsServer, json, rig, specAt } from "./aws-server.ts";

const hub = "arn:aws:iam::222222222222:role/hub";
const tenant = "arn:aws:iam::333333333333:role/tenants/shop";
const user = "arn:aws:iam::123456789012:user/AKIAKEYFERRYTEST";
const hubSession = "arn:aws:sts::222222222222:assumed-role/hub/keyferry.demo";
const secretId = "c4n4ry-external-id";

const emulator = await startEmulator({ reads: "memory", quota: "none" });
afterAll(() => emulator.stop());

let { identities, clock, log } = rig();
beforeEach(() => {
  ({ identities, clock, log } = rig({ clusterName: "demo" }));
  emulator.resetCalls();
});
afterEach(() => {
  identities.close();
  emulator.allowAll();
  emulator.clearFaults();
  for (const role of [hub, tenant]) emulator.role(role, { maxSessionDuration: 43_200 });
});

const spec = (assumeRole: RoleStep[], more: Partial<IdentitySpec> = {}): IdentitySpec => ({
  ...specAt(emulator.url),
  assumeRole,
  ...more,
});
const identityOf = (...steps: RoleStep[]) => identities.get(spec(steps));
const look = (identity: ReturnType<typeof identityOf>) => ssmOf(identity).getParameters(["/a"], { decrypt: false });
const assumed = () => emulator.count({ operation: "AssumeRole" });
const failureOf = (call: Promise<unknown>) =>
  call.then(
    () => expect.fail("it should fail"),
    (error: AwsFailure) => error,
  );

describe("a chain of roles", () => {
  test("is assumed in order, each role by the one before, and the last one calls in its account", async () => {
    const identity = identityOf({ roleArn: hub, externalId: secretId }, { roleArn: tenant });
    await emulator.putParameter({ name: "/a", value: "theirs" }, { account: "333333333333" });
    expect((await look(identity)).found).toMatchObject([{ name: "/a", version: 1 }]);
    expect(emulator.sessions().slice(-2)).toMatchObject([
      { roleArn: hub, by: user, name: "keyferry.demo", externalId: secretId, durationSeconds: 3_600 },
      { roleArn: tenant, by: hubSession, name: "keyferry.demo" },
    ]);
    expect(await identity.caller()).toEqual({
      account: "333333333333",
      arn: "arn:aws:sts::333333333333:assumed-role/shop/keyferry.demo",
    });
    expect(emulator.log().map(({ region }) => region)).toEqual(emulator.log().map(() => "eu-west-1"));
  });

  test("returns the session's principal without another call", async () => {
    const identity = identityOf({ roleArn: hub }, { roleArn: tenant });
    expect(identity.lastCaller).toBeUndefined();
    await look(identity);
    const arn = "arn:aws:sts::333333333333:assumed-role/shop/keyferry.demo";
    expect(identity.lastCaller).toEqual({ account: "333333333333", arn });
    expect(emulator.count({ operation: "GetCallerIdentity" })).toBe(0);
  });

  test("passes tags, source identity and duration to the right role", async () => {
    await look(
      identityOf(
        { roleArn: hub, sessionTags: { team: "core", ns: "shop" }, sourceIdentity: "shop", durationSeconds: 1_800 },
        { roleArn: tenant },
      ),
    );
    expect(emulator.sessions().slice(-2)).toMatchObject([
      { tags: { team: "core", ns: "shop" }, sourceIdentity: "shop", durationSeconds: 1_800 },
      { tags: {}, sourceIdentity: "shop", durationSeconds: 3_600 },
    ]);
  });

  test("is assumed once for concurrent calls of all services", async () => {
    const identity = identityOf({ roleArn: hub }, { roleArn: tenant });
    const blob = { ciphertext: Buffer.from("x") };
    const calls = Array.from({ length: 20 }, () => look(identity));
    await Promise.all([
      ...calls,
      kmsOf(identity)
        .decrypt(blob)
        .catch(() => {}),
      identity.caller(),
    ]);
    await look(identity);
    expect(assumed()).toBe(2);
  });

  test("is renewed five minutes before it ends, while the current session stays in use", async () => {
    const identity = identityOf({ roleArn: hub });
    await look(identity);
    await clock.advance(54 * 60_000);
    await look(identity);
    expect(assumed()).toBe(1);
    await clock.advance(2 * 60_000);
    await Promise.all([look(identity), look(identity)]);
    await expect.poll(assumed).toBe(2);
    const keys = new Set(emulator.log({ service: "ssm" }).map(({ accessKeyId }) => accessKeyId));
    expect(keys.size).toBe(1);
    await settle(20);
    await look(identity);
    expect(emulator.log({ service: "ssm" }).at(-1)!.accessKeyId).not.toBe([...keys][0]);
    expect(assumed()).toBe(2);
  });

  test("is used until it ends during an STS outage, with one attempt every ten seconds", async () => {
    const identity = identityOf({ roleArn: hub });
    await look(identity);
    emulator.fault({ operation: "sts:AssumeRole", kind: "503" });
    await clock.advance(56 * 60_000);
    for (let time = 0; time < 5; time++) {
      await look(identity);
      await settle(20);
    }
    await expect.poll(assumed).toBe(2);
    await clock.advance(10_000);
    await look(identity);
    await expect.poll(assumed).toBe(3);
    await clock.advance(5 * 60_000);
    const failure = await failureOf(look(identity));
    expect(failure).toMatchObject({ reason: "Unreachable", next: "retry", scope: "credentials" });
    expect(failure.message).toContain("auth.assumeRole[0]: AWS STS in eu-west-1");
    emulator.clearFaults();
    await look(identity);
  });

  test("is assumed again by the next call after an expired token", async () => {
    const identity = identityOf({ roleArn: hub });
    await look(identity);
    emulator.expireSessions();
    expect(await failureOf(look(identity))).toMatchObject({ code: "ExpiredTokenException" });
    await look(identity);
    expect(assumed()).toBe(2);
  });

  test("is not assumed again for calls of the expired session once a new session exists", async () => {
    const server = await AwsServer.start();
    const waiting: ((is: "well" | "expired") => void)[] = [];
    server.answer(({ target }, response) => {
      if (target === "AssumeRole") return sessionXml(response);
      waiting.push((is) => {
        if (is === "well") json(response, 200, { Parameters: [], InvalidParameters: ["/a"] });
        else json(response, 400, { __type: "ExpiredTokenException", message: "The security token is expired" });
      });
    });
    const begun = () => server.received.filter(({ target }) => target === "AssumeRole").length;
    const identity = identities.get({ ...specAt(server.url), assumeRole: [{ roleArn: hub }] });
    const first = look(identity);
    await expect.poll(() => waiting.length).toBe(1);
    waiting.shift()!("well");
    await first;
    const old = [failureOf(look(identity)), failureOf(look(identity))];
    await expect.poll(() => waiting.length).toBe(2);
    waiting.shift()!("expired");
    await Promise.race(old);
    const next = look(identity);
    await expect.poll(() => waiting.length).toBe(2);
    expect(begun()).toBe(2);
    waiting.shift()!("expired");
    waiting.shift()!("well");
    await Promise.all([...old, next]);
    const last = look(identity);
    await expect.poll(() => waiting.length).toBe(1);
    waiting.shift()!("well");
    await last;
    expect(begun()).toBe(2);
    await server.close();
  });

  test("keeps its session when its idle clients are destroyed", async () => {
    const identity = identityOf({ roleArn: hub });
    await look(identity);
    await clock.advance(11 * 60_000);
    expect(identities.size).toBe(0);
    await look(identity);
    expect(assumed()).toBe(1);
  });

  test("times out after half of the call timeout, and names STS", async () => {
    emulator.fault({ operation: "AssumeRole", kind: "hang" });
    const failing = failureOf(look(identityOf({ roleArn: hub })));
    await expect.poll(assumed).toBe(1);
    await clock.advance(5_000);
    expect((await failing).message).toContain("auth.assumeRole[0]: AWS STS in eu-west-1 did not answer in time");
  });
});

describe("a key differs by", () => {
  const base = identities.get(spec([{ roleArn: hub }])).key;
  test.each<[string, IdentitySpec]>([
    ["the presence of a role", spec([])],
    ["the role", spec([{ roleArn: tenant }])],
    ["a second role", spec([{ roleArn: hub }, { roleArn: tenant }])],
    ["the external id", spec([{ roleArn: hub, externalId: "x1" }])],
    ["a tag", spec([{ roleArn: hub, sessionTags: { a: "b" } }])],
    ["the source identity", spec([{ roleArn: hub, sourceIdentity: "x1" }])],
    ["the duration", spec([{ roleArn: hub, durationSeconds: 900 }])],
    ["the namespace", spec([{ roleArn: hub }], { namespace: "shop" })],
  ])("%s", (_, other) => {
    expect(identities.get(other).key).not.toBe(base);
  });
});

describe("a role that cannot be assumed:", () => {
  const full = { roleArn: tenant, externalId: secretId, sessionTags: { ns: "shop" }, sourceIdentity: "shop" };
  const rows: [string, () => void, RoleStep[], object, string[]][] = [
    [
      "the trust policy of the first role does not name the caller",
      () => emulator.role(hub, { trusts: [] }),
      [{ roleArn: hub }, { roleArn: tenant }],
      { reason: "AccessDenied", next: "wait" },
      [
        `auth.assumeRole[0]: ${user} may not sts:AssumeRole on ${hub} in eu-west-1`,
        "its trust policy must name that caller with sts:AssumeRole; where it asks for an external id, set externalId",
        "its own IAM policy must allow that on the role",
      ],
    ],
    [
      "the trust policy of the second role does not name the first role",
      () => emulator.role(tenant, { trusts: [user] }),
      [{ roleArn: hub }, full],
      { reason: "AccessDenied" },
      [
        `auth.assumeRole[1]: ${hubSession} may not sts:AssumeRole on ${tenant}`,
        "with sts:AssumeRole, sts:TagSession, sts:SetSourceIdentity; an externalId that is not the one it asks for is denied",
      ],
    ],
    [
      "the external id is wrong",
      () => emulator.role(tenant, { externalId: "another" }),
      [full],
      { reason: "AccessDenied" },
      ["an externalId that is not the one it asks for is denied in the same words"],
    ],
    [
      "tags are not allowed",
      () => emulator.role(tenant, { tagSession: false }),
      [full],
      { reason: "AccessDenied" },
      [`${user} may not sts:TagSession on ${tenant}`],
    ],
    [
      "a source identity is not allowed",
      () => emulator.role(tenant, { setSourceIdentity: false }),
      [full],
      { reason: "AccessDenied" },
      [`${user} may not sts:SetSourceIdentity on ${tenant}`],
    ],
    [
      "the duration exceeds the role's maximum",
      () => emulator.role(hub, { maxSessionDuration: 3_600 }),
      [{ roleArn: hub, durationSeconds: 7_200 }],
      { reason: "InvalidData", next: "wait" },
      ["the role's maximum session duration is shorter"],
    ],
    [
      "the duration exceeds an hour with role chaining",
      () => emulator.role(tenant, { maxSessionDuration: 7_200 }),
      [{ roleArn: hub }, { roleArn: tenant, durationSeconds: 7_200 }],
      { reason: "InvalidData", next: "stalled" },
      ["auth.assumeRole[1]", "AWS allows 1h where a role, as the operator's own identity mostly is, assumes another"],
    ],
    [
      "STS throttles",
      () => emulator.fault({ operation: "AssumeRole", kind: "throttle" }),
      [{ roleArn: hub }],
      { reason: "Throttled", next: "retry" },
      ["auth.assumeRole[0]: AWS throttles sts:AssumeRole"],
    ],
  ];
  test.each(rows)("%s", async (_, prepare, steps, parts, says) => {
    prepare();
    const identity = identities.get(spec(steps));
    const failure = await failureOf(look(identity));
    expect(failure).toMatchObject({ name: "AwsFailure", scope: "credentials", ...parts });
    for (const text of says) expect(failure.message).toContain(text);
    expect(`${failure.message} ${log.lines.join()}`).not.toContain(secretId);
    expect(identity.refusal?.message).toBe(failure.message);
    for (const role of [hub, tenant]) emulator.role(role, { maxSessionDuration: 43_200 });
    emulator.clearFaults();
    if (failure.next === "stalled") return;
    await clock.advance(3_000);
    await look(identity);
    expect(identity.refusal).toBeUndefined();
  });

  test("is tried a few times in total, however many ciphertexts need it", async () => {
    emulator.role(tenant, { trusts: [] });
    const identity = identityOf({ roleArn: hub }, { roleArn: tenant });
    const ciphertext = Buffer.from("x");
    const says = new Set<string>();
    // As the lanes send 500 at 100 a second, 25 at once.
    for (let time = 0; time < 20; time++) {
      const calls = Array.from({ length: 25 }, () => failureOf(kmsOf(identity).decrypt({ ciphertext })));
      for (const { message } of await Promise.all(calls)) says.add(message);
      await clock.advance(250);
    }
    expect([...says]).toEqual([expect.stringContaining("auth.assumeRole[1]")]);
    expect(assumed()).toBeLessThanOrEqual(4);
  });

  test("is tried at once with other credentials, and by an edited connection", async () => {
    emulator.deny({ action: "sts:AssumeRole", principal: user });
    await failureOf(look(identityOf({ roleArn: hub })));
    await look(identities.get({ ...spec([{ roleArn: hub }]), ...specAt(emulator.url, "AKIAOFANOTHER") }));
    emulator.allowAll();
    await look(identityOf({ roleArn: hub, durationSeconds: 900 }));
    expect(assumed()).toBe(3);
  });

  test("is tried at once if its caller's credentials change, such as after a new token exchange", async () => {
    let tries = 0;
    const send = async (): Promise<never> => {
      tries += 1;
      throw new AwsFailure({ reason: "AccessDenied", next: "wait", code: "AccessDenied", message: "denied" });
    };
    const roles = new RoleChain({ steps: [{ roleArn: hub }], sessionName: "s", region: "eu-west-1", clock, send });
    const by = (accessKeyId: string) => roles.credentials(async () => ({ accessKeyId, secretAccessKey: "s" }));
    for (const keys of ["one", "one", "two", "two"]) await failureOf(by(keys));
    expect(tries).toBe(2);
    await clock.advance(2_999);
    await failureOf(by("two"));
    expect(tries).toBe(2);
    await clock.advance(1);
    await failureOf(by("two"));
    expect(tries).toBe(3);
  });

  test.each(["throttle", "503"] as const)("is tried again at once after a %s, which is no denial", async (kind) => {
    emulator.fault({ operation: "AssumeRole", kind, times: 1 });
    const identity = identityOf({ roleArn: hub });
    await failureOf(look(identity));
    await look(identity);
    expect(assumed()).toBe(2);
  });

  test("names the side that AWS names", async () => {
    emulator.deny({ action: "sts:AssumeRole" });
    const { message } = await failureOf(look(identityOf({ roleArn: hub })));
    expect(message).toContain("its own IAM policy must allow that on the role");
    expect(message).not.toContain("trust policy");
  });
});

describe("a session's name", () => {
  test.each([
    ["keyferry", "", undefined],
    ["keyferry.demo", "demo", undefined],
    ["keyferry.demo.shop", "demo", "shop"],
    ["keyferry.shop", "", "shop"],
  ])("is %s", (name, cluster, namespace) => {
    expect(sessionName(cluster, namespace)).toBe(name);
  });

  test("has at most 64 valid characters, and differs for each namespace", () => {
    const long = "n".repeat(62);
    const names = [`${long}a`, `${long}b`].map((namespace) => sessionName("a cluster/of ours", namespace));
    for (const name of names) expect(name).toMatch(/^keyferry\.a-cluster-of-ours\.n+-[0-9a-f]{12}$/);
    expect(names.map(({ length }) => length)).toEqual([64, 64]);
    expect(names[0]).not.toBe(names[1]);
    expect(sessionName("a b")).not.toBe(sessionName("a-b"));
  });
});

/** An answer of sts:AssumeRole. */
function sessionXml(response: ServerResponse): void {
  const keys = "<AccessKeyId>ASIAKEYFERRY</AccessKeyId><SecretAccessKey>s</SecretAccessKey>";
  const session = `<Credentials>${keys}<SessionToken>t</SessionToken></Credentials>`;
  const user = `<AssumedRoleUser><AssumedRoleId>AROA:keyferry.demo</AssumedRoleId><Arn>${hubSession}</Arn></AssumedRoleUser>`;
  response.writeHead(200, { "content-type": "text/xml" });
  response.end(
    `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>${session}${user}</AssumeRoleResult></AssumeRoleResponse>`,
  );
}
