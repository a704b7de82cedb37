import { Failure } from "../runtime/failure.ts";

/**
 * Names of encryption contexts by which AWS services, and AWS's own libraries, tell their ciphertexts from others, in
 * lower case: Systems Manager and Secrets Manager; the Encryption SDK's branch keys; the S3 Encryption Client; AWS Glue
 * (their developer guides, "encryption context").
 */
const names: ReadonlySet<string> = new Set([
  "parameter_arn",
  "secretarn",
  "secretversionid",
  "branch-key-id",
  "hierarchy-version",
  "kms_cmk_id",
  "glue_catalog_id",
]);

/** Prefix of all other names of this kind: `aws:ebs:id`, `aws:s3:arn`, `aws:lambda:FunctionArn`. */
const servicePrefix = "aws:";

/** Prefix of the names that the Encryption SDK adds to a context. */
const libraryPrefix = "aws-crypto-";

function isService(name: string): boolean {
  return names.has(name.toLowerCase()) || name.toLowerCase().startsWith(servicePrefix);
}

function notAllowed(entry: string, what: string): Failure {
  const why = "what AWS services keep encrypted is read through the service alone, as a parameter for instance";
  return new Failure("NotAllowed", "stalled", `${entry}: ${what}: ${why}`);
}

/**
 * Rejects a user's context that AWS services use: users without decrypt permission can obtain a SecureString's
 * ciphertext.
 *
 * @param entry its name in messages
 * @throws Failure NotAllowed
 */
export function refuseServiceContext(context: Readonly<Record<string, string>>, entry: string): void {
  const name = Object.keys(context).find((one) => isService(one) || one.toLowerCase().startsWith(libraryPrefix));
  if (name !== undefined) {
    throw notAllowed(entry, `encryptionContext has ${JSON.stringify(name.slice(0, 64))}, a name that AWS itself uses`);
  }
}

/**
 * Rejects a message that an AWS service encrypted, such as a SecureString of the advanced tier. The library's own
 * names, which it adds to every signed message, are allowed.
 *
 * @param context of the message's header
 * @throws Failure NotAllowed
 */
export function refuseServiceMessage(context: ReadonlyMap<string, string>, entry: string): void {
  if ([...context.keys()].some(isService)) {
    throw notAllowed(entry, "the message was made by an AWS service, as its encryption context says");
  }
}
