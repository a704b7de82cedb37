import { basename } from "node:path";
import type { Algorithm } from "../aws/kms.ts";
import { parseKeyRef } from "../aws/names.ts";
import { boundPairs, type Owner, refuseReserved } from "../ciphertexts/binding.ts";
import { messageKeys } from "../ciphertexts/message-header.ts";
import { UsageError } from "./usage.ts";

/** The flags of `keyferry encrypt` as commander gives them. */
export interface EncryptFlags {
  key?: string[];
  dataKey?: string;
  context?: string[];
  bind?: string;
  clusterName?: string;
  algorithm?: string;
  publicKey?: string;
  encryptionSdk?: true;
  manifest?: string;
  namespace?: string;
  region?: string;
  allowInsecureEndpoints?: true;
}

/** The settings of one encryption. */
export interface EncryptSettings {
  kind: "symmetric" | "rsa" | "offline" | "message";
  /** One key, or several for a message. */
  keys: readonly string[];
  algorithm: Algorithm;
  /** The public key's file, for offline encryption. */
  publicKey?: string;
  /** Pairs that the entry shows. */
  context: ReadonlyMap<string, string>;
  /** Pairs that the operator adds itself. */
  bound: ReadonlyMap<string, string>;
  /** The key in the Secret. */
  dataKey: string;
  manifest?: { name: string; namespace?: string };
}

const algorithms: readonly Algorithm[] = ["SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"];
const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/**
 * Validates the flags. Pure.
 *
 * @param file the argument, whose name is the default of --data-key
 * @throws UsageError without repeating anything that may be a value
 */
export function encryptSettings(flags: EncryptFlags, file: string | undefined): EncryptSettings {
  const { key: keys = [], publicKey, encryptionSdk, manifest } = flags;
  const algorithm = flags.algorithm ?? (publicKey === undefined ? "SYMMETRIC_DEFAULT" : "RSAES_OAEP_SHA_256");
  if (!isAlgorithm(algorithm)) throw new UsageError(`--algorithm must be one of ${algorithms.join(", ")}`);
  const isRsa = algorithm !== "SYMMETRIC_DEFAULT";
  if (encryptionSdk && (isRsa || publicKey !== undefined)) {
    throw new UsageError("--encryption-sdk goes with symmetric keys, and neither with --algorithm nor --public-key");
  }
  if (publicKey !== undefined && !isRsa) {
    throw new UsageError("--public-key makes RSA-OAEP: give --algorithm RSAES_OAEP_SHA_256 or RSAES_OAEP_SHA_1");
  }
  checkKeys(keys, flags);
  const context = contextOf(flags.context ?? []);
  const owner = ownerOf(flags);
  const bound = owner ? boundPairs(owner.name === "" ? "Namespace" : "Name", flags.clusterName!, owner) : new Map();
  if (isRsa && context.size + bound.size > 0) {
    const why = "RSA has no encryption context, so it cannot be bound either";
    throw new UsageError(`--context and --bind go with symmetric keys: ${why}`);
  }
  const target = manifest === undefined ? undefined : manifestOf(manifest, flags.namespace, owner);
  if (manifest === undefined && flags.namespace !== undefined) throw new UsageError("--namespace goes with --manifest");
  return {
    kind: encryptionSdk ? "message" : publicKey !== undefined ? "offline" : isRsa ? "rsa" : "symmetric",
    keys,
    algorithm,
    ...(publicKey === undefined ? {} : { publicKey }),
    context,
    bound,
    dataKey: dataKeyOf(flags.dataKey ?? (file === undefined || file === "-" ? undefined : basename(file))),
    ...(target ? { manifest: target } : {}),
  };
}

function isAlgorithm(text: string): text is Algorithm {
  return (algorithms as readonly string[]).includes(text);
}

function checkKeys(keys: readonly string[], { encryptionSdk, publicKey }: EncryptFlags): void {
  if (keys.length === 0) {
    const why = publicKey === undefined ? "" : ", so that the operator knows which key in KMS opens it";
    throw new UsageError(`--key is required: the ARN, id or alias of a KMS key${why}`);
  }
  if (keys.length > 1 && !encryptionSdk) {
    throw new UsageError("one --key makes a blob: give --encryption-sdk for what each of several keys opens");
  }
  if (keys.length > messageKeys) throw new UsageError(`at most ${messageKeys} times --key`);
  if (new Set(keys).size < keys.length) throw new UsageError("one --key is there twice");
  const refs = keys.map(parseKeyRef);
  if (refs.includes(undefined)) {
    throw new UsageError("--key must be a KMS key's ARN, its id, or an alias as alias/NAME");
  }
  if (publicKey !== undefined && refs[0]!.kind !== "keyArn") {
    throw new UsageError("--key must be the key's ARN with --public-key: offline, an alias or id cannot be resolved");
  }
}

function contextOf(pairs: readonly string[]): Map<string, string> {
  const context = new Map<string, string>();
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw new UsageError("--context must be NAME=VALUE");
    if (/,[^,=]*=/.test(pair)) {
      throw new UsageError("--context takes one pair, and no list: write --context NAME=VALUE --context NAME=VALUE");
    }
    if (context.has(pair.slice(0, at))) throw new UsageError("--context has one name twice");
    context.set(pair.slice(0, at), pair.slice(at + 1));
  }
  if (context.size > 16) throw new UsageError("--context: at most 16 pairs");
  try {
    refuseReserved(Object.fromEntries(context), "--context");
  } catch {
    throw new UsageError(
      "--context cannot have a name below keyferry.io/ (to bind the blob, give --bind) or one that AWS services use themselves (aws:..., PARAMETER_ARN, SecretARN)",
    );
  }
  return context;
}

/** @returns an empty name if the binding is to a namespace */
function ownerOf({ bind, clusterName = "" }: EncryptFlags): Owner | undefined {
  if (bind === undefined) {
    if (clusterName !== "") throw new UsageError("--cluster-name goes with --bind");
    return undefined;
  }
  const [namespace = "", name, ...rest] = bind.split("/");
  if (!label.test(namespace) || (name !== undefined && !subdomain.test(name)) || rest.length > 0) {
    throw new UsageError(
      "--bind must be NAMESPACE/NAME of the SyncedSecret, or NAMESPACE where binding.scope is Namespace",
    );
  }
  if (clusterName === "") throw new UsageError("--bind needs --cluster-name, as the operator there has it");
  return { namespace, name: name ?? "" };
}

function manifestOf(
  name: string,
  namespace: string | undefined,
  owner: Owner | undefined,
): { name: string; namespace?: string } {
  if (!subdomain.test(name)) throw new UsageError("--manifest must be the name of a SyncedSecret");
  if (namespace !== undefined && !label.test(namespace)) throw new UsageError("--namespace must be a namespace's name");
  if (owner && ((owner.name !== "" && owner.name !== name) || (namespace ?? owner.namespace) !== owner.namespace)) {
    throw new UsageError("--bind names another SyncedSecret than --manifest and --namespace: it would not open there");
  }
  const where = namespace ?? owner?.namespace;
  return where === undefined ? { name } : { name, namespace: where };
}

function dataKeyOf(text: string | undefined): string {
  if (text === undefined) throw new UsageError("--data-key is required: the key in the Secret that the value is for");
  if (!/^[-._a-zA-Z0-9]{1,253}$/.test(text) || text === "." || text.startsWith("..")) {
    throw new UsageError("--data-key must be a Secret's key: letters, digits, -, _ and ., at most 253 characters");
  }
  return text;
}
