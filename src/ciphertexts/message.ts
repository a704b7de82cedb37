import { allowsKey } from "../aws/allow.ts";
import { AwsFailure } from "../aws/failure.ts";
import type { DecryptRequest, KmsCalls } from "../aws/kms.ts";
import { Failure, type Next } from "../runtime/failure.ts";
import type { Sealed } from "../runtime/sealed.ts";
import { parseBase64 } from "./base64.ts";
import { type Binding, boundPairs, type Owner, pairsFor, refuseReserved } from "./binding.ts";
import { checkContext, requiredContextNote } from "./message-context.ts";
import { type MessageHeader, parseMessageHeader } from "./message-header.ts";
import { keyIdsProblem, type MessageKeyRules, usableKeys } from "./message-keys.ts";
import { decryptMessage } from "./message-library.ts";
import { refuseServiceMessage } from "./service-context.ts";

/** An AWS Encryption SDK message in a SyncedSecret. */
export interface Message {
  /** Base64. */
  ciphertext: string;
  /** ARNs of the keys that may decrypt it; undefined uses the keys that the message names. */
  keyIds?: readonly string[];
  /** Required pairs of its encryption context, which may have more. */
  encryptionContext?: Readonly<Record<string, string>>;
  /** If false, decrypts without the binding's pairs, if the connection permits it. */
  bound?: boolean;
}

/** The connection's rules for a message. */
export interface MessageRules extends Omit<MessageKeyRules, "keyIds"> {
  binding?: Binding | undefined;
  /** The SyncedSecret of the message. */
  owner: Owner;
  /** The entry's name in messages: `data[2] (tls.key)`. */
  entry: string;
}

/** Maximum bytes of a message: enough for a Secret of 1 MiB, and fits into a SyncedSecret. */
const messageBytes = 1_050_000;

/** The algorithm suites with key commitment (AWS Encryption SDK Developer Guide, "Supported algorithm suites"). */
const committing: readonly number[] = [0x0478, 0x0578];

/** A message that passed every check that needs no KMS call. */
export interface CheckedMessage {
  /** The pairs that binding requires, if any. */
  bound: ReadonlyMap<string, string>;
  /** The keys that may decrypt it, by their ARNs in the connection's region; at least one. */
  keyIds: readonly string[];
  /** Checks the authenticated context by the same rules as the header's. */
  checkContext: (context: ReadonlyMap<string, string>) => void;
}

/**
 * Checks a message's header against its entry and connection. Parses only the start of the message, so it is cheap to
 * repeat.
 *
 * @throws Failure whose message begins with the entry
 */
export function checkMessage(message: Message, rules: MessageRules): CheckedMessage {
  const { encryptionContext: required = {}, keyIds } = message;
  const { binding, owner, entry } = rules;
  const keyRules = { ...rules, ...(keyIds ? { keyIds } : {}) };
  refuseReserved(required, entry);
  const bound = pairsFor(binding, message.bound, owner, entry);
  const problem = keyIdsProblem(keyRules, entry);
  if (problem) throw problem;
  const header = readHeader(message.ciphertext, entry);
  const own = boundPairs("Name", binding?.cluster ?? "", owner);
  const check = (context: ReadonlyMap<string, string>) => checkContext(context, { required, bound, own }, entry);
  check(header.context);
  return { bound, keyIds: usableKeys(header, keyRules, entry), checkContext: check };
}

/**
 * Decrypts a message with the first data key that KMS decrypts. Checks the key that KMS used before it uses the
 * data key.
 *
 * @returns the plaintext, and the ARN of the key that KMS used
 * @throws Failure whose message begins with the entry
 */
