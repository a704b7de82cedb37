import type { Command } from "commander";
import { PersonsKms, regionOfKey } from "./aws.ts";
import { checkSize, encryptedSource, limits, printed } from "./encrypt-entry.ts";
import { type EncryptFlags, encryptSettings } from "./encrypt-settings.ts";
import { applyWarning, valueWarnings } from "./encrypt-warnings.ts";
import { readValue } from "./input.ts";
import { print, say } from "./output.ts";
import { neverAnArgument, oneLine, UsageError } from "./usage.ts";

/** Declares the flags of `keyferry encrypt`. */
export function addEncryptOptions(command: Command): void {
  command
    .description("Encrypt a value from standard input or a file into an entry of a SyncedSecret.")
    .argument("[file]", "file that holds the value; standard input when left out")
    .option("--key <key>", "KMS key: its ARN, id or alias; several times with --encryption-sdk", each)
    .option("--data-key <name>", "key in the Secret; the file's name when left out")
    .option("--context <name=value>", "pair of the encryption context, which is no secret; several times", each)
    .option("--bind <namespace/name>", "bind to one SyncedSecret; NAMESPACE alone for binding.scope Namespace")
    .option("--cluster-name <name>", "the operator's --cluster-name there; with --bind")
    .option("--algorithm <algorithm>", "SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1 or RSAES_OAEP_SHA_256")
    .option("--public-key <file>", "make it offline with an RSA key's public key: AWS is not called")
    .option("--encryption-sdk", "make a message of the AWS Encryption SDK: any size, several keys")
    .option("--manifest <name>", "print a whole SyncedSecret of this name, not the entry alone")
    .option("--namespace <namespace>", "namespace of the SyncedSecret; with --manifest")
    .option("--region <region>", "AWS region; that of the key's ARN or of the AWS environment when left out")
    .option("--allow-insecure-endpoints", "take AWS_ENDPOINT_URL, also plain http and this machine: for emulators")
    .configureOutput({ outputError: (text, write) => write(withoutValue(text)) })
    .allowExcessArguments();
}

/**
 * Removes an unknown option's text, which may be a value and which commander repeats. Its suggestion, one of our flags,
 * stays.
 */
function withoutValue(text: string): string {
  const unknown = /^error: unknown option '.*'(?:\n(\(Did you mean [a-z, -]*\?\)))?\n$/s.exec(text);
  if (!unknown) return oneLine(text);
  return oneLine([notAFlag, ...unknown.slice(1, 2)].join(" "));
}

const notAFlag = `there is an argument that is no flag of encrypt, nor its one file; ${neverAnArgument}`;

/** Appends one value of a repeatable flag. */
function each(value: string, before: string[] = []): string[] {
  return [...before, value];
}

/**
 * Encrypts, and prints the entry or the manifest. The value is never printed.
 *
 * @param args the arguments that are no flags
 * @returns the exit code
 * @throws UsageError, Failure
 */
export async function runEncrypt(flags: EncryptFlags, args: readonly string[]): Promise<number> {
  const [file, ...more] = args;
  if (more.length > 0 || (file?.startsWith("-") && file !== "-")) {
    throw new UsageError(notAFlag);
  }
  const settings = encryptSettings(flags, file);
  const value = await readValue(file, limits.message);
  checkSize(value.size, settings);
  const kms = new PersonsKms(flags);
  try {
    const region = flags.region ?? regionOfKey(settings.keys[0]!);
    const isAsked = settings.kind !== "offline" && settings.keys.some((key) => regionOfKey(key) === undefined);
    if (isAsked) await kms.findRegion();
    const source = await encryptedSource(value, settings, (where) => kms.in(where), region);
    print(printed(source, settings));
    for (const line of [...valueWarnings(value.reveal()), applyWarning(source)]) {
      if (line !== undefined) say(`keyferry: ${line}`);
    }
  } finally {
    kms.close();
  }
  return 0;
}
