import fc from "fast-check";
import { expect, test } from "vitest";
import { denial } from "../../src/aws/denial.ts";
import type { CallContext } from "../../src/aws/failure.ts";

const about: CallContext = { service: "ssm", operation: "GetParameters", region: "eu-west-1", resource: "/shop/db" };
const usual = "the caller may not ssm:GetParameters on /shop/db in eu-west-1: allow it in the caller's IAM policy";

test("a denial message contains no AWS text except valid ARNs", () => {
  const piece = fc.constantFrom(
    "User: ",
    " is not authorized to perform: ",
    " on resource: ",
    " because ",
    "arn:aws:iam::123456789012:user/",
    "arn:aws:ssm:eu-west-1:123456789012:parameter/",
    "arn:aws:kms:eu-west-1:123456789012:key/",
    "s3cret word",
    "\n",
    "<b>",
    "explicit deny in a session policy",
  );
  const words = fc.array(fc.oneof(piece, fc.string({ unit: "binary", maxLength: 8 })), { maxLength: 12 });
  fc.assert(
    fc.property(words, (parts) => {
      const message = denial(parts.join(""), about);
      expect(message).toMatch(/^[\x20-\x7e]+$/);
      expect(message).not.toMatch(/s3cret word|[<>]/);
      const [, caller, resource] = /^(\S+|the caller) may not ssm:GetParameters on (\S+) in eu-west-1: /.exec(message)!;
      expect(caller).toMatch(/^(the caller|arn:aws:iam::123456789012:user\/[A-Za-z0-9+=,.@_/-]+)$/);
      expect(resource).toMatch(
        /^(\/shop\/db|arn:aws:(ssm|kms):eu-west-1:123456789012:(parameter|key)\/[A-Za-z0-9_./-]+)$/,
      );
    }),
    { numRuns: 1_000 },
  );
});

test.each([
  ["far from the start of the message", `${"x".repeat(5_000)}User: arn:aws:iam::123456789012:user/ferry is not`],
  ["that is too long", `User: arn:aws:iam::123456789012:user/${"a".repeat(10_000)} is not`],
  ["of another service", "User: arn:aws:s3:::bucket is not authorized"],
  ["if the resource is only a name", "x on resource: canary"],
  ["if the resource is a star", "x on resource: *"],
])("ignores an ARN %s", (_, text) => {
  expect(denial(text, about)).toBe(usual);
});

test.each([
  ["explicit deny in an identity-based policy", /a Deny in the caller's IAM policy forbids it$/],
  ["explicit deny in a resource-based policy", /a Deny in the resource's own policy forbids it$/],
  ["explicit deny in a VPC endpoint policy", /a Deny in the VPC endpoint's policy forbids it$/],
  ["explicit deny in a permissions boundary", /a Deny in the caller's permissions boundary forbids it$/],
  ["because no VPC endpoint policy allows the x action", /allow it in the VPC endpoint's policy$/],
  ["because no permissions boundary allows the x action", /allow it in the caller's permissions boundary$/],
  ["because no service control policy allows the x action", /allow it in the service control policies$/],
  ["because no identity-based policy allows the x action", /allow it in the caller's IAM policy$/],
])("AWS's %s becomes a message that says where to fix it", (text, message) => {
  expect(denial(text, about)).toMatch(message);
});

test("names no key if the KMS request had none", () => {
  const unseen =
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.";
  expect(denial(unseen, { service: "kms", operation: "Decrypt", region: "eu-west-1" })).toBe(
    "the key of the ciphertext is not in eu-west-1, does not exist any more, or the caller may not kms:Decrypt on it: use a connection of its region, or allow it in the key's policy and the caller's IAM policy",
  );
});
