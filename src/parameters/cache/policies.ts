/** The effect of a parameter's policies. Instants are milliseconds since the epoch. */
export interface Policies {
  /** When AWS deletes the parameter, by its Expiration. */
  readonly expiresAt?: number;
  /** When to warn of the expiry: at the earliest ExpirationNotification; without one, a day before. */
  readonly warnAt?: number;
  /** When the parameter has been unchanged for too long, by the shortest NoChangeNotification. */
  readonly unchangedAt?: number;
  /** The last change, if there is a NoChangeNotification, which counts from it. */
  readonly unchangedSince?: number;
  /** Whether a policy could not be parsed. */
  readonly isUnread?: true;
}

const day = 86_400_000;
/** The units of a span, in milliseconds (User Guide, "Assigning parameter policies"). */
const units: ReadonlyMap<unknown, number> = new Map([
  ["Days", day],
  ["Hours", 3_600_000],
]);

/** The range of four-digit years in UTC: the API server accepts no other, and a time zone may lead out of it. */
const [earliest, latest] = [Date.parse("0000-01-01T00:00:00Z"), Date.parse("9999-12-31T23:59:59.999Z")];

/** ISO 8601 with a time zone: without one it is not an instant. */
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.]\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;

/**
 * Parses a parameter's policies. They are JSON written by the parameter's owner, so they may be anything: an invalid
 * policy sets `isUnread`, and the others still apply.
 *
 * @param texts the PolicyText of each
 * @param modified milliseconds since the epoch of the parameter's last change
 * @returns undefined without policies
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
  // AWS accepts one Expiration. If there are more, the earliest deletes the parameter.
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

/** An own property of an object; undefined if the value is not an object. */
function own(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

/** Whether two parsed policies have the same effect. */
export function saysSame(a: Policies | undefined, b: Policies | undefined): boolean {
  return (
    a?.expiresAt === b?.expiresAt &&
    a?.warnAt === b?.warnAt &&
    a?.unchangedAt === b?.unchangedAt &&
    a?.isUnread === b?.isUnread
  );
}
