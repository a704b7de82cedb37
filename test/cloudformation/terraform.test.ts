import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { root } from "../../scripts/crds.ts";
import { modules, terraformTool } from "../../scripts/terraform/tool.ts";
import type { Statement } from "../../src/policy/document.ts";
import { blocksOf, pages } from "../docs/pages.ts";
import { type Emulator, startEmulator } from "../emulator/emulator.ts";
import { createStack } from "./stack.ts";
import { template } from "./template.ts";

/** The Terraform module is evaluated without its provider, and compared with the stack that moto creates. */

type Inputs = Record<string, string | boolean | string[]>;

interface Outputs {
  policies: Record<string, { description: string; document: string }>;
  trust: string | null;
  receive: string;
  queue: string;
  rules: Record<string, { description: string; pattern: string }>;
  parameter_key: string;
  helm_values: string;
}

const module = join(root, modules[0]!);
/** Inputs of the module, which the stack does not have. */
const onlyHere = ["events", "tags", "create_parameter_key"];
const account = "123456789012";
const arn = (service: string, rest: string) => `arn:aws:${service}:eu-west-1:${account}:${rest}`;

let emulator: Emulator;
let tool: string;
beforeAll(async () => {
  [emulator, tool] = await Promise.all([startEmulator(), terraformTool()]);
}, 300_000);
afterAll(() => emulator.stop());

const run = (args: string[], input = "") => spawnSync(tool, args, { cwd: root, input, encoding: "utf8" });

/** The inputs of the module, with their defaults as Terraform has them. */
async function inputs(): Promise<Map<string, string>> {
  const text = await readFile(join(module, "variables.tf"), "utf8");
  const blocks = [...text.matchAll(/^variable "(\w+)" \{\n(.*?)^\}/gms)];
  return new Map(blocks.map(([, name, body]) => [name!, /^ {2}default\s+= (.*)$/m.exec(body!)?.[1] ?? "null"]));
}

/** Evaluates the policies for some inputs of the module, as the module calls them. */
async function evaluate(given: Inputs, found: Record<string, string | string[]> = {}): Promise<Outputs> {
  const defaults = [...(await inputs())].filter(([name]) => !onlyHere.includes(name) && name !== "eks_cluster_name");
  const variables = {
    ...Object.fromEntries(defaults.map(([name, value]) => [name, JSON.parse(value) as unknown])),
    ...{ partition: "aws", dns_suffix: "amazonaws.com", account_id: account, region: "eu-west-1" },
    ...{ role_arn: "", queue_arn: "", source_arns: [], ...given, ...found },
  };
  const { stdout, stderr, status } = run(["evaluate", modules[1]!], JSON.stringify(variables));
  expect([stderr, status]).toEqual(["", 0]);
  return JSON.parse(stdout) as Outputs;
}

/** The stack's parameters with the values of the module's inputs: `key_arns` is `KeyArns`. */
function parametersOf(given: Inputs): Record<string, string> {
  const nameOf = (name: string) => name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [
      nameOf(name),
      Array.isArray(value) ? value.join(",") : String(value),
    ]),
  );
}

const statementsOf = (document: string) => (JSON.parse(document) as { Statement: Statement[] }).Statement;

const irsa: Inputs = {
  cluster_name: "prod-eu",
  identity: "IRSA",
  oidc_provider: "oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE",
};
const everything: Inputs = {
  ...irsa,
  namespace: "ops",
  service_account: "reader",
  parameter_prefixes: ["/shop", "/stock", "/shared"],
  shared_parameter_arns: [
    "arn:aws:ssm:eu-west-1:333333333333:parameter/shared/a",
    "arn:aws:ssm:*::parameter/aws/service/*",
  ],
  secret_arns: [arn("secretsmanager", "secret:db-??????")],
  key_arns: [arn("kms", "key/1234abcd-12ab-34cd-56ef-1234567890ab")],
  parameter_key_arns: [arn("kms", "key/abcd1234-12ab-34cd-56ef-1234567890ab")],
  describe: true,
  assume_role_arns: [`arn:aws:iam::${account}:role/a`, "arn:aws:iam::222222222222:role/b"],
  key_calls: true,
};
const sets: Record<string, Inputs> = {
  "IRSA and nothing more": irsa,
  "every input": everything,
  "Pod Identity, two prefixes, and keys of SecureStrings": {
    ...{ cluster_name: "prod:eu/1", identity: "PodIdentity", parameter_prefixes: ["/shop", "/shared"] },
    parameter_key_arns: everything.parameter_key_arns!,
  },
};

