import { KMS } from "@aws-sdk/client-kms";
import { type PutParameterCommandInput, SSM } from "@aws-sdk/client-ssm";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Emulator, startEmulator } from "./emulator.ts";

describe.each(["moto", "memory"] as const)("with the parameters in %s", (reads) => {
  let emulator: Emulator;
  let ssm: SSM;
  let kms: KMS;
  let round = 0;
  /** A path of this test's own. */
  let at: string;

  beforeAll(async () => {
    emulator = await startEmulator({ reads, quota: "none" });
    ssm = new SSM(emulator.config());
    kms = new KMS(emulator.config());
  });
  afterAll(() => emulator.stop());
  beforeEach(() => {
    at = `/t${round++}`;
    emulator.resetCalls();
  });
  afterEach(() => emulator.allowAll());

  const put = (name: string, value = "v", more: Partial<PutParameterCommandInput> = {}) =>
    ssm.putParameter({ Name: `${at}${name}`, Value: value, Type: "String", ...more });
  const secure = (name: string, value = "s3cret", more: Partial<PutParameterCommandInput> = {}) =>
    put(name, value, { Type: "SecureString", ...more });
  const get = (...names: string[]) => ssm.getParameters({ Names: names.map((name) => `${at}${name}`) });
  const failing = (name: string, message: string | RegExp = "") => ({ name, message: expect.stringMatching(message) });
  const names = (answer: { Parameters?: { Name?: string | undefined }[] | undefined }) =>
    answer.Parameters!.map(({ Name }) => Name!.slice(at.length));

  test("GetParameters returns results in alphabetical order, whatever the order of the request", async () => {
    for (const name of ["/b", "/c", "/a"]) await put(name);
    expect(names(await get("/c", "/a", "/b"))).toEqual(["/a", "/b", "/c"]);
  });

  test("GetParameters lists missing and malformed names, versions and labels in InvalidParameters, and does not fail", async () => {
    await put("/a");
    const bad = ["/missing", "/a:9", "/a:nolabel", "/a:1:2", "//a", "/a b", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"];
    const answer = await get("/a", ...bad);
    expect(names(answer)).toEqual(["/a"]);
    expect(answer.InvalidParameters).toEqual(bad.map((name) => `${at}${name}`));
  });

  test("GetParameters rejects more than ten names", async () => {
    await expect(get(..."abcdefghijk".split("").map((name) => `/${name}`))).rejects.toMatchObject(
      failing("ValidationException"),
    );
  });

  test("a version and a label are selectors, and are returned in the response", async () => {
    await put("/a", "one");
    await put("/a", "two", { Overwrite: true });
    await ssm.labelParameterVersion({ Name: `${at}/a`, ParameterVersion: 1, Labels: ["prod"] });
    const { Parameters } = await get("/a", "/a:1", "/a:prod");
    expect(Parameters!.map(({ Name, Selector, Value, Version }) => [Name, Selector, Value, Version])).toEqual([
      [`${at}/a`, undefined, "two", 2],
      [`${at}/a`, ":1", "one", 1],
      [`${at}/a`, ":prod", "one", 1],
    ]);
  });

  test("a label moves from one version to another, and can be removed", async () => {
    await put("/a", "one");
    await put("/a", "two", { Overwrite: true });
    const Labels = ["prod"];
    await ssm.labelParameterVersion({ Name: `${at}/a`, ParameterVersion: 1, Labels });
    await ssm.labelParameterVersion({ Name: `${at}/a`, Labels });
    expect((await get("/a:prod")).Parameters).toMatchObject([{ Value: "two" }]);
    const history = await ssm.getParameterHistory({ Name: `${at}/a` });
    expect(history.Parameters!.map(({ Version, Labels }) => [Version, Labels])).toEqual([
      [1, []],
      [2, ["prod"]],
    ]);
    await ssm.unlabelParameterVersion({ Name: `${at}/a`, ParameterVersion: 2, Labels });
    expect((await get("/a:prod")).InvalidParameters).toEqual([`${at}/a:prod`]);
  });

  test("rejects labels that begin with a digit, aws or ssm, and an eleventh label", async () => {
    await put("/a");
    const label = (...Labels: string[]) => ssm.labelParameterVersion({ Name: `${at}/a`, Labels });
    expect((await label("ok", "1st", "aws-x", "ssm-x", "a b")).InvalidLabels).toEqual(["1st", "aws-x", "ssm-x", "a b"]);
    await label(..."abcdefghi".split(""));
    await expect(label("z")).rejects.toMatchObject(failing("ParameterVersionLabelLimitExceeded"));
  });

  test("GetParameter distinguishes a missing parameter, a missing version and a malformed name", async () => {
    await put("/a");
    const one = (name: string) => ssm.getParameter({ Name: `${at}${name}` });
    await expect(one("/missing")).rejects.toMatchObject(failing("ParameterNotFound"));
    await expect(one("/a:9")).rejects.toMatchObject(failing("ParameterVersionNotFound"));
    await expect(one("/a:nolabel")).rejects.toMatchObject(failing("ParameterVersionNotFound"));
    await expect(one("//a")).rejects.toMatchObject(failing("ValidationException"));
    await expect(one("/a:1")).resolves.toMatchObject({ Parameter: { Value: "v", Selector: ":1" } });
  });

  test("a deleted and recreated parameter restarts at version 1, with a later LastModifiedDate", async () => {
    await put("/a");
    await put("/a", "w", { Overwrite: true });
    const before = (await get("/a")).Parameters![0]!;
    await ssm.deleteParameter({ Name: `${at}/a` });
    await expect(ssm.deleteParameter({ Name: `${at}/a` })).rejects.toMatchObject(failing("ParameterNotFound"));
    expect(await put("/a")).toMatchObject({ Version: 1, Tier: "Standard" });
    const after = (await get("/a")).Parameters![0]!;
    expect([before.Version, after.Version]).toEqual([2, 1]);
    expect(after.LastModifiedDate!.getTime()).toBeGreaterThanOrEqual(before.LastModifiedDate!.getTime());
  });

  test("PutParameter replaces an existing parameter only with Overwrite, and keeps its type", async () => {
    await put("/a");
    await expect(put("/a")).rejects.toMatchObject(failing("ParameterAlreadyExists"));
    const Type = "SecureString";
    await expect(put("/a", "w", { Type, Overwrite: true })).rejects.toMatchObject(
      failing("HierarchyTypeMismatchException"),
    );
    await expect(put("/a", "w", { Type: undefined, Overwrite: true })).resolves.toMatchObject({ Version: 2 });
    await expect(put("/new", "w", { Type: undefined })).rejects.toMatchObject(failing("ValidationException"));
  });

  test("keeps 100 versions, and deletes the oldest unless it has a label", async () => {
    for (let i = 1; i <= 101; i++) await emulator.putParameter({ name: `${at}/a`, value: `${i}` });
    const { InvalidParameters, Parameters } = await get("/a:1", "/a:2", "/a:101");
    expect(InvalidParameters).toEqual([`${at}/a:1`]);
    expect(Parameters).toHaveLength(2);
    await emulator.labelParameterVersion(`${at}/a`, ["keep"], 2);
    await expect(put("/a", "x", { Overwrite: true })).rejects.toMatchObject(
      failing("ParameterMaxVersionLimitExceeded"),
    );
    const page = await ssm.getParameterHistory({ Name: `${at}/a` });
    expect(page.Parameters).toHaveLength(50);
    const next = await ssm.getParameterHistory({ Name: `${at}/a`, NextToken: page.NextToken });
    expect(next.Parameters!.at(-1)!.Version).toBe(101);
    expect(next.NextToken).toBeUndefined();
  });

  test.each([
    ["two consecutive slashes", "//a", "ValidationException"],
    ["a space", "/a b", "ValidationException"],
    ["an invalid character", "/a?", "ValidationException"],
    ["a trailing slash", "/a/", "ValidationException"],
    ["16 levels", "/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", "HierarchyLevelLimitExceededException"],
    ["1,012 characters with the ARN", `/${"x".repeat(1000)}`, "ValidationException"],
  ])("PutParameter rejects a name with %s", async (_, name, error) => {
    await expect(put(name)).rejects.toMatchObject(failing(error));
  });

  test("reserves names that begin with aws or ssm, and accepts 15 levels", async () => {
    const reserved = (Name: string) => ssm.putParameter({ Name, Value: "v", Type: "String" });
    await expect(reserved("/aws/x")).rejects.toMatchObject(failing("AccessDeniedException", /reserved parameter name/));
    for (const name of ["aws-x", "/ssm/x", "SSMx"])
      await expect(reserved(name)).rejects.toMatchObject(failing("ValidationException"));
    await expect(put("/2/3/4/5/6/7/8/9/10/11/12/13/14/15")).resolves.toBeDefined();
  });

  test("a standard parameter holds 4 KB, an advanced parameter 8 KB, and the tier cannot be lowered", async () => {
    await expect(put("/a", "x".repeat(4096))).resolves.toMatchObject({ Tier: "Standard" });
    await expect(put("/b", "x".repeat(4097))).rejects.toMatchObject(failing("ValidationException", /4096/));
    await expect(put("/b", "x".repeat(4097), { Tier: "Intelligent-Tiering" })).resolves.toMatchObject({
      Tier: "Advanced",
    });
    await expect(put("/c", "x".repeat(8193), { Tier: "Advanced" })).rejects.toMatchObject(
      failing("ValidationException", /8192/),
    );
    const Tier = "Standard";
    await expect(put("/b", "v", { Tier, Overwrite: true })).rejects.toMatchObject(
      failing("ValidationException", /downgrade/),
    );
    const value = "é".repeat(4096);
    await secure("/d", value, { Tier: "Advanced" });
    const read = await ssm.getParameter({ Name: `${at}/d`, WithDecryption: true });
    expect(read.Parameter!.Value).toBe(value);
  });

  test("a SecureString read without decryption returns ciphertext and version, without a KMS call", async () => {
    await secure("/a");
    emulator.resetCalls();
    const [read] = (await get("/a")).Parameters!;
    expect(read).toMatchObject({ Type: "SecureString", Version: 1 });
    expect(Buffer.from(read!.Value!, "base64").includes("s3cret")).toBe(false);
    expect(read!.Value).not.toContain("s3cret");
    expect(emulator.count({ service: "kms" })).toBe(0);
  });

  test("a SecureString is encrypted with the encryption context PARAMETER_ARN, and KMS decrypts it with that context", async () => {
    await secure("/a");
    const [read] = (await get("/a")).Parameters!;
    const CiphertextBlob = Buffer.from(read!.Value!, "base64");
    const EncryptionContext = { PARAMETER_ARN: `arn:aws:ssm:eu-west-1:123456789012:parameter${at}/a` };
    const opened = await kms.decrypt({ CiphertextBlob, EncryptionContext });
    expect(Buffer.from(opened.Plaintext!).toString()).toBe("s3cret");
    await expect(kms.decrypt({ CiphertextBlob })).rejects.toMatchObject(failing("InvalidCiphertextException"));
  });

  test("decryption makes one KMS call per SecureString, with the caller's identity", async () => {
    await secure("/a");
    await secure("/b");
    await put("/c");
    emulator.resetCalls();
    const { Parameters } = await ssm.getParameters({ Names: [`${at}/a`, `${at}/b`, `${at}/c`], WithDecryption: true });
    expect(Parameters!.map(({ Value }) => Value)).toEqual(["s3cret", "s3cret", "v"]);
    expect(emulator.log({ via: "ssm" })).toMatchObject([
      { operation: "Decrypt", accessKeyId: "AKIAKEYFERRYTEST", status: 200 },
      { operation: "Decrypt" },
    ]);
    expect(emulator.log({ service: "ssm" })).toMatchObject([
      { decrypt: true, names: [`${at}/a`, `${at}/b`, `${at}/c`] },
    ]);
  });

  test("a disabled key fails the whole batch with InvalidKeyId", async () => {
    const keyId = await emulator.createKey();
    await secure("/a", "x", { KeyId: keyId });
    await put("/b");
    await kms.disableKey({ KeyId: keyId });
    const read = (WithDecryption: boolean) => ssm.getParameters({ Names: [`${at}/a`, `${at}/b`], WithDecryption });
    await expect(read(true)).rejects.toMatchObject(failing("InvalidKeyId", /Error Code: DisabledException/));
    await expect(read(false)).resolves.toBeDefined();
    await expect(secure("/c", "x", { KeyId: keyId })).rejects.toMatchObject(failing("InvalidKeyId"));
    await expect(secure("/c", "x", { KeyId: "alias/none" })).rejects.toMatchObject(
      failing("InvalidKeyId", /NotFoundException/),
    );
  });

  test("a KMS denial is an AccessDeniedException whose message names the service", async () => {
    const keyId = await emulator.createKey();
    await secure("/a", "x", { KeyId: keyId });
    emulator.deny({ action: "kms:Decrypt", key: keyId });
    const read = ssm.getParameters({ Names: [`${at}/a`], WithDecryption: true });
    await expect(read).rejects.toMatchObject(
      failing(
        "AccessDeniedException",
        /kms:Decrypt on resource: .*\(Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException;/,
      ),
    );
  });

  test("one denied name fails the whole request, with AWS's message", async () => {
    for (const name of ["/a", "/b"]) await put(name);
    emulator.deny({ action: "ssm:GetParameters", parameter: `${at}/b` });
    await expect(get("/a", "/b")).rejects.toMatchObject({
      name: "AccessDeniedException",
      message: `User: arn:aws:iam::123456789012:user/AKIAKEYFERRYTEST is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:eu-west-1:123456789012:parameter${at}/b because no identity-based policy allows the ssm:GetParameters action`,
    });
    expect(names(await get("/a"))).toEqual(["/a"]);
  });

  test("GetParametersByPath authorizes only the requested path, and returns a denied child", async () => {
    await put("/p/a");
    emulator.deny({ parameter: `${at}/p/a` });
    const read = () => ssm.getParametersByPath({ Path: `${at}/p/` });
    expect(names(await read())).toEqual(["/p/a"]);
    emulator.deny({ parameter: `${at}/p` });
    await expect(read()).rejects.toMatchObject(failing("AccessDeniedException", `:parameter${at}/p because`));
  });

  test("GetParametersByPath returns pages of ten in alphabetical order, one level unless recursive", async () => {
    const all = Array.from({ length: 12 }, (_, i) => `/p/${String.fromCharCode(108 - i)}`);
    for (const name of all) await put(name);
    await put("/p/deep/x");
    await put("/px");
    const first = await ssm.getParametersByPath({ Path: `${at}/p` });
    expect(first.Parameters).toHaveLength(10);
    const second = await ssm.getParametersByPath({ Path: `${at}/p`, NextToken: first.NextToken });
    expect(second.NextToken).toBeUndefined();
    expect([...names(first), ...names(second)]).toEqual([...all].sort());
    const deep = await ssm.getParametersByPath({ Path: `${at}/p`, Recursive: true });
    expect(names(deep)).toContain("/p/deep/x");
    await expect(ssm.getParametersByPath({ Path: "no-slash" })).rejects.toMatchObject(failing("ValidationException"));
    const NextToken = "nonsense";
    await expect(ssm.getParametersByPath({ Path: at, NextToken })).rejects.toMatchObject(failing("InvalidNextToken"));
  });

  test("GetParametersByPath filters only by Type, KeyId and Label", async () => {
    const keyId = await emulator.createKey();
    await put("/p/a", "one");
    await put("/p/a", "two", { Overwrite: true });
    await secure("/p/b");
    await secure("/p/c", "x", { KeyId: keyId });
    await emulator.labelParameterVersion(`${at}/p/a`, ["prod"], 1);
    const by = (Key: string, ...Values: string[]) =>
      ssm.getParametersByPath({ Path: `${at}/p`, ParameterFilters: [{ Key, Option: "Equals", Values }] });
    expect(names(await by("Type", "SecureString"))).toEqual(["/p/b", "/p/c"]);
    expect(names(await by("KeyId", keyId))).toEqual(["/p/c"]);
    expect((await by("Label", "prod")).Parameters).toMatchObject([{ Name: `${at}/p/a`, Value: "one", Version: 1 }]);
    await expect(by("Name", "x")).rejects.toMatchObject(failing("InvalidFilterKey"));
  });

  test("DescribeParameters accepts 50 exact names, and returns Tier, KeyId and Policies but no value", async () => {
    const Policies = JSON.stringify([
      { Type: "Expiration", Version: "1.0", Attributes: { Timestamp: "2099-01-01T00:00:00.000Z" } },
    ]);
    await secure("/a", "x", { Tier: "Advanced", Policies });
    await put("/b");
    const Values = [`${at}/a`, `${at}/b`, ...Array.from({ length: 48 }, (_, i) => `${at}/none${i}`)];
    const describing = (values: string[]) =>
      ssm.describeParameters({ MaxResults: 50, ParameterFilters: [{ Key: "Name", Option: "Equals", Values: values }] });
    const { Parameters } = await describing(Values);
    expect(Parameters).toMatchObject([
      {
        Name: `${at}/a`,
        Tier: "Advanced",
        KeyId: "alias/aws/ssm",
        Policies: [{ PolicyType: "Expiration", PolicyStatus: "Pending" }],
      },
      { Name: `${at}/b`, Tier: "Standard", Policies: [] },
    ]);
    expect(JSON.parse(Parameters![0]!.Policies![0]!.PolicyText!)).toEqual(JSON.parse(Policies)[0]);
    expect(Parameters![0]).not.toHaveProperty("Value");
    await expect(describing([...Values, "/one-more"])).rejects.toMatchObject(failing("InvalidFilterValue"));
    emulator.deny({ action: "ssm:DescribeParameters" });
    await expect(describing(["/x"])).rejects.toMatchObject(failing("AccessDeniedException", /on resource: \*/));
  });

  test("a test can set any policy text, as the parameter's owner can", async () => {
    const Policies = JSON.stringify([
      { Type: "Expiration", Version: "1.0", Attributes: { Timestamp: "2099-01-01T00:00:00.000Z" } },
    ]);
    await put("/a", "x", { Tier: "Advanced", Policies });
    emulator.fault({ operation: "DescribeParameters", kind: "policyText", text: "{", times: 1 });
    const describing = () => ssm.describeParameters({ ParameterFilters: [{ Key: "Name", Values: [`${at}/a`] }] });
    expect((await describing()).Parameters![0]!.Policies).toMatchObject([
      { PolicyText: "{", PolicyType: "Expiration" },
    ]);
    expect((await describing()).Parameters![0]!.Policies![0]!.PolicyText).toContain("2099");
  });

  test("DescribeParameters filters by path, type and all tags, and is logged with the requested names", async () => {
    for (const name of ["/p/a", "/p/b", "/p/deep/c"]) await put(name, "v", { Tags: [{ Key: "env", Value: "prod" }] });
    await secure("/p/d", "v", {
      Tags: [
        { Key: "env", Value: "prod" },
        { Key: "team", Value: "shop" },
      ],
    });
    const by = async (...more: object[]) => {
      const filters = [
        { Key: "Path", Option: "OneLevel", Values: [`${at}/p`] },
        { Key: "tag:env", Values: ["prod"] },
      ];
      return names(await ssm.describeParameters({ ParameterFilters: [...filters, ...(more as [])] }));
    };
    expect(await by()).toEqual(["/p/a", "/p/b", "/p/d"]);
    expect(await by({ Key: "tag:team", Values: ["shop"] })).toEqual(["/p/d"]);
    expect(await by({ Key: "tag:team", Values: ["other"] })).toEqual([]);
    expect(await by({ Key: "Type", Option: "Equals", Values: ["String"] })).toEqual(["/p/a", "/p/b"]);
    emulator.resetCalls();
    await ssm.describeParameters({ ParameterFilters: [{ Key: "Name", Option: "Equals", Values: ["/x", "/y"] }] });
    expect(emulator.log({ operation: "DescribeParameters" })[0]!.names).toEqual(["/x", "/y"]);
  });

  test("tags stay with a parameter, and cannot be set together with Overwrite", async () => {
    await put("/a", "v", { Tags: [{ Key: "env", Value: "prod" }] });
    const resource = { ResourceType: "Parameter", ResourceId: `${at}/a` } as const;
    await ssm.addTagsToResource({ ...resource, Tags: [{ Key: "team", Value: "shop" }] });
    await ssm.removeTagsFromResource({ ...resource, TagKeys: ["env"] });
    expect((await ssm.listTagsForResource(resource)).TagList).toEqual([{ Key: "team", Value: "shop" }]);
    const tagged = await ssm.describeParameters({ ParameterFilters: [{ Key: "tag:team", Values: ["shop"] }] });
    expect(names(tagged)).toContain("/a");
    const Tags = [{ Key: "a", Value: "b" }];
    await expect(put("/a", "w", { Overwrite: true, Tags })).rejects.toMatchObject(failing("ValidationException"));
    await expect(ssm.listTagsForResource({ ...resource, ResourceId: "/none" })).rejects.toMatchObject(
      failing("InvalidResourceId"),
    );
  });

  test("names are case-sensitive, and need no leading slash", async () => {
    await put("/a", "lower");
    await put("/A", "upper");
    await emulator.putParameter({ name: `plain${round}`, value: "x" });
    expect((await get("/a", "/A")).Parameters!.map(({ Value }) => Value)).toEqual(["upper", "lower"]);
    expect((await ssm.getParameter({ Name: `plain${round}` })).Parameter!.ARN).toMatch(/:parameter\/plain\d+$/);
  });

  test("isolates accounts and regions; an ARN reaches an advanced parameter of another account", async () => {
    const other = { account: "999999999999" };
    await emulator.putParameter({ name: `${at}/a`, value: "standard" }, other);
    await emulator.putParameter({ name: `${at}/b`, value: "advanced", tier: "Advanced" }, other);
    await emulator.putParameter({ name: `${at}/c`, value: "far" }, { region: "us-east-1" });
    const arns = ["a", "b"].map((name) => `arn:aws:ssm:eu-west-1:999999999999:parameter${at}/${name}`);
    const { Parameters, InvalidParameters } = await ssm.getParameters({ Names: [...arns, `${at}/b`, `${at}/c`] });
    expect(Parameters).toMatchObject([{ Value: "advanced", ARN: arns[1] }]);
    expect(InvalidParameters).toEqual([arns[0], `${at}/b`, `${at}/c`]);
    const own = `arn:aws:ssm:eu-west-1:123456789012:parameter${at}/mine:1`;
    await put("/mine");
    expect((await ssm.getParameters({ Names: [own] })).Parameters).toMatchObject([
      { Name: `${at}/mine`, Selector: ":1" },
    ]);
  });

  test.each([
    ["an unknown type", [{ Type: "Nope", Version: "1.0" }], "InvalidPolicyTypeException"],
    ["no Timestamp", [{ Type: "Expiration", Version: "1.0", Attributes: {} }], "InvalidPolicyAttributeException"],
    ["another version", [{ Type: "Expiration", Version: "2.0", Attributes: {} }], "InvalidPolicyAttributeException"],
    [
      "an ExpirationNotification without Expiration",
      [{ Type: "ExpirationNotification", Version: "1.0", Attributes: { Before: "15", Unit: "Days" } }],
      "IncompatiblePolicyException",
    ],
    [
      "a duration that is not a number",
      [{ Type: "NoChangeNotification", Version: "1.0", Attributes: { After: 20, Unit: "Days" } }],
      "InvalidPolicyAttributeException",
    ],
    [
      "eleven policies",
      Array(11).fill({ Type: "NoChangeNotification", Version: "1.0", Attributes: { After: "20", Unit: "Days" } }),
      "PoliciesLimitExceededException",
    ],
  ])("rejects a parameter policy with %s", async (_, policies, error) => {
    await expect(put("/a", "v", { Tier: "Advanced", Policies: JSON.stringify(policies) })).rejects.toMatchObject(
      failing(error),
    );
  });

  test("parameter policies require the advanced tier", async () => {
    const Policies = JSON.stringify([
      { Type: "Expiration", Version: "1.0", Attributes: { Timestamp: "2099-01-01T00:00:00Z" } },
    ]);
    await expect(put("/a", "v", { Policies })).rejects.toMatchObject(failing("ValidationException", /advanced/));
  });

  test("reads a public parameter like any other", async () => {
    const Name = "/aws/service/global-infrastructure/regions/eu-west-1";
    const { Parameters } = await ssm.getParameters({ Names: [Name] });
    expect(Parameters).toMatchObject([{ Name, Type: "String", Value: "eu-west-1" }]);
  });
});
