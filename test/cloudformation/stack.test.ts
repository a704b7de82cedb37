import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { parse } from "yaml";
import { parseNotice } from "../../src/aws/events/notice.ts";
import { clusterTag } from "../../src/aws/events/queue-access.ts";
import { parseQueueUrl } from "../../src/aws/events/queue-url.ts";
import { Identities } from "../../src/aws/identity.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import type { Statement } from "../../src/policy/document.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silent } from "../../src/runtime/log.ts";
import { Sealed } from "../../src/runtime/sealed.ts";
import { type Emulator, startEmulator } from "../emulator/emulator.ts";
import { motoPython } from "../emulator/venv.ts";
import { deploymentOf, render } from "../helm/chart.ts";
import { createStack, templates as folder, type Stack } from "./stack.ts";
import { template, text } from "./template.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");
const files = readdirSync(folder)
  .filter((file) => file.endsWith(".yaml"))
  .sort();

let emulator: Emulator;
let python: string;

beforeAll(async () => {
  [emulator, python] = await Promise.all([startEmulator(), motoPython()]);
}, 120_000);
afterAll(() => emulator.stop());

const create = (file: string, parameters: Record<string, string>) => createStack(emulator.url, file, parameters);

const key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const parameterKey = key.replace("1234abcd", "abcd1234");
const throughSsm = { StringLike: { "kms:ViaService": ["ssm.*.amazonaws.com"] } };
const secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-??????";
const issuer = "oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE";
const irsa = { ClusterName: "prod-eu", OidcProvider: issuer };
const actionsOf = (statements: Statement[]) => statements.flatMap(({ Action }) => Action);

describe("every template", () => {
  it("passes cfn-lint", async () => {
    const { stdout } = await run(
      join(dirname(python), "cfn-lint"),
      files.map((file) => join(folder, file)),
    );
    expect(stdout.trim()).toBe("");
  });

  it("hard-codes no partition, region or account", () => {
    for (const file of files) {
      const lines = text(file)
        .split("\n")
        .filter((line) => !/AllowedPattern|Description/.test(line));
      const rest = lines.filter((line) => /(?<!-)\barn:(?!\$\{AWS::Partition\}:)|[0-9]{12}/.test(line));
      expect(rest, file).toEqual([]);
    }
  });

  it("is up to date if generated from others (run node scripts/aws-stack.ts)", async () => {
    await run(process.execPath, [join(root, "scripts/aws-stack.ts"), "--check"]);
  });
});

