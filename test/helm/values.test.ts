import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { chart, template } from "./chart.ts";

interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  definitions?: Record<string, Schema>;
  deprecated?: boolean;
}

const schema = JSON.parse(readFileSync(join(chart, "values.schema.json"), "utf8")) as Schema;
const values = parse(readFileSync(join(chart, "values.yaml"), "utf8")) as Record<string, unknown>;

const refused: Record<string, [values: object, says: string]> = {
  "an unknown value": [{ extraArg: [] }, "additional properties 'extraArg' not allowed"],
  "an unknown nested value": [{ aws: { regoin: "eu-west-1" } }, "at '/aws'"],
  "a misspelt field of a toleration": [{ tolerations: [{ keys: "a" }] }, "additional properties 'keys' not allowed"],
  "a misspelt field deep in the affinity": [
    {
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchLabels: {} }] },
        },
      },
    },
    "additional properties 'matchLabels' not allowed",
  ],
  "a misspelt source of an environment variable": [
    { extraEnv: [{ name: "A", valueFrom: { secretRef: { name: "a", key: "b" } } }] },
    "additional properties 'secretRef' not allowed",
  ],
  "a hundred replicas": [{ replicas: 100 }, "at '/replicas': maximum: got 100, want 10"],
  "two replicas without leader election": [
    { leaderElection: { enabled: false }, strategy: { type: "Recreate" } },
    "replicas is 2, but leaderElection.enabled is false",
  ],
  "a privileged port": [{ metrics: { port: 80 } }, "minimum"],
  "an invalid region": [{ aws: { region: "Ireland" } }, "at '/aws/region'"],
  "an invalid duration": [{ missingGrace: "5 minutes" }, "at '/missingGrace'"],
  "a cluster name with a space": [{ clusterName: "my cluster" }, "at '/clusterName'"],
  "an unknown log level": [{ logLevel: "verbose" }, "at '/logLevel'"],
  "an audit log in the root folder, which cannot be a volume": [{ auditLog: "/audit.jsonl" }, "at '/auditLog'"],
  "an audit log with a relative path": [{ auditLog: "audit.jsonl" }, "at '/auditLog'"],
  "an audit log path with ..": [{ auditLog: "/var/../etc/audit" }, "at '/auditLog'"],
  "an endpoint of traces without a scheme": [{ tracing: { endpoint: "collector:4318" } }, "at '/tracing/endpoint'"],
  "an endpoint of traces with a password": [{ tracing: { endpoint: "http://a:b@c:4318" } }, "at '/tracing/endpoint'"],
  "more traces than reconciles": [{ tracing: { sampleRatio: 2 } }, "at '/tracing/sampleRatio'"],
  "an invalid proxy URL": [{ proxy: { https: "proxy:3128" } }, "at '/proxy/https'"],
  "two sources of certificates": [
    { extraCa: { configMap: "a", secret: "b" } },
    "extraCa takes its certificates from one",
  ],
  "a namespace with a comma": [{ namespaces: ["a,b"] }, "at '/namespaces/0'"],
  "a namespace given twice": [{ namespaces: ["a", "a"] }, "at '/namespaces'"],
  "a default connection without a namespace": [{ defaultConnection: "aws" }, "at '/defaultConnection'"],
  "a default connection while all namespaces are watched": [
    { defaultConnection: "a/aws" },
    "defaultConnection is only for an installation with namespaces",
  ],
  "a region for some namespaces only": [
    { aws: { region: "eu-west-1" }, namespaces: ["a"] },
    "aws.region makes a ClusterAWSConnection",
  ],
};

describe("the chart refuses", () => {
  test.each(Object.entries(refused))("%s", async (_, [given, says]) => {
    const { stderr, code } = await template(given);
    expect(code).toBe(1);
    expect(stderr).toContain(says);
  });
});

test("the chart accepts global values of a parent chart", async () => {
  expect(await template({ global: { anything: true } })).toMatchObject({ code: 0 });
});

test("every object of the schema rejects unknown fields, except for maps of strings and quantities", () => {
  const open: string[] = [];
  const visit = (at: Schema, path: string) => {
    if (at.type === "object") {
      const { properties, additionalProperties } = at;
      const isMap = !properties && typeof additionalProperties === "object";
      if (!isMap && additionalProperties !== false) open.push(path);
    }
    for (const [name, child] of Object.entries({ ...at.properties, ...at.definitions }))
      visit(child, `${path}/${name}`);
    if (typeof at.additionalProperties === "object") visit(at.additionalProperties, `${path}/*`);
    if (at.items) visit(at.items, `${path}[]`);
  };
  visit(schema, "");
  expect(open).toEqual(["/global"]);
  // Objects of any kind.
  expect(schema.properties?.extraObjects?.items?.type).toEqual(["object", "string"]);
});

test("values.yaml contains each value of the schema, in camelCase", () => {
  const names = (at: Schema, given: unknown, path = ""): string[] =>
    Object.entries(at.properties ?? {}).flatMap(([name, child]) => {
      if (child.deprecated) return [];
      const value = (given as Record<string, unknown> | undefined)?.[name];
      return [...(value === undefined ? [`${path}/${name}`] : []), ...names(child, value, `${path}/${name}`)];
    });
  const missing = names(schema, values).filter((path) => path !== "/global");
  expect(missing).toEqual([]);
  expect(Object.keys(values).filter((name) => !/^[a-z]+([A-Z][a-z]+)*$/.test(name))).toEqual([]);
});

test("each value in values.yaml has a comment above it or above its group", () => {
  const groups = readFileSync(join(chart, "values.yaml"), "utf8").trim().split("\n\n");
  const bare = groups.filter((group) => !group.includes("#"));
  expect(bare).toEqual([]);
});
