import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { keyferry } from "./run.ts";

const apiVersion = "keyferry.io/v1alpha1";
const account = "123456789012";
const reader = `arn:aws:iam::${account}:role/reader`;
const own = "the operator's own identity";
const key = (id: string, region = "eu-west-1") => `arn:aws:kms:${region}:${account}:key/${id}`;
const parameter = (name: string, region = "eu-west-1") => `arn:aws:ssm:${region}:${account}:parameter${name}`;

const connection = (spec: object = {}, name = "default") => ({
  ...{ apiVersion, kind: "ClusterAWSConnection", metadata: { name } },
  spec: {
    region: "eu-west-1",
    auth: { assumeRole: [{ roleArn: reader }] },
    allow: { namespaces: { selector: {} }, parameters: ["/*"], keyIds: ["*"] },
    ...spec,
  },
});

const synced = (name: string, spec: object, namespace = "shop") => ({
  ...{ apiVersion, kind: "SyncedSecret", metadata: { name, namespace }, spec },
});
const one = (name: string, more: object = {}) => ({ data: [{ key: "A", parameter: { name, ...more } }] });
const blob = (keyId?: string, more: object = {}) => ({
  data: [{ key: "A", kms: { ciphertext: "AQICAA==", ...(keyId === undefined ? {} : { keyId }), ...more } }],
});

interface Statement {
  Sid: string;
  Action: string | string[];
  Resource: string | string[];
  Principal?: { AWS: unknown };
  Condition?: object;
}
interface Printed {
  identities: { identity: string; policy: { Version: string; Statement: Statement[] } }[];
  keys: { key: string; statements: Statement[] }[];
}

const run = (objects: object[], args: string[]) =>
  keyferry(["policy", ...args], { input: objects.map((object) => stringify(object)).join("---\n") });

async function policy(objects: object[], ...args: string[]) {
  const { code, out, err } = await run(objects, args);
  expect([code, err]).toEqual([0, ""]);
  const printed = JSON.parse(out) as Printed;
  const of = (identity: string) => {
    const { Statement } = printed.identities.find((found) => found.identity === identity)!.policy;
    return Object.fromEntries(Statement.map((statement) => [statement.Sid, statement]));
  };
  return { printed, of, out };
}

