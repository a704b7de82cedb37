/** A price of AWS's: so many dollars for so many of something. */
export interface Price {
  dollars: number;
  per: number;
  /** Of what. */
  of: string;
  /** Where AWS lists it. */
  page: string;
}

const ssm = "https://aws.amazon.com/systems-manager/pricing/";
const kms = "https://aws.amazon.com/kms/pricing/";

/** The month that these list prices are of, as YYYY-MM. AWS changes them without notice: their pages hold. */
export const pricesOf = "2026-11";

/** List prices of us-east-1; what is free every month is not taken off. The one table of them. */
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

/** Prices that a user pays in the place of the list's, in dollars for as many as the list says. */
export type OwnPrices = ReadonlyMap<PriceName, number>;

/** Dollars of one. */
export function priceOf(name: PriceName, own: OwnPrices = new Map()): number {
  const { dollars, per } = prices[name];
  return (own.get(name) ?? dollars) / per;
}

/** Whether a text is a price's name. */
export function isPriceName(text: string): text is PriceName {
  return Object.hasOwn(prices, text);
}