export async function openMessage(
  { kms }: { kms: KmsCalls },
  message: Message,
  rules: MessageRules,
  signal?: AbortSignal,
): Promise<{ plaintext: Sealed; keyId: string }> {
  const { allowKeyIds, entry } = rules;
  const checked = checkMessage(message, rules);
  const bytes = parseBase64(message.ciphertext);
  if (!bytes) throw notBase64(entry);
  const failures: Failure[] = [];
  let used: string | undefined;
  try {
    const { plaintext, context } = await decryptMessage(bytes, checked.keyIds, decrypt);
    checked.checkContext(context);
    return { plaintext, keyId: used! };
  } catch (error) {
    if (error instanceof Failure && !failures.includes(error)) throw error;
    if (used === undefined && failures.length > 0) throw joined(failures, entry);
    const what = used === undefined ? "has no data key that opens" : "is damaged or cut off after its header";
    throw new Failure("DecryptFailed", "stalled", `${entry}: encryptionSDK.ciphertext ${what}: encrypt it anew`);
  }

  async function decrypt(request: DecryptRequest) {
    try {
      const opened = await kms.decrypt({ ...request, ...(signal ? { signal } : {}) });
      const verdict = allowsKey(allowKeyIds, opened.keyId);
      if (!verdict.allowed || opened.keyId !== request.keyId) {
        const rule = verdict.allowed ? `${request.keyId} was asked for` : verdict.rule;
        throw new Failure("NotAllowed", "wait", `key ${opened.keyId}, which KMS used, is not allowed: ${rule}`);
      }
      used = opened.keyId;
      return opened;
    } catch (error) {
      if (error instanceof Failure) failures.push(error);
      throw error;
    }
  }
}

/** Maximum header bytes; KMS accepts no context or data key that would need more. */
const headerBytes = 96 * 1_024;

function readHeader(text: string, entry: string): MessageHeader {
  if (text.length > Math.ceil(messageBytes / 3) * 4) {
    throw invalid(entry, `is longer than ${messageBytes} bytes: a Secret holds 1 MiB in all`);
  }
  const isWhole = text.length <= (headerBytes / 3) * 4;
  const bytes = parseBase64(isWhole ? text : text.slice(0, (headerBytes / 3) * 4));
  if (!bytes) throw notBase64(entry);
  const parsed = parseMessageHeader(bytes);
  if ("problem" in parsed) throw invalid(entry, parsed.problem);
  // Report this first: no change can make a message of an AWS service usable.
  refuseServiceMessage(parsed.header.context, entry);
  const { version, suite } = parsed.header;
  if (version === 1 || !committing.includes(suite)) {
    const id = suite.toString(16).padStart(4, "0");
    const remedy = "encrypt it anew with key commitment, which is the default of every present SDK";
    throw invalid(entry, `does not commit to its key (algorithm suite ${id}): ${remedy}`);
  }
  return parsed.header;
}

function invalid(entry: string, what: string): Failure {
  return new Failure("InvalidData", "stalled", `${entry}: encryptionSDK.ciphertext ${what}`);
}

function notBase64(entry: string): Failure {
  return invalid(entry, "is not base64: give the message on one line, as base64 -w0 prints it");
}

/** By retry delay, soonest first. */
const soonest: readonly Next[] = ["retry", "wait", "stalled"];

/** Merges the failures of several data keys: the soonest retry applies, and the message lists all. */
function joined(failures: readonly Failure[], entry: string): Failure {
  const { reason, next } = soonest.flatMap((next) => failures.find((failure) => failure.next === next) ?? [])[0]!;
  const messages = [...new Set(failures.map(({ message }) => message))].sort();
  const isContext = failures.some((one) => one instanceof AwsFailure && one.code === "InvalidCiphertextException");
  const message = `${entry}: ${messages.join("; ")}${isContext ? `; ${requiredContextNote}` : ""}`;
  const [only] = failures;
  if (failures.length > 1 || !(only instanceof AwsFailure)) return new Failure(reason, next, message);
  const { code, scope, requestId } = only;
  return new AwsFailure({ reason, next, code, scope, requestId, message });
}
