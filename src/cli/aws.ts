import { KMSClient } from "@aws-sdk/client-kms";
import { type SendCall, sender } from "../aws/calls.ts";
import { chainCode } from "../aws/chain-table.ts";
import { type Clients, makeClients } from "../aws/clients.ts";
import { credentialsOf } from "../aws/credentials.ts";
import { AwsFailure } from "../aws/failure.ts";
import { type KmsEncryptPort, kmsEncryptPort } from "../aws/kms-encrypt.ts";
import { parseKeyRef } from "../aws/names.ts";
import { Metrics } from "../metrics/metrics.ts";
import { systemClock } from "../runtime/clock.ts";
import { Failure } from "../runtime/failure.ts";
import { Proxies } from "../runtime/proxies.ts";
import { say } from "./output.ts";
import { UsageError } from "./usage.ts";
import { version } from "./version.ts";
import { logIn } from "./words.ts";

/** How a command that a person runs reaches AWS. */
export interface AwsFlags {
  region?: string;
  allowInsecureEndpoints?: true;
}

/** Tries of a call that AWS throttles or does not answer, and milliseconds before the second; they double. */
const tries = { most: 4, firstWaitMs: 500 };

/**
 * KMS for a person: the identity and region are those of the AWS environment (variables, profiles, instance). The
 * environment says where AWS is (AWS_ENDPOINT_URL) only with --allow-insecure-endpoints.
 */
export class PersonsKms {
  readonly #flags: AwsFlags;
  readonly #proxies = new Proxies(process.env);
  readonly #clients: Clients[] = [];
  readonly #ports = new Map<string, KmsEncryptPort>();
  #default: string | undefined;

  /** @throws Failure where the environment names a proxy that cannot be used */
  constructor(flags: AwsFlags) {
    this.#flags = flags;
    warnOfEndpoint(flags.allowInsecureEndpoints ?? false);
  }

  /** Finds the region where no ARN names one. @throws UsageError where there is none */
  async findRegion(): Promise<string> {
    this.#default ??= this.#flags.region ?? (await environmentsRegion());
    if (this.#default === undefined) {
      throw new UsageError(
        "no AWS region is set: give --region, or set AWS_REGION or AWS_DEFAULT_REGION, or name the key by its ARN",
      );
    }
    return this.#default;
  }

  /** The way to KMS in a region; `findRegion` has to have found one where it is left out. */
  in(region: string | undefined): KmsEncryptPort {
    const where = region ?? this.#default!;
    const known = this.#ports.get(where);
    if (known) return known;
    const allowInsecureEndpoints = this.#flags.allowInsecureEndpoints ?? false;
    const userAgent = `keyferry/${version}`;
    const times = { connectTimeoutMs: 3_000, callTimeoutMs: 10_000 };
    const spec = { region: where, credentials: { kind: "default" } } as const;
    const credentials = credentialsOf(spec.credentials, where, "keyferry", this.#proxies);
    const settings = { allowInsecureEndpoints, userAgent, ...times, proxies: this.#proxies };
    const clients = makeClients(spec, settings, credentials);
    this.#clients.push(clients);
    const call = sender({
      borrow: (use) => use(clients),
      clock: systemClock,
      metrics: new Metrics(),
      log: silent,
      callTimeoutMs: times.callTimeoutMs,
      caller: () => undefined,
    });
    const port = kmsEncryptPort(again(call), where);
    this.#ports.set(where, port);
    return port;
  }

  close(): void {
    for (const clients of this.#clients) clients.destroy();
  }
}

/** The region that a key's name tells; undefined for an id and an alias. */
export function regionOfKey(keyId: string): string | undefined {
  const ref = parseKeyRef(keyId);
  return ref && "region" in ref ? ref.region : undefined;
}

/** The region of the AWS environment (variables, profile) in the AWS CLI's order; undefined where it says none. */
export async function environmentsRegion(): Promise<string | undefined> {
  const { AWS_REGION, AWS_DEFAULT_REGION } = process.env;
  // The SDK knows the first alone.
  if (!AWS_REGION && AWS_DEFAULT_REGION) return AWS_DEFAULT_REGION;
  const client = new KMSClient({});
  try {
    return await client.config.region();
  } catch {
    return undefined;
  } finally {
    client.destroy();
  }
}

/** No line of the operator's log: what a person has to know is said once, in the end. */
export const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Tries again what mends itself, and says in a person's words what the operator would say of its own identity. */
function again(call: SendCall): SendCall {
  return async (about, signal, use, options) => {
    for (let count = 1; ; count++) {
      try {
        return await call(about, signal, use, options);
      } catch (error) {
        if (!(error instanceof AwsFailure)) throw error;
        if (error.code === chainCode("None")) throw new Failure(error.reason, error.next, noCredentials);
        if (error.reason === "ConnectionNotReady") throw error;
        if (error.next !== "retry" || count === tries.most) throw error;
        await new Promise((resolve) => setTimeout(resolve, tries.firstWaitMs * 2 ** (count - 1)));
      }
    }
  };
}

const noCredentials = `${logIn}; with --public-key none are needed`;

/** Says that the environment's endpoint is not followed: who set it would wait for an answer of somebody else. */
export function warnOfEndpoint(allowInsecureEndpoints: boolean): void {
  if (allowInsecureEndpoints) return;
  const variable = Object.keys(process.env).find((name) => /^AWS_ENDPOINT_URL(_|$)/.test(name) && process.env[name]);
  if (variable !== undefined) say(`keyferry: ${variable} is not followed without --allow-insecure-endpoints`);
}
