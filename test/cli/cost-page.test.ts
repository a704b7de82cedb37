import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { stringify } from "yaml";
import { keyferry } from "./run.ts";

const apiVersion = "keyferry.io/v1alpha1";
const count = 100;
const page = await readFile("docs/costs.md", "utf8");

interface Printed {
  costs: { what: string; count: number; once: boolean }[];
  dollars: number;
}

interface Kind {
  what: string;
  /** The spec of the n-th SyncedSecret. */
  spec: (n: number) => object;
  events?: true;
  args?: string[];
}

const ten = (n: number) => ({
  data: Array.from({ length: 10 }, (_, at) => ({ key: `K${at}`, parameter: { name: `/shop/p${n}/${at}` } })),
});
const keyId = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const one = (source: object) => () => ({ data: [{ key: "A", ...source }] });

const kinds: Kind[] = [
  { what: "ten parameters each", spec: ten },
  { what: "the same, announced", spec: ten, events: true },
  { what: "the same, advanced", spec: ten, args: ["--advanced", "1000"] },
  { what: "the same, advanced and announced", spec: ten, events: true, args: ["--advanced", "1000"] },
  { what: "the same, higher throughput on", spec: ten, args: ["--higher-throughput"] },
  { what: "a path of ten each", spec: (n) => ({ dataFrom: [{ path: { name: `/shop/p${n}` } }] }) },
  { what: "one parameter that all share", spec: one({ parameter: { name: "/shop/shared" } }) },
  { what: "one blob each, under one key", spec: one({ kms: { ciphertext: "AQICAA==", keyId } }) },
  {
    what: "one secret of Secrets Manager each",
    spec: (n) => one({ parameter: { name: `/aws/reference/secretsmanager/s${n}` } })(),
  },
];

async function reckon({ spec, events, args = [] }: Kind): Promise<Printed> {
  const queueUrl = "https://sqs.eu-west-1.amazonaws.com/123456789012/keyferry";
  const connection = {
    ...{ apiVersion, kind: "ClusterAWSConnection", metadata: { name: "default" } },
    spec: {
      region: "eu-west-1",
      allow: { namespaces: { names: ["shop"] }, parameters: ["/*", "/aws/reference/*"], keyIds: ["*"] },
      ...(events ? { events: { queueUrl } } : {}),
    },
  };
  const objects = Array.from({ length: count }, (_, n) => ({
    ...{ apiVersion, kind: "SyncedSecret", metadata: { name: `s${n}`, namespace: "shop" } },
    spec: spec(n),
  }));
  const input = [connection, ...objects].map((object) => stringify(object)).join("---\n");
  const { out, err } = await keyferry(["cost", "-o", "json", "--changes-per-day", "10", ...args], { input });
  expect(err).toBe("");
  return JSON.parse(out) as Printed;
}

it("the table of docs/costs.md matches keyferry cost", async () => {
  const rows = [];
  for (const kind of kinds) {
    const { costs, dollars } = await reckon(kind);
    const sum = (pattern: RegExp, once = false) =>
      costs
        .filter((cost) => cost.once === once && pattern.test(cost.what))
        .reduce((all, cost) => all + cost.count, 0)
        .toLocaleString("en-US");
    const cells = [
      sum(/polls without/),
      sum(/^kms:(Decrypt|DescribeKey)/),
      sum(/kms:/, true),
      `$${dollars.toFixed(2)}`,
    ];
    rows.push(`| ${[kind.what, ...cells].join(" | ")} |`);
  }
  expect(page.split("\n").filter((line) => kinds.some(({ what }) => line.startsWith(`| ${what} |`)))).toEqual(rows);
});

it("the example of docs/costs.md matches the output", async () => {
  const [, input] = /```yaml\n(.*?)```/s.exec(page)!;
  const [, command, shown] = /```console\n\$ (keyferry cost .*?)\n(.*?)```/s.exec(page)!;
  const args = command!.split(" ").slice(1);
  const { code, out } = await keyferry(args, { input: input! });
  expect([code, out]).toEqual([0, shown]);
});
