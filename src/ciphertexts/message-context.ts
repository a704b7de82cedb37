import { annotations } from "../api/annotations.ts";
import { Failure } from "../runtime/failure.ts";
import { pairsText } from "./binding.ts";

type Context = ReadonlyMap<string, string>;

/** The hint for a message that was encrypted without the required pairs. */
export const requiredContextNote =
  "messages of the required encryption context CMM, which leave pairs out of their header, are not supported";

/** Prefix of the pairs that name a ciphertext's owner. */
const reserved = annotations.prefix;

/** The known owner pairs, and their labels in messages. */
const owned: readonly (readonly [string, string])[] = [
  [`${reserved}cluster`, "cluster"],
  [`${reserved}namespace`, "namespace"],
  [`${reserved}name`, "name"],
];

/** The SyncedSecret of a message, and the context pairs that the message must have. */
export interface ContextRules {
  /** From the entry. */
  required: Readonly<Record<string, string>>;
  /** The pairs that the connection's binding requires, if any. */
  bound: Context;
  /** The owner pairs of this SyncedSecret; a pair without a value is unknown and not compared. */
  own: Context;
}

/**
 * Checks a message's context against its requirements. A message with owner pairs is decrypted only for that owner,
 * even if its connection requires no binding.
 *
 * @param context of the header
 * @param entry its name in messages: `data[2] (tls.key)`
 * @throws Failure ContextMismatch; it shows only the values of owner pairs
 */
export function checkContext(context: Context, { required, bound, own }: ContextRules, entry: string): void {
  const mismatch = (what: string) => new Failure("ContextMismatch", "stalled", `${entry}: the message ${what}`);
  const claims = [...context.keys()].filter((name) => name.startsWith(reserved));
  const isForeign = claims.some((name) => own.get(name) !== "" && own.get(name) !== context.get(name));
  if (isForeign) {
    throw mismatch(`is bound to ${ownerText(context)}, and not to this SyncedSecret: it opens there only`);
  }
  const unbound = [...bound].filter(([name, value]) => context.get(name) !== value);
  if (unbound.length > 0) {
    const what = claims.length === 0 ? "is not bound" : `is bound to ${ownerText(context)} only`;
    throw mismatch(
      `${what}, and binding of its connection asks for it: encrypt it anew with the encryption context ${pairsText(bound)}`,
    );
  }
  const names = Object.keys(required);
  const missing = names.filter((name) => !context.has(name));
  const other = names.filter((name) => context.has(name) && context.get(name) !== required[name]);
  if (missing.length + other.length === 0) return;
  const parts = [
    ...(missing.length > 0 ? [`lacks ${missing.map(quoted).join(", ")}`] : []),
    ...(other.length > 0 ? [`has another value of ${other.map(quoted).join(", ")}`] : []),
  ];
  throw mismatch(
    `${parts.join(", and ")}: encryptionSDK.encryptionContext asks for pairs that the message must have been encrypted with${missing.length > 0 ? `; ${requiredContextNote}` : ""}`,
  );
}

function quoted(name: string): string {
  return JSON.stringify(name);
}

/** Formats a message's owner pairs: `cluster prod, namespace shop, name checkout`. */
function ownerText(context: Context): string {
  const said = owned.flatMap(([name, what]) => {
    const value = context.get(name);
    return value === undefined ? [] : [`${what} ${/^[a-zA-Z0-9_.:/=+@-]{1,256}$/.test(value) ? value : "(no name)"}`];
  });
  return said.length > 0 ? said.join(", ") : "something that is not known here";
}
