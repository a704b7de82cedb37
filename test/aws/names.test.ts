import fc from "fast-check";
import { expect, test } from "vitest";
import { nameProblem, parseKeyArn, parseParameterRef, partitions } from "../../src/aws/names.ts";

const account = "123456789012";

test.each([
  ["a name with a leading slash", "/shop/db", "/shop/db"],
  ["a name without a leading slash, as the same name", "db", "/db"],
  ["fifteen levels", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15"],
  ["every valid character", "/aZ0_.-/x", "/aZ0_.-/x"],
])("accepts %s", (_, text, name) => {
  expect(parseParameterRef(text)).toEqual({ ref: { kind: "name", name } });
});

test.each(partitions)("accepts the ARN of a parameter in the partition %s", (partition) => {
  const text = `arn:${partition}:ssm:eu-west-1:${account}:parameter/shop/db`;
  const ref = { kind: "arn", partition, region: "eu-west-1", account, name: "/shop/db" };
  expect(parseParameterRef(text)).toEqual({ ref });
});

test("accepts the ARN of a public parameter, which has no account", () => {
  const text = "arn:aws:ssm:eu-west-1::parameter/aws/service/eks/version";
  expect(parseParameterRef(text)).toMatchObject({ ref: { account: "", name: "/aws/service/eks/version" } });
});

test.each([
  ["an empty name", ""],
  ["a single slash", "/"],
  ["a space", "/shop/d b"],
  ["a version after a colon", "/shop/db:3"],
  ["a label after a colon", "db:prod"],
  ["two dots", "/shop/../db"],
  ["two slashes", "/shop//db"],
  ["a trailing slash", "/shop/"],
  ["an encoded slash", "/shop%2Fdb"],
  ["a Cyrillic letter that looks like a Latin letter", "/shоp/db"],
  ["a wildcard", "/shop/*"],
  ["a trailing line feed", "/shop/db\n"],
  ["sixteen levels", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"],
  ["1,012 characters", `/${"a".repeat(1011)}`],
  ["an ARN with a version", `arn:aws:ssm:eu-west-1:${account}:parameter/shop/db:3`],
  ["an ARN of another service", `arn:aws:kms:eu-west-1:${account}:parameter/shop/db`],
  ["an ARN of another resource", `arn:aws:ssm:eu-west-1:${account}:document/shop/db`],
  ["an ARN of an unknown partition", `arn:awsx:ssm:eu-west-1:${account}:parameter/shop/db`],
  ["an ARN without account whose name is not public", "arn:aws:ssm:eu-west-1::parameter/shop/db"],
  ["an ARN with two dots in its name", `arn:aws:ssm:eu-west-1:${account}:parameter/shop/../db`],
  ["an ARN in capitals", `ARN:aws:ssm:eu-west-1:${account}:parameter/shop/db`],
])("refuses %s, with a message that describes a valid name", (_, text) => {
  const parsed = parseParameterRef(text);
  expect("problem" in parsed && parsed.problem).toMatch(/^a parameter's (name|ARN) /);
});

test.each([
  ["a key's ARN", `arn:aws:kms:eu-west-1:${account}:key/1234abcd-12ab-34cd-56ef-1234567890ab`, true],
  ["a multi-Region key's ARN", `arn:aws-cn:kms:cn-north-1:${account}:key/mrk-1234abcd12ab34cd56ef1234567890ab`, true],
  ["an alias's ARN", `arn:aws:kms:eu-west-1:${account}:alias/shop`, false],
  ["a bare id", "1234abcd-12ab-34cd-56ef-1234567890ab", false],
  ["an alias", "alias/shop", false],
  ["an ARN with a suffix", `arn:aws:kms:eu-west-1:${account}:key/1234:x`, false],
])("recognizes %s as the ARN of a key: %s → %s", (_, text, is) => {
  expect(parseKeyArn(text) !== undefined).toBe(is);
});

test("accepts only names with valid characters, for any input", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^\/?[a-z./:%_-]{0,30}$/)), (text) => {
      const parsed = parseParameterRef(text);
      if ("problem" in parsed) return;
      expect(nameProblem(parsed.ref.name)).toBeUndefined();
      expect(parsed.ref.name).not.toMatch(/\.\.|\/\/|\/$|[^a-zA-Z0-9_.\-/]/);
      expect(parsed.ref.name.replace(/^\//, "")).toBe(text.replace(/^\//, ""));
    }),
  );
});

test("parses an ARN into its parts", () => {
  const name = fc.stringMatching(/^(\/[a-zA-Z0-9_-]{1,8}){1,4}$/);
  fc.assert(
    fc.property(fc.constantFrom(...partitions), name, (partition, name) => {
      const ref = { kind: "arn", partition, region: "us-east-1", account, name };
      expect(parseParameterRef(`arn:${partition}:ssm:us-east-1:${account}:parameter${name}`)).toEqual({ ref });
    }),
  );
});
