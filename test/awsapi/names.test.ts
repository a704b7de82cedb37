import fc from "fast-check";
import { expect, test } from "vitest";
import { nameProblem, parseKeyArn, parseParameterRef, partitions } from "../../src/aws/names.ts";

const account = "123456789012";

test.each([
  ["a name with a slash in front", "/shop/db", "/shop/db"],
  ["a name without one, which is the same name", "db", "/db"],
  ["fifteen levels", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15"],
  ["every character that a name may have", "/aZ0_.-/x", "/aZ0_.-/x"],
])("takes %s", (_, text, name) => {
  expect(parseParameterRef(text)).toEqual({ ref: { kind: "name", name } });
});

test.each(partitions)("takes the ARN of a parameter in the partition %s", (partition) => {
  const text = `arn:${partition}:ssm:eu-west-1:${account}:parameter/shop/db`;
  const ref = { kind: "arn", partition, region: "eu-west-1", account, name: "/shop/db" };
  expect(parseParameterRef(text)).toEqual({ ref });
});

test("takes the ARN of a parameter that AWS publishes, which has no account", () => {
  const text = "arn:aws:ssm:eu-west-1::parameter/aws/service/eks/version";
  expect(parseParameterRef(text)).toMatchObject({ ref: { account: "", name: "/aws/service/eks/version" } });
});

test.each([
  ["nothing", ""],
  ["a lone slash", "/"],
  ["a space", "/shop/d b"],
  ["a version behind a colon", "/shop/db:3"],
  ["a label behind a colon", "db:prod"],
  ["two dots", "/shop/../db"],
  ["two slashes", "/shop//db"],
  ["a slash at the end", "/shop/"],
  ["an encoded slash", "/shop%2Fdb"],
  ["a letter that only looks like one", "/shоp/db"],
  ["a wildcard", "/shop/*"],
  ["a line feed at the end", "/shop/db\n"],
  ["sixteen levels", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"],
  ["1,012 characters", `/${"a".repeat(1011)}`],
  ["an ARN with a version behind", `arn:aws:ssm:eu-west-1:${account}:parameter/shop/db:3`],
  ["an ARN of another service", `arn:aws:kms:eu-west-1:${account}:parameter/shop/db`],
  ["an ARN of another resource", `arn:aws:ssm:eu-west-1:${account}:document/shop/db`],
  ["an ARN of a partition that is none", `arn:awsx:ssm:eu-west-1:${account}:parameter/shop/db`],
  ["an ARN without account of a customer's name", "arn:aws:ssm:eu-west-1::parameter/shop/db"],
  ["an ARN with two dots in its name", `arn:aws:ssm:eu-west-1:${account}:parameter/shop/../db`],
  ["an ARN in capitals", `ARN:aws:ssm:eu-west-1:${account}:parameter/shop/db`],
])("refuses %s, and says what a name is like", (_, text) => {
  const parsed = parseParameterRef(text);
  expect("problem" in parsed && parsed.problem).toMatch(/^a parameter's (name|ARN) /);
});

test.each([
  ["a key's ARN", `arn:aws:kms:eu-west-1:${account}:key/1234abcd-12ab-34cd-56ef-1234567890ab`, true],
  ["a multi-Region key's ARN", `arn:aws-cn:kms:cn-north-1:${account}:key/mrk-1234abcd12ab34cd56ef1234567890ab`, true],
  ["an alias's ARN", `arn:aws:kms:eu-west-1:${account}:alias/shop`, false],
  ["a bare id", "1234abcd-12ab-34cd-56ef-1234567890ab", false],
  ["an alias", "alias/shop", false],
  ["an ARN with more behind it", `arn:aws:kms:eu-west-1:${account}:key/1234:x`, false],
])("%s is the ARN of a key: %s → %s", (_, text, is) => {
  expect(parseKeyArn(text) !== undefined).toBe(is);
});

test("a name that is taken has only characters that AWS takes, whatever comes", () => {
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

test("reads an ARN as what it was made of", () => {
  const name = fc.stringMatching(/^(\/[a-zA-Z0-9_-]{1,8}){1,4}$/);
  fc.assert(
    fc.property(fc.constantFrom(...partitions), name, (partition, name) => {
      const ref = { kind: "arn", partition, region: "us-east-1", account, name };
      expect(parseParameterRef(`arn:${partition}:ssm:us-east-1:${account}:parameter${name}`)).toEqual({ ref });
    }),
  );
});
