import { annotations } from "../api/annotations.ts";
import { Failure } from "../runtime/failure.ts";
import { refuseServiceContext } from "./service-context.ts";

/** What a connection's `binding` asks of every ciphertext that is opened through it. */
export interface Binding {
  scope: "None" | "Namespace" | "Name";
  /** The operator's `--cluster-name`; never empty where the scope is not None. A message is held to it in any case. */
  cluster: string;
  /** Whether an entry with `bound: false` opens too. */
  allowUnbound: boolean;
}

/** The SyncedSecret that a ciphertext is opened for. */
export interface Owner {
  namespace: string;
  name: string;
}

/** What begins the names of encryption contexts that nobody but the operator sets. */
const reserved = annotations.prefix;

/**
 * The pairs that a ciphertext must carry in its encryption context, in the order in which messages show them: what
 * `keyferry encrypt` puts into it, and what the operator asks KMS for.
 *
 * @returns no pair for the scope None
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
 * The pairs that one entry's ciphertext must carry.
 *
 * @param binding of the connection; undefined where it has none
 * @param bound the entry's own field; only `false` asks for anything
 * @param entry how messages call it: `data[2] (LICENSE)`
 * @throws Failure NotAllowed where the entry asks to be unbound and the connection does not let it
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
 * Refuses a context that names what is the operator's own, or an AWS service's. For contexts that a person wrote, never for
 * the pairs above.
 *
 * @param entry how messages call it
 * @throws Failure NotAllowed
 */
export function refuseReserved(context: Readonly<Record<string, string>>, entry: string): void {
  refuseServiceContext(context, entry);
  if (!Object.keys(context).some((name) => name.startsWith(reserved))) return;
  throw new Failure("NotAllowed", "stalled", `${entry}: encryptionContext names below ${reserved} are the operator's`);
}

/** Pairs as a message shows them: `keyferry.io/cluster=prod, keyferry.io/namespace=shop`. */
export function pairsText(pairs: ReadonlyMap<string, string>): string {
  return [...pairs].map(([name, value]) => `${name}=${value}`).join(", ");
}
