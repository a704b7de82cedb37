/** A price of AWS: dollars per number of items. */
export interface Price {
  dollars: number;
  per: number;
  /** The charged item. */
  of: string;
  /** The AWS page with the price. */
  page: string;
}

const ssm = "https://aws.amazon.com/systems-manager/pricing/";
const kms = "https://aws.amazon.com/kms/pricing/";

/** The month of these list prices, as YYYY-MM. AWS changes prices without notice: its pages are authoritative. */
export const pricesOf = "2026-11";

/** List prices of us-east-1, without the monthly free tier. No other table of prices exists. */
export const prices = {
  interactions: {
    dollars: 0.05,
    per: 10_000,
    of: "parameters asked for, where they are advanced or higher throughput is on; else they are free",
    page: ssm,
  },
  advancedParameters: { dollars: 0.05, per: 1, of: "advanced parameters kept for a month", page: ssm },
  kmsRequests: { dollars: 0.03, per: 10_000, of: "requests to KMS, of symmetric and RSA 2048 keys", page: kms },
  kmsRsaRequests: { dollars: 0.15, per: 10_000, of: "requests to KMS, of larger RSA keys", page: kms },
  kmsKeys: { dollars: 1, per: 1, of: "customer keys and replicas kept for a month", page: kms },
  sqsRequests: {
    dollars: 0.4,
    per: 1_000_000,
    of: "requests to standard queues of SQS",
    page: "https://aws.amazon.com/sqs/pricing/",
  },
  secretsManagerCalls: {
    dollars: 0.05,
    per: 10_000,
    of: "calls that Parameter Store passes to Secrets Manager",
    page: "https://aws.amazon.com/secrets-manager/pricing/",
  },
} as const satisfies Record<string, Price>;

export type PriceName = keyof typeof prices;

/** The user's own prices, which replace list prices. They refer to the same number of items. */
export type OwnPrices = ReadonlyMap<PriceName, number>;

/** Dollars per item. */
export function priceOf(name: PriceName, own: OwnPrices = new Map()): number {
  const { dollars, per } = prices[name];
  return (own.get(name) ?? dollars) / per;
}

/** Whether a text is a price's name. */
export function isPriceName(text: string): text is PriceName {
  return Object.hasOwn(prices, text);
}