describe("the policies", () => {
  /** Operations that only a person's command asks for, with that person's own rights. */
  const byPersons = ["Encrypt", "GenerateDataKey", "ReEncrypt"];
  /** Operations whose IAM action is called otherwise (Service Authorization Reference). */
  const otherwise: Record<string, string> = {
    ChangeMessageVisibilityBatch: "ChangeMessageVisibility",
    DeleteMessageBatch: "DeleteMessage",
  };
  /**
   * What needs no permission of the caller (a token stands for it in the second); and what AWS asks for beside the operation: session tags and a source identity of
   * AssumeRole, and what Systems Manager passes through.
   */
  const free = ["sts:GetCallerIdentity", "sts:AssumeRoleWithWebIdentity"];
  const beside = ["sts:SetSourceIdentity", "sts:TagSession", "secretsmanager:GetSecretValue"];

  function called(): Set<string> {
    const sources = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true });
    const actions = new Set<string>();
    for (const entry of sources.filter((one) => one.isFile() && one.name.endsWith(".ts"))) {
      const source = readFileSync(join(entry.parentPath, entry.name), "utf8");
      for (const [, imported, service] of source.matchAll(/import \{([^}]*)\} from "@aws-sdk\/client-([a-z]+)"/g)) {
        for (const [, operation] of imported!.matchAll(/\b([A-Za-z]+)Command\b/g)) {
          if (!byPersons.includes(operation!)) actions.add(`${service}:${otherwise[operation!] ?? operation}`);
        }
      }
    }
    return actions;
  }

  it("allow exactly the actions that the operator calls", async () => {
    const others = { AssumeRoleArns: "arn:aws:iam::123456789012:role/a", SecretArns: secret };
    const everything = { ...irsa, KeyArns: key, Describe: "true", ...others };
    const { policies, status } = await create("keyferry.yaml", everything);
    expect(status).toBe("CREATE_COMPLETE");
    const allowed = new Set(Object.values(policies).flatMap(({ Statement }) => actionsOf(Statement)));
    const needed = [...called()].filter((action) => !free.includes(action));
    expect(needed).toContain("ssm:GetParametersByPath");
    expect([...allowed].sort()).toEqual([...new Set([...needed, ...beside])].sort());
  });

  it("allow parameters by name prefix, and keys by ARN", async () => {
    const keys = { KeyArns: key, ParameterKeyArns: parameterKey };
    const { policies } = await create("operator.yaml", { ...irsa, ParameterPrefixes: "/shop,/stock", ...keys });
    const [read, decrypt] = policies.ReadPolicy!.Statement;
    const parameter = (name: string) => `arn:aws:ssm:*:123456789012:parameter${name}`;
    expect(read!.Resource).toEqual(["/shop", "/shop/*", "/stock", "/stock/*"].map(parameter));
    expect(decrypt).toMatchObject({ Resource: [parameterKey], Condition: throughSsm });
    expect(policies.KeysPolicy!.Statement[0]).toMatchObject({ Resource: [key] });
    expect(Object.keys(policies).sort()).toEqual(["KeysPolicy", "ReadPolicy"]);
  });

  it("allow keys of SecureStrings only through Systems Manager, whatever else is allowed", async () => {
    const others = { AssumeRoleArns: "arn:aws:iam::123456789012:role/a", SecretArns: secret, Describe: "true" };
    for (const file of ["operator.yaml", "keyferry.yaml"]) {
      for (const keys of [{}, { KeyArns: key }]) {
        const { policies } = await create(file, { ...irsa, ...others, ...keys, ParameterKeyArns: parameterKey });
        const decrypting = Object.values(policies)
          .flatMap(({ Statement }) => Statement)
          .filter((statement) => actionsOf([statement]).includes("kms:Decrypt"));
        const direct = decrypting.filter(({ Condition }) => !Condition);
        expect(direct.map(({ Resource }) => Resource)).toEqual("KeyArns" in keys ? [[key]] : []);
        const through = decrypting.filter(({ Condition }) => Condition);
        expect(through.map(({ Sid, Resource }) => [Sid, Resource])).toEqual([["DecryptSecureStrings", [parameterKey]]]);
      }
    }
  });

  it("name the services of the partition of the stack", () => {
    const { Properties } = template("operator.yaml").Resources.ReadPolicy!;
    const policy = JSON.stringify(Properties.PolicyDocument);
    expect(policy).toContain(`ssm.*.\${AWS::URLSuffix}`);
    expect(policy).toContain(`secretsmanager.*.\${AWS::URLSuffix}`);
    expect(policy).not.toContain("amazonaws.com");
  });

  it("allow decryption of SecureStrings only, if no key is named", async () => {
    const { policies } = await create("operator.yaml", irsa);
    expect(Object.keys(policies)).toEqual(["ReadPolicy"]);
    const [read, decrypt] = policies.ReadPolicy!.Statement;
    expect(read!.Resource).toEqual(["/*", "/*/*"].map((name) => `arn:aws:ssm:*:123456789012:parameter${name}`));
    expect(decrypt!.Condition).toEqual(throughSsm);
  });

  it("allow only the named secrets of Secrets Manager, and only through Systems Manager", async () => {
    const { policies } = await create("operator.yaml", { ...irsa, ParameterPrefixes: "/shop", SecretArns: secret });
    const by = new Map(policies.ReadPolicy!.Statement.map((statement) => [statement.Sid, statement]));
    expect(by.get("ReadSecrets")).toMatchObject({ Action: "secretsmanager:GetSecretValue", Resource: [secret] });
    expect(by.get("PassSecretsThrough")!.Resource).toBe(
      "arn:aws:ssm:*:123456789012:parameter/aws/reference/secretsmanager/*",
    );
    const services = ["ssm.*.amazonaws.com", "secretsmanager.*.amazonaws.com"];
    expect(by.get("DecryptSecureStrings")!.Condition).toEqual({ StringLike: { "kms:ViaService": services } });
  });

  test.each([
    ["/shop", true],
    ["/shop,/stock,/shared", true],
    ["/*", true],
    ["shop", false],
    ["/shop/", false],
    ["/a,/b,/c,/d", false],
    ["", false],
  ])("accept %j as prefixes: %j", (prefixes, isTaken) => {
    const { AllowedPattern } = template("operator.yaml").Parameters.ParameterPrefixes!;
    expect(new RegExp(`^(?:${AllowedPattern})$`).test(prefixes)).toBe(isTaken);
  });
});