describe("keyferry policy", () => {
  it("prints the policy and the trust policy of the role of each namespace's ServiceAccount", async () => {
    const annotations = { "eks.amazonaws.com/role-arn": reader };
    const of = (namespace: string) => ({
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "app", namespace, annotations },
    });
    const hub = `arn:aws:iam::222222222222:role/hub`;
    const assumeRole = [
      { roleArn: hub, sessionTags: { team: "a" }, transitiveTagKeys: ["team"] },
      { roleArn: `${hub}-2` },
    ];
    const objects = [
      connection({ auth: { serviceAccountRef: { name: "app" } } }),
      connection({ auth: { serviceAccountRef: { name: "app", namespace: "web" }, assumeRole } }, "chained"),
      ...[of("shop"), of("web")],
      synced("a", one("/shop/db")),
      synced("a", one("/web/db"), "web"),
      synced("b", { ...one("/x"), connectionRef: { kind: "ClusterAWSConnection", name: "chained" } }),
    ];
    const { printed, of: statements } = await policy(objects, "--oidc-issuer", "https://oidc.example.com/id/A1");
    expect(statements(reader).ReadParameters!.Resource).toEqual([parameter("/shop/db"), parameter("/web/db")]);
    expect(printed.identities.find(({ identity }) => identity === reader)).toMatchObject({
      trustPolicy: {
        Statement: [
          {
            Principal: { Federated: `arn:aws:iam::${account}:oidc-provider/oidc.example.com/id/A1` },
            Action: "sts:AssumeRoleWithWebIdentity",
            Condition: {
              StringEquals: {
                "oidc.example.com/id/A1:aud": "sts.amazonaws.com",
                "oidc.example.com/id/A1:sub": ["system:serviceaccount:shop:app", "system:serviceaccount:web:app"],
              },
            },
          },
        ],
      },
    });
    expect(JSON.stringify(statements(hub))).toContain("sts:TagSession");
  });

  it("asks for the manifest of a ServiceAccount whose role it needs", async () => {
    const objects = [connection({ auth: { serviceAccountRef: { name: "app" } } }), synced("a", one("/shop/db"))];
    const { code, err } = await run(objects, []);
    expect([code, err]).toEqual([1, expect.stringContaining("the role of ServiceAccount shop/app is not known")]);
  });

  it("names each parameter once, and parameters below a path only by the path", async () => {
    const objects = [
      connection(),
      synced("a", { ...one("/shop/db"), dataFrom: [{ path: { name: "/shop/web/" } }] }),
      synced("b", one("/shop/web/token")),
      synced("c", one("shop-wide")),
    ];
    const { of } = await policy(objects);
    expect(of(reader).ReadParameters!.Resource).toEqual(
      ["/shop-wide", "/shop/db", "/shop/web/*"].map((name) => parameter(name)),
    );
    expect(of(reader).ListPaths).toMatchObject({ Action: "ssm:GetParametersByPath", Resource: parameter("/shop/web") });
    expect(of(reader).OptionalExpiryOfParameters).toMatchObject({ Action: "ssm:DescribeParameters", Resource: "*" });
    expect(of(own)).toEqual({ AssumeRoles: expect.objectContaining({ Action: "sts:AssumeRole", Resource: reader }) });
  });

  it("requires DescribeParameters for tags, with or without --no-optional", async () => {
    const spec = { dataFrom: [{ path: { name: "/shop", tags: { env: "prod" } } }] };
    const { of } = await policy([connection(), synced("a", spec)], "--no-optional");
    expect(Object.keys(of(reader))).toEqual(["ReadParameters", "ListPaths", "TagsOfPaths"]);
  });

  it("requires it for an action on the expiry of a parameter", async () => {
    const spec = { ...one("/shop/db"), refresh: { whenExpired: "DeleteKeys" } };
    const { of } = await policy([connection(), synced("a", spec)], "--no-optional");
    expect(Object.keys(of(reader))).toEqual(["ReadParameters", "ExpiryOfParameters"]);
  });

  it("handles other accounts' ARNs, parameters published by AWS and secrets of Secrets Manager separately", async () => {
    const foreign = "arn:aws:ssm:eu-west-1:999999999999:parameter/shared/db";
    const allow = { namespaces: { selector: {} }, parameters: [foreign, "/aws/service/*", "/aws/reference/*"] };
    const objects = [
      connection({ allow }),
      synced("a", one(foreign)),
      synced("b", one("/aws/service/eks/ami")),
      synced("c", one("/aws/reference/secretsmanager/db")),
    ];
    const { of } = await policy(objects, "--parameter-key", key("one"));
    expect(of(reader).ReadParameters!.Resource).toEqual([
      parameter("/aws/reference/secretsmanager/db"),
      foreign,
      "arn:aws:ssm:eu-west-1::parameter/aws/service/eks/ami",
    ]);
    expect(of(reader).ReadSecretsManager!.Resource).toBe(
      `arn:aws:secretsmanager:eu-west-1:${account}:secret:db-??????`,
    );
    expect(of(reader).DecryptSecureStrings!.Condition).toEqual({
      StringEquals: { "kms:ViaService": "ssm.eu-west-1.amazonaws.com", "kms:EncryptionContext:PARAMETER_ARN": foreign },
    });
  });

  it("uses the partition of the region", async () => {
    const roleArn = `arn:aws-cn:iam::${account}:role/reader`;
    const region = "cn-north-1";
    const chinese = `arn:aws-cn:kms:${region}:${account}:key/one`;
    const objects = [connection({ region, auth: { assumeRole: [{ roleArn }] } }), synced("a", one("/shop/db"))];
    const { of } = await policy(objects, "--parameter-key", chinese);
    expect(of(roleArn).ReadParameters!.Resource).toBe(`arn:aws-cn:ssm:${region}:${account}:parameter/shop/db`);
    expect(of(roleArn).DecryptSecureStrings).toMatchObject({
      Resource: chinese,
      Condition: { StringEquals: { "kms:ViaService": "ssm.cn-north-1.amazonaws.com.cn" } },
    });
  });

  it("includes failover regions: replicas of keys, and parameters read there", async () => {
    const objects = [
      connection({ failoverRegions: ["us-east-1"] }),
      synced("a", { data: [...one("/shop/db").data, { key: "B", kms: blob(key("mrk-1")).data[0]!.kms }] }),
      synced("b", blob(key("only-here"))),
      synced("c", one("/shop/pinned", { version: 3 })),
      synced("d", { ...one("/shop/once"), refresh: { policy: "Once" } }),
    ];
    const { of, printed } = await policy(objects, "--parameter-key", key("mrk-2"));
    expect(of(reader).DecryptBlobs!.Resource).toEqual([key("mrk-1"), key("only-here"), key("mrk-1", "us-east-1")]);
    expect(of(reader).ReadParameters!.Resource).toEqual([
      ...["/shop/db", "/shop/once", "/shop/pinned"].map((name) => parameter(name)),
      parameter("/shop/db", "us-east-1"),
    ]);
    expect([of(reader).DecryptSecureStrings!.Resource, of(reader).DecryptSecureStrings2!.Resource]).toEqual([
      key("mrk-2"),
      key("mrk-2", "us-east-1"),
    ]);
    expect(printed.keys.map((found) => found.key)).toContain(key("mrk-2", "us-east-1"));
  });

  it("restricts bound keys to each SyncedSecret's own context, per namespace", async () => {
    const objects = [
      connection({ binding: { scope: "Name", allowUnbound: true } }),
      synced("a", blob(key("one"))),
      synced("b", blob(key("one"))),
      synced("a", blob(key("one")), "bank"),
      synced("c", blob(key("two"), { bound: false })),
      synced("d", blob(key("two"))),
    ];
    const { of } = await policy(objects, "--cluster-name", "prod", "--no-optional");
    const context = (namespace: string, name: string | string[]) => ({
      StringEquals: {
        "kms:EncryptionContext:keyferry.io/cluster": "prod",
        "kms:EncryptionContext:keyferry.io/namespace": namespace,
        "kms:EncryptionContext:keyferry.io/name": name,
      },
    });
    expect(Object.values(of(reader)).map(({ Sid, Resource, Condition }) => [Sid, Resource, Condition])).toEqual([
      ["DecryptBlobs", key("two"), undefined],
      ["DecryptBoundBlobs", key("one"), context("bank", "a")],
      ["DecryptBoundBlobs2", key("one"), context("shop", ["a", "b"])],
    ]);
  });

  it("prints one policy for each role of {namespace}, and for each step of a chain", async () => {
    const hub = "arn:aws:iam::222222222222:role/hub";
    const steps = [
      { roleArn: hub, sourceIdentity: "keyferry" },
      { roleArn: `arn:aws:iam::${account}:role/of-{namespace}`, sessionTags: { of: "{namespace}" } },
    ];
    const secretRef = { namespace: "keyferry", name: "keys" };
    const objects = [
      connection({
        auth: { secretRef, assumeRole: steps },
        allow: { namespaces: { selector: {} }, parameters: ["/{namespace}/*"] },
      }),
      synced("a", one("/shop/db")),
      synced("a", one("/bank/db"), "bank"),
    ];
    const { printed, of } = await policy(objects);
    const [bank, shop] = ["bank", "shop"].map((name) => `arn:aws:iam::${account}:role/of-${name}`);
    const start = "the keys of Secret keyferry/keys";
    expect(printed.identities.map(({ identity }) => identity)).toEqual([bank, shop, hub, start]);
    expect(of(bank!).ReadParameters!.Resource).toBe(parameter("/bank/db"));
    expect(of(hub).AssumeRoles).toMatchObject({
      Action: ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"],
      Resource: [bank, shop],
    });
    expect(of(start).AssumeRoles).toMatchObject({ Action: ["sts:AssumeRole", "sts:SetSourceIdentity"], Resource: hub });
  });

  it("allows receiving from the event queue, and reading its tags if it is in the same account", async () => {
    const queueUrl = `https://sqs.eu-west-1.amazonaws.com/${account}/keyferry`;
    const mine = await policy([connection({ events: { queueUrl } }), synced("a", one("/a"))]);
    expect(mine.of(reader)).toMatchObject({
      ReceiveEvents: {
        Action: ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"],
        Resource: `arn:aws:sqs:eu-west-1:${account}:keyferry`,
      },
      TagsOfQueues: { Action: "sqs:ListQueueTags" },
    });
    const foreign = queueUrl.replace(account, "999999999999");
    const theirs = await policy([connection({ events: { queueUrl: foreign } }), synced("a", one("/a"))]);
    expect(theirs.of(reader).ReceiveEvents!.Resource).toBe("arn:aws:sqs:eu-west-1:999999999999:keyferry");
    expect(theirs.of(reader)).not.toHaveProperty("TagsOfQueues");
  });

  it("allows receiving from a queue at an endpoint with {region}", async () => {
    const at = (region: string) => `https://vpce-1.sqs.${region}.vpce.amazonaws.com`;
    const events = { queueUrl: `${at("eu-west-1")}/${account}/keyferry` };
    const made = await policy([connection({ events, endpoints: { sqs: at("{region}") } }), synced("a", one("/a"))]);
    expect(made.of(reader).ReceiveEvents!.Resource).toBe(`arn:aws:sqs:eu-west-1:${account}:keyferry`);
  });

  it("names the principal in each key's policy: a role, --principal, or the account", async () => {
    const rsa = { algorithm: "RSAES_OAEP_SHA_256", ciphertext: Buffer.alloc(256).toString("base64") };
    const objects = [
      connection({ auth: undefined }),
      synced("a", blob(key("rsa"), rsa)),
      connection({}, "other"),
      synced("b", { connectionRef: { kind: "ClusterAWSConnection", name: "other" }, ...blob("rsa") }),
    ];
    const plain = JSON.parse(JSON.stringify(objects)) as object[];
    const principals = async (...args: string[]) => {
      const { printed } = await policy(plain, "--account", account, "--no-optional", ...args);
      expect(printed.keys.map((found) => found.key)).toEqual([key("rsa")]);
      return printed.keys[0]!.statements.map(({ Principal }) => Principal!.AWS);
    };
    expect(await principals()).toEqual([[reader, `arn:aws:iam::${account}:root`].sort()]);
    const operator = `arn:aws:iam::${account}:role/keyferry`;
    expect(await principals("--principal", operator)).toEqual([[operator, reader]]);
  });

  it("does not depend on the order of manifests", async () => {
    const objects = [
      connection(),
      ...["a", "b", "c", "d"].map((name) =>
        synced(name, { data: [...one(`/shop/${name}`).data, { key: "B", kms: blob(key(name)).data[0]!.kms }] }),
      ),
    ];
    const { out } = await policy(objects);
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(objects, { minLength: objects.length }), async (shuffled) => {
        expect((await policy(shuffled)).out).toBe(out);
      }),
      { numRuns: 3 },
    );
  });
});

