import { annotations } from "../api/annotations.ts";
import { Failure } from "../runtime/failure.ts";
import { pairsText } from "./binding.ts";

type Context = ReadonlyMap<string, string>;

/** What is said where pairs may be missing because the message was made so. */
export const requiredContextNote =
  "messages of the required encryption context CMM, which leave pairs out of their header, are not supported";

/** What begins the names of pairs that say whose a ciphertext is. */
const reserved = annotations.prefix;

/** Of such names, those that are known, and how messages call what they hold. */
const owned: readonly (readonly [string, string])[] = [
  [`${reserved}cluster`, "cluster"],
  [`${reserved}namespace`, "namespace"],
  [`${reserved}name`, "name"],
];

/** Who a message is opened for, and what it has to carry. */
export interface ContextRules {
  /** Of the entry. */
  required: Readonly<Record<string, string>>;
  /** The pairs that the connection's binding asks for; none where it asks for nothing. */
  bound: Context;
  /** The pairs of a message that is bound to just this SyncedSecret; one without a value is not known, and not compared. */
  own: Context;
}

/**
 * Holds a message's context against what is asked of it. A message that says whose it is opens for nobody else, whether
 * or not its connection asks for that.
 *
 * @param context of the header
 * @param entry how messages call it: `data[2] (tls.key)`
 * @throws Failure ContextMismatch; it tells no value of a pair but of those that say whose the message is
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

/** Whose a message says that it is: `cluster prod, namespace shop, name checkout`. */
function ownerText(context: Context): string {
  const said = owned.flatMap(([name, what]) => {
    const value = context.get(name);
    return value === undefined ? [] : [`${what} ${/^[a-zA-Z0-9_.:/=+@-]{1,256}$/.test(value) ? value : "(no name)"}`];
  });
  return said.length > 0 ? said.join(", ") : "something that is not known here";
}