describe("the role", () => {
  it("trusts one ServiceAccount of one cluster with IRSA, and has every policy", async () => {
    const { roles, outputs } = await create("keyferry.yaml", { ...irsa, Namespace: "ops", KeyArns: key });
    expect(roles.Role!.trust.Statement).toEqual([
      {
        Effect: "Allow",
        Principal: { Federated: `arn:aws:iam::123456789012:oidc-provider/${issuer}` },
        Action: "sts:AssumeRoleWithWebIdentity",
        Condition: {
          StringEquals: {
            [`${issuer}:aud`]: "sts.amazonaws.com",
            [`${issuer}:sub`]: "system:serviceaccount:ops:keyferry",
          },
        },
      },
    ]);
    const { ReadPolicyArn, KeysPolicyArn, ReceivePolicyArn } = outputs;
    expect(roles.Role!.policies.sort()).toEqual([ReadPolicyArn, KeysPolicyArn, ReceivePolicyArn].sort());
  });

  it("trusts one ServiceAccount with Pod Identity", async () => {
    const { roles } = await create("operator.yaml", { ClusterName: "prod-eu", Identity: "PodIdentity" });
    expect(roles.Role!.trust.Statement).toEqual([
      {
        Effect: "Allow",
        Principal: { Service: "pods.eks.amazonaws.com" },
        Action: ["sts:AssumeRole", "sts:TagSession"],
        Condition: {
          StringEquals: {
            "aws:SourceAccount": "123456789012",
            "aws:RequestTag/kubernetes-namespace": "keyferry",
            "aws:RequestTag/kubernetes-service-account": "keyferry",
          },
        },
      },
    ]);
  });

  it("is not created with Identity None", async () => {
    const { roles, outputs } = await create("keyferry.yaml", { ClusterName: "prod-eu", Identity: "None" });
    expect(roles).toEqual({});
    expect(outputs).toMatchObject({ ReadPolicyArn: expect.any(String), ReceivePolicyArn: expect.any(String) });
    expect(outputs).not.toHaveProperty("RoleArn");
  });
});

describe("the chart accepts the outputs of the stack", () => {
  const accountOf = async (values: string) => {
    const objects = await render(parse(values) as object);
    const found = objects.find(({ kind }) => kind === "ServiceAccount")!;
    return { ...found.metadata, args: deploymentOf(objects).spec.template.spec.containers[0]!.args };
  };

  it("with IRSA", async () => {
    const { outputs } = await create("keyferry.yaml", { ...irsa, ClusterName: "prod:eu/1" });
    const { name, annotations, args } = await accountOf(outputs.HelmValues!);
    expect(name).toBe("keyferry");
    expect(annotations).toEqual({ "eks.amazonaws.com/role-arn": outputs.RoleArn });
    expect(args).toEqual(expect.arrayContaining(["--cluster-name=prod:eu/1", "--default-connection-region=eu-west-1"]));
    expect(outputs.ClusterName).toBe("prod:eu/1");
  });

  it("with Pod Identity", async () => {
    const given = { ClusterName: "prod", Identity: "PodIdentity", ServiceAccount: "reader" };
    const { outputs } = await create("operator.yaml", given);
    const { name, annotations } = await accountOf(outputs.HelmValues!);
    expect([name, annotations]).toEqual(["reader", undefined]);
  });

  it("the stack accepts the same cluster names as the operator", () => {
    for (const file of ["operator.yaml", "events.yaml"]) {
      const { AllowedPattern } = template(file).Parameters.ClusterName!;
      const schema = readFileSync(join(root, "helm/keyferry/values.schema.json"), "utf8");
      const { clusterName } = (JSON.parse(schema) as { properties: Record<string, { pattern: string }> }).properties;
      // A name may be left out of the chart, and not of the stack.
      expect(clusterName!.pattern.replace("{0,256}", "{1,256}"), file).toBe(`^${AllowedPattern}$`);
    }
  });
});

