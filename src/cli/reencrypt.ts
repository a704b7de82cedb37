import { isDeepStrictEqual } from "node:util";
import type { Command } from "commander";
import { AwsFailure } from "../aws/failure.ts";
import type { KmsEncryptPort } from "../aws/kms-encrypt.ts";
import { parseKeyRef } from "../aws/names.ts";
import { parseBase64 } from "../ciphertexts/base64.ts";
import { boundPairs } from "../ciphertexts/binding.ts";
import { parseMessageHeader } from "../ciphertexts/message-header.ts";
import { Failure } from "../runtime/failure.ts";
import { PersonsKms, regionOfKey } from "./aws.ts";
import { isBase64OfMore } from "./encrypt-warnings.ts";
import { readTextFile, type TextFile } from "./input.ts";
import { print, say } from "./output.ts";
import { type CipherEntry, type Manifests, readManifests } from "./reencrypt-manifest.ts";
import { replaceFiles } from "./replace-files.ts";
import { encodeText } from "./text.ts";
import { UsageError } from "./usage.ts";
import { forCommand } from "./words.ts";

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
 * Moves blobs to another key, and prints or writes the manifests. Nothing is written if one entry fails.
 *
 * @returns the exit code: 1 if KMS cannot move some kind of entry, even if the others were moved
 * @throws UsageError, Failure
 */
export async function runReencrypt(flags: ReencryptFlags, files: readonly string[]): Promise<number> {
  checkFlags(flags, files);
  const read: Read[] = [];
  // In sequence: one file may be `-`.
  for (const file of files.length === 0 ? ["-"] : files) read.push(await readOne(file, flags.namespace ?? ""));
  refuseOthers(read);
  const kms = new PersonsKms(flags);
  const failed: string[] = [];
  const left: string[] = [];
  try {
    const region = flags.region ?? regionOfKey(flags.toKey) ?? (await kms.findRegion());
    for (const { file, manifests } of read) {
      const mover = new Mover(flags, kms.in(region));
      for (const entry of manifests.entries) {
        const label = labelled(file, entry.label);
        const said = await mover.move(entry).catch((error: unknown) => {
          if (error instanceof LeftAsItIs) left.push(label);
          else if (error instanceof Failure) failed.push(label);
          else throw error;
          return error instanceof Failure ? forCommand(error) : error.message;
        });
        say(`${label}: ${said}`);
      }
    }
  } finally {
    kms.close();
  }
  if (failed.length > 0) throw refused(`nothing was written, since these could not be moved: ${failed.join("; ")}`);
  refuseLeft(read);
  await write(read, flags.inPlace ?? false);
  if (left.length === 0) return 0;
  say(`not moved, since KMS cannot move them: ${left.join("; ")}`);
  return 1;
}

/**
 * @throws Failure if a file has nothing to move, or something that cannot be moved. Both are checked before any call to
 *   KMS.
 */
function refuseOthers(read: readonly Read[]): void {
  const others = read.flatMap(({ file, manifests }) => manifests.others.map((other) => labelled(file, other)));
  for (const other of others) say(other);
  if (others.length > 0) throw refused(`nothing was written: ${counted(others.length)} above cannot be moved`);
  const empty = read.filter(({ manifests }) => manifests.entries.length === 0).map(({ file }) => file);
  if (empty.length === 0) return;
  const what = "no entry of a SyncedSecret has a ciphertext there; nothing was written";
  throw refused(`nothing found in ${empty.join(", ")}: ${what}`);
}

/** @throws Failure if a text still holds a moved ciphertext, or differs from the expected result */
function refuseLeft(read: readonly Read[]): void {
  const left = read.flatMap(({ file, manifests }) => manifests.problems().map((problem) => labelled(file, problem)));
  for (const problem of left) say(problem);
  if (left.length > 0) throw refused(`nothing was written: ${counted(left.length)} above cannot be moved`);
}

function counted(count: number): string {
  return count === 1 ? "what stands" : `the ${count} that stand`;
}

function labelled(file: string, what: string): string {
  return file === "-" ? what : `${file}: ${what}`;
}