describe("the module and the stack have the same", () => {
  it.each(Object.keys(sets))("policies, trust, rules and values for %s", async (name) => {
    const given = sets[name]!;
    const stack = await createStack(emulator.url, "keyferry.yaml", parametersOf(given));
    const made = await evaluate(given, {
      role_arn: stack.outputs.RoleArn!,
      queue_arn: stack.outputs.QueueArn!,
    });
    const policies = Object.entries({ ...made.policies, receive: { document: made.receive } });
    const byName = policies.map(([policy, { document }]) => [`${policy}policy`, statementsOf(document)] as const);
    const ofStack = Object.entries(stack.policies).map(([id, { Statement }]) => [id.toLowerCase(), Statement] as const);
    expect(Object.fromEntries(byName)).toEqual(Object.fromEntries(ofStack));
    expect(statementsOf(made.trust!)).toEqual(stack.roles.Role!.trust.Statement);
    const names: Record<string, string> = { ParameterRule: "parameters", KeyRule: "keys", KeyCallRule: "key_calls" };
    const patterns = Object.entries(stack.rules).map(([id, { pattern }]) => [names[id], pattern] as const);
    const rules = Object.entries(made.rules).map(
      ([rule, { pattern }]) => [rule, JSON.parse(pattern) as object] as const,
    );
    expect(Object.fromEntries(rules)).toEqual(Object.fromEntries(patterns));
    expect(parse(made.helm_values)).toEqual(parse(stack.outputs.HelmValues!));
  });

  it.each([
    ["rules", "", ["!GetAtt ParameterRule.Arn", "!GetAtt KeyRule.Arn"], 1],
    ["a topic", "!Ref TopicArn", "!Ref TopicArn", 2],
  ] as const)("policy of the queue, with %s", async (_, topic, sources, branch) => {
    const { PolicyDocument } = template("events.yaml").Resources.QueuePolicy!.Properties as {
      PolicyDocument: { Statement: [[string, object, object], object] };
    };
    const [send, deny] = PolicyDocument.Statement;
    const source_arns = [sources].flat();
    const { queue } = await evaluate({ ...irsa, topic_arn: topic }, { queue_arn: "!GetAtt Queue.Arn", source_arns });
    const expected = JSON.parse(JSON.stringify([send[branch], deny])) as { Condition: { ArnEquals?: object } }[];
    // The template's third rule is there on a condition, and a single source is no list.
    expected[0]!.Condition.ArnEquals = { "aws:SourceArn": source_arns };
    expect(statementsOf(queue)).toEqual(expected);
  });

  it("inputs, but for those of the module alone", async () => {
    const own = [...(await inputs()).keys()].filter((name) => !onlyHere.includes(name));
    const parameters = Object.keys(template("keyferry.yaml").Parameters);
    expect(Object.keys(parametersOf(Object.fromEntries(own.map((name) => [name, ""])))).sort()).toEqual(
      parameters.sort(),
    );
  });
});

it("there is no role with the identity None", async () => {
  expect((await evaluate({ ...irsa, identity: "None" })).trust).toBeNull();
});

it("the key for SecureStrings is used only through Systems Manager, and an administrator keeps control of it", async () => {
  const { parameter_key } = await evaluate(irsa);
  const statements = statementsOf(parameter_key);
  const use = /\*$|crypt|Generate|Sign|Mac|Grant/;
  const administration = /^kms:(Describe|Disable|Enable|Get|List|Update)\*$/;
  const using = statements.filter(({ Action }) =>
    [Action].flat().some((action) => use.test(action) && !administration.test(action)),
  );
  expect(using.map(({ Sid, Condition }) => [Sid, Condition])).toEqual([
    ["UseThroughSystemsManager", { StringEquals: { "kms:ViaService": "ssm.eu-west-1.amazonaws.com" } }],
  ]);
  expect(statements[0]).toMatchObject({ Action: expect.arrayContaining(["kms:PutKeyPolicy"]) });
});

describe("the check of modules", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "keyferry-terraform-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it("accepts the module: its format, its names and its calls", () => {
    const { stderr, status } = run(["check", ...modules]);
    expect([stderr, status]).toEqual(["", 0]);
  });

  it("accepts the format of the examples in the pages", async () => {
    const blocks = pages.flatMap(blocksOf).filter(({ language }) => language === "hcl");
    expect(blocks).not.toHaveLength(0);
    for (const { text } of blocks) {
      await writeFile(join(folder, "main.tf"), text.replace("github.com/keyferry/keyferry//aws/terraform", module));
      const { stderr, status } = run(["check", folder]);
      expect([stderr, status]).toEqual(["", 0]);
    }
  });

  it("refuses a wrong format, and names that nothing declares", async () => {
    await writeFile(join(folder, "main.tf"), 'output "a" {\n  value   = [var.b, local.c, aws_sqs_queue.d.arn]\n}\n');
    const { stderr, status } = run(["check", folder]);
    expect(status).toBe(1);
    for (const wrong of ["is not formatted", "var.b", "local.c", "aws_sqs_queue.d"]) expect(stderr).toContain(wrong);
  });
});
