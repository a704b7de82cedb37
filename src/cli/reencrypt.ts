import type { Command } from "commander";
import { AwsFailure } from "../aws/failure.ts";
import type { KmsEncryptPort } from "../aws/kms-encrypt.ts";
import { parseKeyRef } from "../aws/names.ts";
import { parseBase64 } from "../ciphertexts/base64.ts";
import { boundPairs } from "../ciphertexts/binding.ts";
import { Failure } from "../runtime/failure.ts";
import { PersonsKms, regionOfKey } from "./aws.ts";
import { readText } from "./input.ts";
import { type CipherEntry, type Manifests, readManifests } from "./reencrypt-manifest.ts";
import { replaceFiles } from "./replace-files.ts";
import { UsageError } from "./usage.ts";

/** The flags of `keyferry reencrypt` as commander gives them. */
export interface ReencryptFlags {
  toKey: string;
  bind?: string;
  clusterName?: string;
  namespace?: string;
  inPlace?: true;
  force?: true;
  region?: string;
  allowInsecureEndpoints?: true;
}

/** Declares the flags of `keyferry reencrypt`. */
export function addReencryptOptions(command: Command): void {
  command
    .description("Move the KMS blobs of manifests to another key within KMS: no plaintext leaves it.")
    .argument("[files...]", "manifests; standard input when left out")
    .requiredOption("--to-key <key>", "KMS key to move to: its ARN, id or alias")
    .option("--bind <scope>", "Namespace or Name: bind what is not bound yet to its SyncedSecret, and keep what is")
    .option("--cluster-name <name>", "the operator's --cluster-name there; with --bind")
    .option("--namespace <namespace>", "namespace of manifests that name none; with --bind")
    .option("--in-place", "write the files, all or none, and not to standard output")
    .option("--force", "also what is under the key already")
    .option("--region <region>", "AWS region; that of the key's ARN or of the AWS environment when left out")
    .option("--allow-insecure-endpoints", "take AWS_ENDPOINT_URL, also plain http and this machine: for emulators");
}

/**
 * Moves blobs to another key, and prints the manifests or writes them. Nothing is written where one entry fails.
 *
 * @returns the exit code: 1 where an entry failed
 * @throws UsageError, Failure
 */
export async function runReencrypt(flags: ReencryptFlags, files: readonly string[]): Promise<number> {
  checkFlags(flags, files);
  const read = await Promise.all(
    (files.length === 0 ? ["-"] : files).map((file) => readOne(file, flags.namespace ?? "")),
  );
  const kms = new PersonsKms(flags);
  const failed: string[] = [];
  try {
    const region = flags.region ?? regionOfKey(flags.toKey) ?? (await kms.findRegion());
    for (const { file, manifests } of read) {
      for (const entry of manifests.entries) {
        const label = `${file === "-" ? "" : `${file}: `}${entry.label}`;
        const said = await moved(entry, flags, kms.in(region)).catch((error: unknown) => {
          if (!(error instanceof Failure)) throw error;
          failed.push(label);
          return error.message;
        });
        process.stderr.write(`${label}: ${said}\n`);
      }
    }
  } finally {
    kms.close();
  }
  if (failed.length > 0) {
    const message = `nothing was written, since these could not be moved: ${failed.join("; ")}`;
    throw new Failure("InvalidData", "stalled", message);
  }
  await write(read, flags.inPlace ?? false);
  return 0;
}

function checkFlags({ toKey, bind, clusterName, inPlace }: ReencryptFlags, files: readonly string[]): void {
  if (!parseKeyRef(toKey)) throw new UsageError("--to-key must be a KMS key's ARN, its id, or an alias as alias/NAME");
  if (bind !== undefined && bind !== "Namespace" && bind !== "Name") {
    throw new UsageError("--bind must be Namespace or Name, as binding.scope of the connection is");
  }
  if ((bind === undefined) !== (clusterName === undefined) || clusterName === "") {
    throw new UsageError("--bind and --cluster-name go together: the operator's own name is in what is bound");
  }
  if (inPlace && files.length === 0) throw new UsageError("--in-place needs files");
  if (files.length > 1 && !inPlace) throw new UsageError("several files need --in-place");
}

