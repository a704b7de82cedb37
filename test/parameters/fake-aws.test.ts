import { afterAll, describe, expect, it } from "vitest";
import { Identities, type Identity } from "../../src/aws/identity.ts";
import type { DescribeQuery, ParameterRecord } from "../../src/aws/ssm.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { silent } from "../../src/runtime/log.ts";
import { Sealed } from "../../src/runtime/sealed.ts";
import { startEmulator } from "../emulator/emulator.ts";
import { FakeAws } from "../support/fake-aws.ts";
import { ssmOf } from "../support/permits.ts";

interface Side {
  identity: Identity;
  put(name: string, value: string, type?: ParameterRecord["type"]): Promise<number>;
  label(name: string, label: string, version: number): Promise<void>;
  delete(name: string): Promise<void>;
}

const emulator = await startEmulator({ reads: "memory", quota: "none" });
const identities = new Identities({
  clock: systemClock,
  metrics: new Metrics(),
  log: silent,
  allowInsecureEndpoints: true,
  userAgent: "keyferry/test",
});
afterAll(async () => {
  identities.close();
  await emulator.stop();
});

const fake = new FakeAws(() => Date.now());
const sides: [string, Side][] = [
  [
    "the fake",
    {
      identity: fake.identity(),
      put: async (name, value, type = "SecureString") => fake.put(name, value, type),
      label: async (name, label, version) => fake.label(name, label, version),
      delete: async (name) => fake.delete(name),
    },
  ],
  [
    "the emulator, through the real client",
    {
      identity: identities.get({
        region: "eu-west-1",
        credentials: { kind: "static", accessKeyId: "AKIAKEYFERRYTEST", secretAccessKey: Sealed.text("any") },
        endpoints: { ssm: emulator.url, kms: emulator.url, sts: emulator.url },
      }),
      put: (name, value, type = "SecureString") => emulator.putParameter({ name, value, type }),
      label: async (name, label, version) => void (await emulator.labelParameterVersion(name, [label], version)),
      delete: async (name) => void (await emulator.deleteParameter(name)),
    },
  ],
];

const shape = ({ name, selector, type, version, value }: ParameterRecord) => ({
  name,
  selector,
  type,
  version,
  value: value && Buffer.from(value.reveal()).toString(),
});
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "found",
    (error: unknown) => (error instanceof Failure ? error.reason : "no Failure"),
  );

describe.each(sides)("Parameter Store of %s", (_, side) => {
  const ssm = ssmOf(side.identity);

  it("returns found names in alphabetical order, and invalid names without a reason", async () => {
    await side.put("/c/b", "1");
    await side.put("/c/a", "2", "String");
    const { found, invalid } = await ssm.getParameters(["/c/b", "/c/none", "/c/a", "/c/b:9", "/c/a:prod"], {
      decrypt: true,
    });
    expect(found.map(shape)).toEqual([
      { name: "/c/a", selector: undefined, type: "String", version: 1, value: "2" },
      { name: "/c/b", selector: undefined, type: "SecureString", version: 1, value: "1" },
    ]);
    expect([...invalid].sort()).toEqual(["/c/a:prod", "/c/b:9", "/c/none"]);
  });

  it("returns the requested selector, and follows labels", async () => {
    for (const value of ["one", "two"]) await side.put("/c/v", value);
    await side.label("/c/v", "prod", 1);
    const { found } = await ssm.getParameters(["/c/v:2", "/c/v:prod"], { decrypt: true });
    expect(found.map(shape).sort((a, b) => a.version - b.version)).toEqual([
      { name: "/c/v", selector: ":prod", type: "SecureString", version: 1, value: "one" },
      { name: "/c/v", selector: ":2", type: "SecureString", version: 2, value: "two" },
    ]);
  });

  it("distinguishes a missing name from a missing version in GetParameter", async () => {
    await side.put("/c/there", "v");
    expect(await reasonOf(ssm.getParameter("/c/absent", { decrypt: false }))).toBe("ParameterNotFound");
    expect(await reasonOf(ssm.getParameter("/c/there:7", { decrypt: false }))).toBe("VersionNotFound");
    expect(await reasonOf(ssm.getParameter("/c/there:label", { decrypt: false }))).toBe("VersionNotFound");
    expect(await reasonOf(ssm.getParameter("/c/there", { decrypt: false }))).toBe("found");
  });

  it("returns no value without decryption, and restarts at version 1 with a later time after a deletion", async () => {
    await side.put("/c/again", "v");
    await side.put("/c/again", "w");
    const before = await ssm.getParameter("/c/again", { decrypt: false });
    expect([before.version, before.value]).toEqual([2, undefined]);
    await side.delete("/c/again");
    await new Promise((resolve) => setTimeout(resolve, 5));
    await side.put("/c/again", "x");
    const after = await ssm.getParameter("/c/again", { decrypt: false });
    expect(after.version).toBe(1);
    expect(after.modified).toBeGreaterThan(before.modified);
  });

  it("lists a path in pages, flat or recursive, by type and label", async () => {
    for (let i = 0; i < 12; i++) await side.put(`/p/n${i}`, "v");
    await side.put("/p/deep/x", "v", "String");
    await side.label("/p/n3", "prod", 1);
    const list = async (query: object) => {
      const names: string[] = [];
      let nextToken: string | undefined;
      do {
        const token = nextToken === undefined ? {} : { nextToken };
        const page = await ssm.getParametersByPath({
          path: "/p",
          recursive: false,
          decrypt: false,
          ...query,
          ...token,
        });
        expect(page.found.length).toBeLessThanOrEqual(10);
        names.push(...page.found.map(({ name }) => name));
        nextToken = page.nextToken;
      } while (nextToken !== undefined);
      return names.sort();
    };
    expect(await list({})).toHaveLength(12);
    expect(await list({ recursive: true })).toHaveLength(13);
    expect(await list({ recursive: true, types: ["String"] })).toEqual(["/p/deep/x"]);
    expect(await list({ label: "prod" })).toEqual(["/p/n3"]);
  });

  it("describes parameters by name, or by path and type, with the key and without a value", async () => {
    for (const name of ["/d/a", "/d/deep/b"]) await side.put(name, "v");
    await side.put("/d/c", "v", "String");
    await side.put("/d/c", "w", "String");
    const describing = async (query: DescribeQuery) =>
      (await ssm.describeParameters(query)).found.map(({ name, version, keyId, policies }) => [
        name,
        version,
        keyId,
        policies,
      ]);
    expect(await describing({ names: ["/d/a", "/d/c", "/d/none"] })).toEqual([
      ["/d/a", 1, "alias/aws/ssm", []],
      ["/d/c", 2, undefined, []],
    ]);
    const namesOf = async (query: DescribeQuery) => (await describing(query)).map(([name]) => name).sort();
    expect(await namesOf({ path: { name: "/d", recursive: false } })).toEqual(["/d/a", "/d/c"]);
    expect(await namesOf({ path: { name: "/d", recursive: true }, types: ["SecureString"] })).toEqual([
      "/d/a",
      "/d/deep/b",
    ]);
    expect(await namesOf({ path: { name: "/d", recursive: true }, tags: [["env", "prod"]] })).toEqual([]);
  });
});
