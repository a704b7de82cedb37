import { seeded } from "./random.ts";

/** One account and region, which share a quota. */
export interface Site {
  account: string;
  region: string;
  resources: number;
  seed: number;
}

/** The size of a fleet. */
export interface Scale {
  resources: number;
  accounts: number;
  /** SyncedSecrets that share one parameter, in an additional account. */
  sharing: number;
}

export const full: Scale = { resources: 100_000, accounts: 50, sharing: 10_000 };
export const small: Scale = { resources: 1_000, accounts: 5, sharing: 100 };

/** Parameters of each SyncedSecret. */
export const parametersEach = 10;

const regions = ["eu-west-1", "us-east-1", "ap-southeast-2"];
/** The shares of the regions in an account with one, two or three of them. */
const spreads = [[1], [0.8, 0.2], [0.7, 0.2, 0.1]];

/** The size of account n, counted from 0, is proportional to 1 / (n + this): ten of fifty have half. */
const flattening = 4;

/**
 * Accounts with a skewed size, each in one to three regions. No site exceeds the 100,000 parameters that AWS allows in
 * one account and region. The largest site comes first.
 */
export function fleetOf({ resources, accounts }: Scale): Site[] {
  const random = seeded(1);
  const weights = Array.from({ length: accounts }, (_, i) => 1 / (i + flattening));
  const sum = weights.reduce((a, b) => a + b);
  const sites: Site[] = [];
  for (const [i, weight] of weights.entries()) {
    const spread = spreads[Math.floor(random() * spreads.length)]!;
    for (const [r, part] of spread.entries()) {
      const count = Math.max(Math.round((resources * weight * part) / sum), 1);
      const account = String(100_000_000_000 + i);
      sites.push({ account, region: regions[r]!, resources: count, seed: 100 * i + r });
    }
  }
  sites.sort((a, b) => b.resources - a.resources);
  // Corrects the rounding error.
  sites[0]!.resources += resources - sites.reduce((total, site) => total + site.resources, 0);
  return sites;
}