/** A file, what was read of it, and what is in it. */
interface Read {
  file: string;
  before: string;
  manifests: Manifests;
}

async function readOne(file: string, namespace: string): Promise<Read> {
  const before = await readText(file);
  const manifests = readManifests(before, namespace);
  if ("problem" in manifests) throw new Failure("InvalidData", "stalled", `${file} ${manifests.problem}`);
  return { file, before, manifests };
}

/** Moves one entry. @returns what became of it @throws Failure */
async function moved(entry: CipherEntry, flags: ReencryptFlags, kms: KmsEncryptPort): Promise<string> {
  const { toKey, force = false } = flags;
  if (entry.kind === "message") {
    return "left as it is: a message's data keys are part of what is proved of it; make it anew with keyferry encrypt --encryption-sdk";
  }
  if (entry.algorithm !== "SYMMETRIC_DEFAULT") {
    return `left as it is: ${entry.algorithm} is for those who make blobs without AWS; make it anew with keyferry encrypt`;
  }
  const { keyId, context, isUnbound } = entry;
  const pairs = pairsOf(entry, flags);
  const isToBind = pairs.size > 0 && isUnbound;
  if (keyId === toKey && pairs.size === 0 && !force) return "is under that key already";
  const ciphertext = parseBase64(entry.ciphertext);
  if (!ciphertext) throw new Failure("InvalidData", "stalled", "kms.ciphertext is not base64");
  const whole = new Map([...context, ...pairs]);
  const from = { ...(keyId === undefined ? {} : { keyId }) };
  const move = (source: ReadonlyMap<string, string>) =>
    kms.reEncrypt({ ciphertext, from: { ...from, context: source }, to: { keyId: toKey, context: whole } });
  let wasBound = pairs.size > 0 && !isToBind;
  const made = await move(wasBound ? whole : context).catch((error: unknown) => {
    // Where it cannot be told from the manifest whether it is bound yet, KMS is asked.
    if (!isOfAnotherContext(error)) throw error;
    if (!wasBound) throw pairs.size > 0 ? error : withHint(error);
    wasBound = false;
    return move(context);
  });
  const isAlready = made.from === made.keyId && wasBound === pairs.size > 0;
  if (isAlready && !force) return "is under that key already";
  entry.replace(Buffer.from(made.ciphertext).toString("base64"), made.keyId, pairs.size > 0);
  return `moved from ${made.from} to ${made.keyId}${pairs.size > 0 && !wasBound ? ", and bound" : ""}`;
}

function pairsOf({ owner }: CipherEntry, { bind, clusterName }: ReencryptFlags): ReadonlyMap<string, string> {
  if (bind === undefined) return new Map();
  if (owner.namespace === "" || owner.name === "") {
    const message = "cannot be bound: its SyncedSecret names no namespace; give --namespace";
    throw new Failure("InvalidData", "stalled", message);
  }
  return boundPairs(bind as "Namespace" | "Name", clusterName!, owner);
}

/** A blob that is bound has more in its context than its manifest shows. */
function withHint({ reason, next, message }: Failure): Failure {
  return new Failure(reason, next, `${message}; where it is bound, give --bind and --cluster-name`);
}

function isOfAnotherContext(error: unknown): error is AwsFailure {
  return error instanceof AwsFailure && /^InvalidCiphertext/.test(error.code);
}

async function write(read: readonly Read[], inPlace: boolean): Promise<void> {
  if (!inPlace) {
    for (const { manifests } of read) process.stdout.write(manifests.text());
    return;
  }
  const texts = read.map(({ file, before, manifests }) => ({ file, before, text: manifests.text() }));
  await replaceFiles(texts.filter(({ before, text }) => text !== before));
}
