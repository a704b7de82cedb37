/** What the policies of a parameter mean for whoever uses it. Instants are milliseconds since the epoch. */
export interface Policies {
  /** When the parameter is to be deleted, by its Expiration. */
  readonly expiresAt?: number;
  /** When to warn of it: at the earliest ExpirationNotification, a day before where there is none. */
  readonly warnAt?: number;
  /** When it will have gone too long without a change, by the shortest NoChangeNotification. */
  readonly unchangedAt?: number;
  /** When it was changed last, where a NoChangeNotification counts from it. */
  readonly unchangedSince?: number;
  /** Whether one of them could not be read. */
  readonly isUnread?: true;
}

const day = 86_400_000;
/** Spans are whole numbers of these (User Guide, "Assigning parameter policies"). */
const units: ReadonlyMap<unknown, number> = new Map([
  ["Days", day],
  ["Hours", 3_600_000],
]);

/** What can be written with a year of four digits: the API server takes no other, and a zone may lead out of it. */
const [earliest, latest] = [Date.parse("0000-01-01T00:00:00Z"), Date.parse("9999-12-31T23:59:59.999Z")];

/** ISO 8601 with its zone: without one it is no instant. */
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.]\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;

/**
 * Reads a parameter's policies. They are JSON that the parameter's owner wrote, so they may be anything: one that is
 * no policy is noted as unread, and the others count.
 *
 * @param texts the PolicyText of each
 * @param modified milliseconds since the epoch of the parameter's last change
 * @returns undefined where there are none
 */
export function readPolicies(texts: readonly string[], modified: number): Policies | undefined {
  if (texts.length === 0) return undefined;
  const expiries: number[] = [];
  const befores: number[] = [];
  const afters: number[] = [];
  let isUnread = false;
  for (const text of texts) {
    const read = readPolicy(text);
    if (!read) isUnread = true;
    else if (read.type === "Expiration") expiries.push(read.at);
    else (read.type === "ExpirationNotification" ? befores : afters).push(read.ms);
  }
  // AWS takes one Expiration; should there be more, the first deletes the parameter.
  const expiresAt = expiries.length > 0 ? Math.min(...expiries) : undefined;
  const before = befores.length > 0 ? Math.max(...befores) : day;
  return {
    ...(expiresAt === undefined ? {} : { expiresAt, warnAt: expiresAt - before }),
    ...(afters.length === 0 ? {} : { unchangedAt: modified + Math.min(...afters), unchangedSince: modified }),
    ...(isUnread ? { isUnread } : {}),
  };
}

type Read =
  | { type: "Expiration"; at: number }
  | { type: "ExpirationNotification" | "NoChangeNotification"; ms: number };

function readPolicy(text: string): Read | undefined {
  let policy: unknown;
  try {
    policy = JSON.parse(text);
  } catch {
    return undefined;
  }
  const type = own(policy, "Type");
  const attributes = own(policy, "Attributes");
  if (type === "Expiration") {
    const timestamp = own(attributes, "Timestamp");
    const at = typeof timestamp === "string" && instant.test(timestamp) ? Date.parse(timestamp) : Number.NaN;
    return at >= earliest && at <= latest ? { type, at } : undefined;
  }
  if (type !== "ExpirationNotification" && type !== "NoChangeNotification") return undefined;
  const amount = own(attributes, type === "NoChangeNotification" ? "After" : "Before");
  const unit = units.get(own(attributes, "Unit"));
  const isAmount = typeof amount === "string" && /^[0-9]{1,5}$/.test(amount);
  return isAmount && unit !== undefined ? { type, ms: Number(amount) * unit } : undefined;
}

/** An own property of an object; undefined of anything else. */
function own(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

/** Whether two readings say the same. */
export function saysSame(a: Policies | undefined, b: Policies | undefined): boolean {
  return (
    a?.expiresAt === b?.expiresAt &&
    a?.warnAt === b?.warnAt &&
    a?.unchangedAt === b?.unchangedAt &&
    a?.isUnread === b?.isUnread
  );
}