describe("the queue of events", () => {
  it("has the tag of this cluster, and its URL is valid in a connection", async () => {
    const { outputs } = await create("events.yaml", { ClusterName: "prod-eu" });
    const queueUrl = outputs.QueueUrl!;
    expect(parseQueueUrl(queueUrl, { region: "eu-west-1" })).toMatchObject({ queue: { account: "123456789012" } });
    const identities = new Identities({
      ...{ clock: systemClock, metrics: new Metrics(), log: silent },
      ...{ allowInsecureEndpoints: true, userAgent: "keyferry/test" },
    });
    const secretAccessKey = Sealed.text("not-checked");
    const identity = identities.get({
      region: "eu-west-1",
      credentials: { kind: "static", accessKeyId: "AKIAKEYFERRYTEST", secretAccessKey },
      endpoints: { sqs: emulator.url },
    });
    expect((await identity.sqs.tags(queueUrl)).get(clusterTag)).toBe("prod-eu");
    identities.close();
  });

  it("accepts messages only from the rules that send to it", () => {
    for (const [file, type] of [
      ["events.yaml", "AWS::SQS::QueuePolicy"],
      ["events-topic.yaml", "AWS::SNS::TopicPolicy"],
    ] as const) {
      const { Resources } = template(file);
      const rules = Object.entries(Resources).filter(([, { Type }]) => Type === "AWS::Events::Rule");
      const policy = JSON.stringify(Object.values(Resources).find(({ Type }) => Type === type));
      const sources = [...policy.matchAll(/!GetAtt ([A-Za-z]+Rule)\.Arn/g)].map(([, name]) => name);
      expect(sources.sort(), file).toEqual(rules.map(([name]) => name).sort());
      expect(policy).toContain("events.amazonaws.com");
      expect(policy).toContain("aws:SourceArn");
    }
  });

  it("is encrypted, and has a dead-letter queue", () => {
    const { Resources } = template("events.yaml");
    const queues = Object.values(Resources).filter(({ Type }) => Type === "AWS::SQS::Queue");
    expect(queues).toHaveLength(2);
    for (const { Properties } of queues) expect(Properties).toMatchObject({ SqsManagedSseEnabled: true });
    expect(Resources.Queue!.Properties.RedrivePolicy).toEqual({
      deadLetterTargetArn: "!GetAtt DeadLetterQueue.Arn",
      maxReceiveCount: expect.toSatisfy((count: number) => count >= 10),
    });
  });

  it("receives only events that the operator understands, also from a topic", async () => {
    const [own, topic] = await Promise.all([
      create("events.yaml", { ClusterName: "prod-eu", KeyCalls: "true" }),
      create("events-topic.yaml", { KeyCalls: "true" }),
    ]);
    expect(Object.keys(own.rules).sort()).toEqual(["KeyCallRule", "KeyRule", "ParameterRule"]);
    for (const rule of Object.values(own.rules)) expect(rule.targets).toEqual([own.outputs.QueueArn]);
    for (const rule of Object.values(topic.rules)) expect(rule.targets).toEqual([topic.outputs.TopicArn]);
    const patterns = ({ rules }: Stack) => Object.entries(rules).map(([name, { pattern }]) => [name, pattern]);
    expect(patterns(own).sort()).toEqual(patterns(topic).sort());
    const events = Object.values(own.rules).flatMap(({ pattern }) => eventsOf(pattern));
    expect(events).toHaveLength(2 + 3 + 6);
    for (const event of events)
      expect(parseNotice(JSON.stringify(event)).kind, JSON.stringify(event)).not.toBe("unknown");
  });

  it("subscribes to an existing topic instead of rules", async () => {
    const topic = await create("events-topic.yaml", {});
    const { resources } = await create("events.yaml", { ClusterName: "b", TopicArn: topic.outputs.TopicArn! });
    expect(resources).toEqual(["DeadLetterQueue", "Queue", "ReceivePolicy"]);
    // Which moto does not make.
    const { Subscription } = template("events.yaml").Resources;
    expect(Subscription).toMatchObject({ Condition: "HasTopic", Properties: { RawMessageDelivery: true } });
  });
});

test("the example's parameters are readable, and have the documented policies", async () => {
  const { status, outputs } = await create("example-parameters.yaml", { ExpiresAt: "2099-01-31T00:00:00.000Z" });
  expect(status).toBe("CREATE_COMPLETE");
  const names = ["/shop/db-user", "/shop/origins", "/shop/settings", "/shop/partner-token"];
  const answer = (await emulator.direct("ssm", "GetParameters", { Names: names })) as {
    Parameters: { Type: string }[];
  };
  expect(answer.Parameters.map(({ Type }) => Type).sort()).toEqual(["String", "String", "String", "StringList"]);
  expect(outputs.PartnerToken).toBe("/shop/partner-token");
  const { Policies } = template("example-parameters.yaml").Resources.PartnerToken!.Properties;
  for (const policy of ["Expiration", "ExpirationNotification", "NoChangeNotification"]) {
    expect(Policies).toContain(`"Type": "${policy}"`);
  }
});

/** One event of each kind that a pattern lets through. */
function eventsOf(pattern: Record<string, unknown>): object[] {
  const names = (pattern.detail as { eventName?: string[] } | undefined)?.eventName ?? [undefined];
  return (pattern["detail-type"] as string[]).flatMap((type) =>
    names.map((eventName) => ({
      source: (pattern.source as string[])[0],
      "detail-type": type,
      account: "123456789012",
      region: "eu-west-1",
      time: "2026-01-02T03:04:05Z",
      resources: (pattern.source as string[])[0] === "aws.kms" ? [key] : [],
      detail: eventName
        ? { eventSource: "kms.amazonaws.com", eventName, requestParameters: { keyId: key } }
        : {
            name: "/shop/db",
            "parameter-name": "/shop/db",
            operation: "Update",
            "policy-type": "Expiration",
            "key-id": key,
          },
    })),
  );
}
