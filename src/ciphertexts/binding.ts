import { annotations } from "../api/annotations.ts";
import { Failure } from "../runtime/failure.ts";
import { refuseServiceContext } from "./service-context.ts";

/** What a connection's `binding` requires of every ciphertext. */
export interface Binding {
  scope: "None" | "Namespace" | "Name";
  /** The operator's `--cluster-name`; not empty unless the scope is None. Messages are always checked against it. */
  cluster: string;
  /** Whether an entry may set `bound: false`. */
  allowUnbound: boolean;
}

/** The SyncedSecret that contains the ciphertext. */
export interface Owner {
  namespace: string;
  name: string;
}

/** Prefix of encryption context names that are reserved for the operator. */
const reserved = annotations.prefix;

/**
 * Returns the pairs that a ciphertext's encryption context must have, in the order of messages. `keyferry encrypt` adds
 * them, and the operator passes them to KMS.
 *
 * @returns no pairs for the scope None
 */
export function boundPairs(
  scope: Binding["scope"],
  cluster: string,
  { namespace, name }: Owner,
): ReadonlyMap<string, string> {
  if (scope === "None") return new Map();
  return new Map([
    [`${reserved}cluster`, cluster],
    [`${reserved}namespace`, namespace],
    ...(scope === "Name" ? [[`${reserved}name`, name] as const] : []),
  ]);
}

/**
 * Returns the pairs that one entry's ciphertext must have.
 *
 * @param binding of the connection, if any
 * @param bound the entry's field; only `false` has an effect
 * @param entry its name in messages: `data[2] (LICENSE)`
 * @throws Failure NotAllowed if the entry sets `bound: false` and the connection forbids it
 */
export function pairsFor(
  binding: Binding | undefined,
  bound: boolean | undefined,
  owner: Owner,
  entry: string,
): ReadonlyMap<string, string> {
  if (!binding || binding.scope === "None") return new Map();
  if (bound !== false) return boundPairs(binding.scope, binding.cluster, owner);
  if (binding.allowUnbound) return new Map();
  const message = `${entry}: bound: false works only while binding.allowUnbound of its connection is true: encrypt it anew with the encryption context ${pairsText(boundPairs(binding.scope, binding.cluster, owner))}, and remove bound`;
  throw new Failure("NotAllowed", "wait", message);
}

/**
 * Rejects a user's context that uses names reserved for the operator or an AWS service.
 *
 * @param entry its name in messages
 * @throws Failure NotAllowed
 */
export function refuseReserved(context: Readonly<Record<string, string>>, entry: string): void {
  refuseServiceContext(context, entry);
  if (!Object.keys(context).some((name) => name.startsWith(reserved))) return;
  throw new Failure("NotAllowed", "stalled", `${entry}: encryptionContext names below ${reserved} are the operator's`);
}

/** Formats pairs for a message: `keyferry.io/cluster=prod, keyferry.io/namespace=shop`. */
export function pairsText(pairs: ReadonlyMap<string, string>): string {
  return [...pairs].map(([name, value]) => `${name}=${value}`).join(", ");
}