describe("reports what it cannot determine, and prints no insufficient policy", () => {
  const noRole = connection({ auth: { secretRef: { name: "keys", namespace: "keyferry" } } });

  it.each<[string, object[], string[], string]>([
    [
      "a missing account",
      [noRole, synced("a", one("/a"))],
      [],
      "the AWS account of ClusterAWSConnection default is not known, since it assumes no role: give --account",
    ],
    [
      "a missing connection",
      [synced("a", one("/a"))],
      ["--account", account],
      "ClusterAWSConnection default is not among the manifests: give it with --connection, or a region with --region",
    ],
    [
      "a missing connection and its account",
      [synced("a", one("/a"))],
      [],
      "ClusterAWSConnection default is not among the manifests: give it with --connection, or its region and account with --region and --account",
    ],
    [
      "a blob without a key",
      [connection(), synced("a", blob())],
      [],
      "data[0] (A): the blob names no key: give it kms.keyId, or name the keys of such blobs with --blob-key",
    ],
    [
      "a missing cluster name",
      [connection({ binding: { scope: "Name" } }), synced("a", blob(key("one")))],
      [],
      "give --cluster-name",
    ],
    [
      "a name that is not allowed",
      [connection({ allow: { namespaces: { selector: {} }, parameters: ["/x/*"] } }), synced("a", one("/a"))],
      [],
      "parameter /a is not allowed",
    ],
    [
      "a namespace that is not allowed",
      [connection({ allow: { namespaces: { names: ["bank"] } } }), synced("a", one("/a"))],
      [],
      "does not allow namespace shop",
    ],
    ["a key of another region", [connection(), synced("a", blob(key("one", "us-east-1")))], [], "is of us-east-1"],
  ])("%s", async (_, objects, args, said) => {
    const { code, out, err } = await run(objects, args);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain(said);
    expect(err.trim().split("\n")).toHaveLength(1);
  });

  it("and takes it from --account, --region and --blob-key", async () => {
    const objects = [synced("a", { data: [...one("/a").data, { key: "B", kms: { ciphertext: "AQICAA==" } }] })];
    const { of } = await policy(objects, "--account", account, "--region", "eu-west-1", "--blob-key", key("one"));
    expect(of(own).ReadParameters!.Resource).toBe(parameter("/a"));
    expect(of(own).DecryptBlobs!.Resource).toBe(key("one"));
  });

  it("takes the account and the SecureString keys from a status, as printed by kubectl get", async () => {
    const status = { sources: [{ name: "/a", version: 1, lastModified: "2026-01-01T00:00:00Z", keyId: key("said") }] };
    const objects = [
      { ...noRole, status: { accountID: account } },
      { ...synced("a", one("/a")), status },
    ];
    const { of } = await policy(objects);
    expect(of("the keys of Secret keyferry/keys").DecryptSecureStrings!.Resource).toBe(key("said"));
  });

  it.each([
    ["an invalid account", ["--account", "12"], "--account must be 12 digits"],
    ["a key that is an alias", ["--parameter-key", "alias/shop"], "must be ARNs of keys"],
    ["a principal", ["--principal", "me"], "--principal must be the ARN of a role or a user"],
  ])("a command line with %s gives one line and exit code 2", async (_, args, said) => {
    const { code, out, err } = await run([], args);
    expect([code, out, err.trim().split("\n").length]).toEqual([2, "", 1]);
    expect(err).toContain(said);
  });
});
