import { AwsFailure } from "../../src/aws/failure.ts";
import type { Identity } from "../../src/aws/identity.ts";
import { kmsPort } from "../../src/aws/kms.ts";
import type { ParameterRecord } from "../../src/aws/ssm.ts";
import { ssmPort } from "../../src/aws/ssm.ts";
import type { ParameterReference } from "../../src/parameters/read/reference.ts";
import type { VersionStamp } from "../../src/parameters/read/version-stamp.ts";
import type { Random } from "../../src/runtime/clock.ts";
import { Sealed } from "../../src/runtime/sealed.ts";
import { Quota } from "../../test/emulator/quota.ts";
import type { SimulationClock } from "./clock.ts";

interface Stored {
  version: number;
  modified: number;
  /** The clock's time of the last look. */
  lookedAt: number;
}

/** Parameter Store's default quota in requests a second, for all callers in one account and region. */
export const awsRate = 40;
/** Latency of a call in milliseconds: the minimum, and the range above it. */
const latency = { least: 15, spread: 45 };

const value = Sealed.text("v".repeat(40));

/** Parameter Store of one account and region, with SecureStrings, a quota, latency and counters. */
export class ParameterStore {
  calls = 0;
  /** Calls with decryption that were not throttled. */
  reads = 0;
  throttles = 0;
  /** Names read without decryption, and decrypted values: each is a request to KMS. */
  looks = 0;
  decrypts = 0;
  /** Milliseconds between two looks at one parameter: the maximum and the sum. */
  gaps = { longest: 0, sum: 0, count: 0 };
  readonly identity: Identity;
  readonly account: string;
  readonly region: string;
  readonly #clock: SimulationClock;
  readonly #random: Random;
  readonly #quota: Quota;
  readonly #stored = new Map<string, Stored>();

  /** @param rate the quota in requests a second */
  constructor(at: { account: string; region: string }, clock: SimulationClock, random: Random, rate = awsRate) {
    this.account = at.account;
    this.region = at.region;
    this.#clock = clock;
    this.#random = random;
    this.#quota = new Quota(clock, rate);
    const refused = () => Promise.reject(new Error("not part of the simulation"));
    this.identity = {
      key: `${at.account} ${at.region}`,
      region: at.region,
      caller: refused,
      ssm: ssmPort({
        getParameters: (names, { decrypt }) => this.#getParameters(names, decrypt),
        getParameter: refused,
        getParametersByPath: refused,
        // No parameter has policies, and DescribeParameters has a separate quota.
        describeParameters: async () => ({ found: [] }),
      }),
      kms: kmsPort({ decrypt: refused, describeKey: refused }),
      sqs: { receive: refused, remove: refused, hide: refused, tags: refused },
    };
  }

  put(name: string): void {
    const version = (this.#stored.get(name)?.version ?? 0) + 1;
    const lookedAt = this.#stored.get(name)?.lookedAt ?? Number.NaN;
    this.#stored.set(name, { version, modified: this.#clock.now(), lookedAt });
  }

  /** The current state of a parameter. */
  at(name: string): VersionStamp {
    const { version, modified } = this.#stored.get(name)!;
    return { version, modified };
  }

  reference(name: string): ParameterReference {
    return { kind: "parameter", identity: this.identity, name, selector: "" };
  }

  /** Resets the counters. */
  reset(): void {
    this.calls = 0;
    this.reads = 0;
    this.throttles = 0;
    this.looks = 0;
    this.decrypts = 0;
    this.gaps = { longest: 0, sum: 0, count: 0 };
  }

  /** Makes a call of another caller. @returns false if throttled */
  foreign(): boolean {
    try {
      this.#quota.spend({ account: this.account, region: this.region });
      return true;
    } catch {
      return false;
    }
  }

  async #getParameters(names: readonly string[], decrypt: boolean) {
    this.calls += 1;
    const took = latency.least + latency.spread * this.#random() ** 2;
    await this.#clock.wait(took / 2);
    const isGranted = this.foreign();
    if (isGranted && decrypt) this.reads += 1;
    const found = isGranted ? names.map((name) => this.#record(name, decrypt)) : [];
    await this.#clock.wait(took / 2);
    if (isGranted) return { found, invalid: [] };
    this.throttles += 1;
    const message = `AWS Systems Manager in ${this.region} throttles ssm:GetParameters`;
    throw new AwsFailure({ reason: "Throttled", next: "retry", code: "ThrottlingException", message });
  }

  #record(name: string, decrypt: boolean): ParameterRecord {
    const stored = this.#stored.get(name)!;
    if (decrypt) this.decrypts += 1;
    else this.#looked(stored);
    const { version, modified } = stored;
    const arn = `arn:aws:ssm:${this.region}:${this.account}:parameter${name}`;
    const type = "SecureString";
    return { name, selector: undefined, arn, type, version, modified, value: decrypt ? value : undefined };
  }

  #looked(stored: Stored): void {
    this.looks += 1;
    const now = this.#clock.monotonic();
    const gap = now - stored.lookedAt;
    stored.lookedAt = now;
    if (Number.isNaN(gap)) return;
    this.gaps.longest = Math.max(this.gaps.longest, gap);
    this.gaps.sum += gap;
    this.gaps.count += 1;
  }
}
