import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { type AuditEvent, auditLines } from "../../src/runtime/audit.ts";

const at = Date.parse("2026-01-02T03:04:05.678Z");
const requestId = "0f0f0f0f-1111-2222-3333-444444444444";
const caller = { account: "123456789012", arn: "arn:aws:sts::123456789012:assumed-role/keyferry/keyferry.prod" };
const read: AuditEvent = {
  event: "read",
  kind: "parameter",
  source: "/shop/db",
  selector: ":prod",
  version: 3,
  resources: ["shop/web", "shop/api"],
  region: "eu-west-1",
  caller,
  requestId,
};

const parsed = (event: AuditEvent) => auditLines(event, at).map((line) => JSON.parse(line) as Record<string, unknown>);

describe("an audit line", () => {
  it("names source, version, resources, caller and request", () => {
    expect(parsed(read)).toEqual([
      {
        audit: 1,
        time: "2026-01-02T03:04:05.678Z",
        event: "read",
        kind: "parameter",
        source: "/shop/db",
        selector: ":prod",
        version: 3,
        resources: ["shop/api", "shop/web"],
        resourceCount: 2,
        account: "123456789012",
        caller: caller.arn,
        region: "eu-west-1",
        requestId,
      },
    ]);
  });

  it("omits unknown fields, and has the reason of a failure", () => {
    const { selector, version, ...rest } = read;
    const event = { ...rest, event: "fail", reason: "Throttled", code: "ThrottlingException" } as const;
    expect(parsed({ ...event, resources: ["shop/web"], caller: undefined, requestId: undefined })).toEqual([
      {
        audit: 1,
        time: "2026-01-02T03:04:05.678Z",
        event: "fail",
        kind: "parameter",
        source: "/shop/db",
        reason: "Throttled",
        code: "ThrottlingException",
        resources: ["shop/web"],
        resourceCount: 1,
        region: "eu-west-1",
      },
    ]);
  });
});

const dnsName = (most: number) =>
  fc.string({ unit: fc.constantFrom("a", "7", "-", "."), minLength: 1, maxLength: most });
const resource = fc.tuple(dnsName(63), dnsName(253)).map(([namespace, name]) => `${namespace}/${name}`);

test("names each of many resources once, on lines that a pipe writes atomically", () => {
  fc.assert(
    fc.property(fc.uniqueArray(resource, { minLength: 1, maxLength: 150 }), (resources) => {
      const event: AuditEvent = {
        ...read,
        source: `arn:aws:ssm:eu-west-1:123456789012:parameter/${"x".repeat(960)}`,
        selector: `:${"l".repeat(100)}`,
        key: `arn:aws:kms:eu-west-1:123456789012:key/mrk-${"0".repeat(32)}`,
        code: "ParameterVersionNotFoundException",
        reason: "ParameterNotFound",
        caller: {
          account: caller.account,
          arn: `arn:aws:sts::123456789012:assumed-role/${"r".repeat(64)}/${"s".repeat(64)}`,
        },
        resources,
      };
      const lines = auditLines(event, at);
      for (const line of lines) {
        expect(Buffer.byteLength(line)).toBeLessThan(4_096);
        expect(line.indexOf("\n")).toBe(line.length - 1);
      }
      const named = lines.flatMap((line) => (JSON.parse(line) as { resources: string[] }).resources);
      expect(named).toEqual([...resources].sort());
      for (const line of lines) expect(JSON.parse(line)).toMatchObject({ resourceCount: resources.length, requestId });
    }),
    { numRuns: 60 },
  );
});

test("truncates overlong names, so that a pipe writes the line atomically", () => {
  const long = "x".repeat(9_000);
  const [line = ""] = auditLines({ ...read, source: long, selector: long, key: long, code: long }, at);
  expect(Buffer.byteLength(line)).toBeLessThan(4_096);
});

test("stays one line of JSON for any name", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (source, key) => {
      const lines = auditLines({ ...read, source, key }, at);
      expect(lines).toHaveLength(1);
      expect(lines[0]!.trimEnd()).not.toMatch(/[\r\n]/);
      expect(JSON.parse(lines[0]!)).toMatchObject({ source: source.slice(0, 1_100), key: key.slice(0, 300) });
    }),
  );
});