function refused(message: string): Failure {
  return new Failure("InvalidData", "stalled", message);
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

/** A file, its text, and its manifests. */
interface Read {
  file: string;
  before: TextFile;
  manifests: Manifests;
}

async function readOne(file: string, namespace: string): Promise<Read> {
  const before = await readTextFile(file);
  const manifests = readManifests(before.text, namespace);
  if ("problem" in manifests) throw refused(`${file} ${manifests.problem}`);
  return { file, before, manifests };
}

const isUnderIt = "is under that key already";

/** Thrown for an entry of a kind that KMS cannot move. */
class LeftAsItIs extends Error {}

/** Whether a message has a data key under a KMS key, by the key's ARN. */
function hasKey(ciphertext: string, arn: string): boolean {
  const bytes = parseBase64(ciphertext);
  const parsed = bytes && parseMessageHeader(bytes);
  return parsed !== undefined && "header" in parsed && parsed.header.keys.some(({ name }) => name === arn);
}

/** An entry's replacement. */
interface Moved {
  ciphertext: string;
  keyId: string;
  isBound: boolean;
}

/** Moves the entries of one file. Entries that share a ciphertext by an anchor are moved by one call. */
class Mover {
  readonly #flags: ReencryptFlags;
  readonly #kms: KmsEncryptPort;
  /** By the ciphertext's node. */
  readonly #seen = new Map<object, { entry: CipherEntry; moved?: Moved }>();

  constructor(flags: ReencryptFlags, kms: KmsEncryptPort) {
    this.#flags = flags;
    this.#kms = kms;
  }

  /** Moves one entry. @returns the result in words @throws Failure, LeftAsItIs */
  async move(entry: CipherEntry): Promise<string> {
    const { toKey } = this.#flags;
    const twin = this.#seen.get(entry.place);
    if (twin) {
      if (!this.#isTwin(twin.entry, entry)) {
        throw refused(`shares its ciphertext by an anchor with ${twin.entry.label}, which differs: write it out`);
      }
      if (twin.moved) entry.replace(twin.moved.ciphertext, twin.moved.keyId, twin.moved.isBound);
      return `has the ciphertext of ${twin.entry.label}`;
    }
    const seen: { entry: CipherEntry; moved?: Moved } = { entry };
    this.#seen.set(entry.place, seen);
    if (entry.kind === "message") {
      if (hasKey(entry.ciphertext, toKey)) return isUnderIt;
      throw new LeftAsItIs(
        "left as it is: a message authenticates its data keys: encrypt the value again with keyferry encrypt --encryption-sdk",
      );
    }
    if (entry.algorithm !== "SYMMETRIC_DEFAULT") {
      if (entry.keyId === toKey) return isUnderIt;
      const why = `${entry.algorithm} cannot be re-encrypted by KMS: encrypt the value again with keyferry encrypt`;
      throw new LeftAsItIs(`left as it is: ${why}`);
    }
    const pairs = pairsOf(entry, this.#flags);
    // The same alias may point to another key by now.
    const isThere = entry.keyId === toKey && parseKeyRef(toKey)?.kind === "keyArn";
    if (isThere && pairs.size === 0 && !this.#flags.force) return isUnderIt;
    const { said, moved } = await reEncrypted(entry, pairs, this.#flags, this.#kms);
    if (moved) {
      seen.moved = moved;
      entry.replace(moved.ciphertext, moved.keyId, moved.isBound);
    }
    return said;
  }

  #isTwin(one: CipherEntry, other: CipherEntry): boolean {
    const facts = ({ kind, keyId, algorithm, context, isUnbound, owner }: CipherEntry) => {
      const whose = this.#flags.bind === undefined ? {} : owner;
      return { kind, keyId, algorithm, context, isUnbound, whose };
    };
    return isDeepStrictEqual(facts(one), facts(other));
  }
}

/** Re-encrypts a blob within KMS. @throws Failure */
async function reEncrypted(
  { keyId, context, isUnbound, ciphertext: text }: CipherEntry,
  pairs: ReadonlyMap<string, string>,
  { toKey, force }: ReencryptFlags,
  kms: KmsEncryptPort,
): Promise<{ said: string; moved?: Moved }> {
  const ciphertext = parseBase64(text);
  if (!ciphertext) {
    const hint = text.includes("{{") ? ", but a template: render it first (helm template)" : "";
    throw refused(`its ciphertext is not base64${hint}`);
  }
  if (isBase64OfMore(Buffer.from(ciphertext).toString("latin1"))) {
    throw refused("its ciphertext is base64 of base64: decode it once");
  }
  const whole = new Map([...context, ...pairs]);
  const move = async (source: ReadonlyMap<string, string>) => {
    const to = { keyId: toKey, context: whole };
    const from = { ...(keyId === undefined ? {} : { keyId }), context: source };
    return kms.reEncrypt({ ciphertext, from, to }).catch((error: unknown) => {
      if (!(error instanceof AwsFailure) || !/^IncorrectKey/.test(error.code)) throw error;
      // An alias may have moved since the blob was made; KMS finds the key in the blob itself.
      if (keyId?.includes("alias/")) return kms.reEncrypt({ ciphertext, from: { context: source }, to });
      throw refused(`it was encrypted by another key than ${keyId}: correct keyId, or take it out`);
    });
  };
  let wasBound = pairs.size > 0 && !isUnbound;
  const made = await move(wasBound ? whole : context).catch((error: unknown) => {
    // If the manifest does not tell whether the blob is bound, try both.
    if (!isOfAnotherContext(error)) throw error;
    if (!wasBound) throw pairs.size > 0 ? error : withHint(error);
    wasBound = false;
    return move(context);
  });
  const isBound = pairs.size > 0;
  if (made.from === made.keyId && wasBound === isBound && !force) return { said: isUnderIt };
  const moved = { ciphertext: Buffer.from(made.ciphertext).toString("base64"), keyId: made.keyId, isBound };
  return { said: `moved from ${made.from} to ${made.keyId}${isBound && !wasBound ? ", and bound" : ""}`, moved };
}

function pairsOf({ owner }: CipherEntry, { bind, clusterName }: ReencryptFlags): ReadonlyMap<string, string> {
  if (bind === undefined) return new Map();
  if (owner.namespace === "" || owner.name === "") {
    throw refused("cannot be bound: its SyncedSecret names no namespace; give --namespace");
  }
  return boundPairs(bind as "Namespace" | "Name", clusterName!, owner);
}

/** A bound blob has more in its context than its manifest shows. */
function withHint({ reason, next, message }: Failure): Failure {
  return new Failure(reason, next, `${message}; if it is bound, give --bind and --cluster-name`);
}

function isOfAnotherContext(error: unknown): error is AwsFailure {
  return error instanceof AwsFailure && /^InvalidCiphertext/.test(error.code);
}

async function write(read: readonly Read[], inPlace: boolean): Promise<void> {
  const texts = read.map(({ file, before, manifests }) => {
    const text = manifests.text();
    return { file, isChanged: text !== before.text, content: encodeText(text, before.encoding) };
  });
  if (inPlace) await replaceFiles(texts.filter(({ isChanged }) => isChanged));
  else for (const { content } of texts) print(content);
}
