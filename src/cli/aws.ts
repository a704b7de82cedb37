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

/** How a command run by a person reaches AWS. */
export interface AwsFlags {
  region?: string;
  allowInsecureEndpoints?: true;
}

/** Attempts for a throttled or unanswered call, and milliseconds before the second one; the wait doubles. */
const tries = { most: 4, firstWaitMs: 500 };

/**
 * KMS with the identity and region of the AWS environment (variables, profiles, instance). The environment's endpoint
 * (AWS_ENDPOINT_URL) is used only with --allow-insecure-endpoints.
 */
export class PersonsKms {
  readonly #flags: AwsFlags;
  readonly #proxies = new Proxies(process.env);
  readonly #clients: Clients[] = [];
  readonly #ports = new Map<string, KmsEncryptPort>();
  #default: string | undefined;

  /** @throws Failure if the environment names a proxy that cannot be used */
  constructor(flags: AwsFlags) {
    this.#flags = flags;
    warnOfEndpoint(flags.allowInsecureEndpoints ?? false);
  }

  /** Determines the region for keys without an ARN. @throws UsageError if there is none */
  async findRegion(): Promise<string> {
    this.#default ??= this.#flags.region ?? (await environmentsRegion());
    if (this.#default === undefined) {
      throw new UsageError(
        "no AWS region is set: give --region, or set AWS_REGION or AWS_DEFAULT_REGION, or name the key by its ARN",
      );
    }
    return this.#default;
  }

  /** KMS in a region; without a region, `findRegion` must have found one. */
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

/** The region in a key's ARN; undefined for an id or an alias. */
export function regionOfKey(keyId: string): string | undefined {
  const ref = parseKeyRef(keyId);
  return ref && "region" in ref ? ref.region : undefined;
}

/** The region of the AWS environment (variables, profile) in the AWS CLI's order; undefined if not set. */
export async function environmentsRegion(): Promise<string | undefined> {
  const { AWS_REGION, AWS_DEFAULT_REGION } = process.env;
  // The SDK reads only AWS_REGION.
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

/** Discards the operator's log lines: a command reports its result once, at the end. */
export const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Retries temporary errors, and rewords the operator's messages for a person. */
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

/** Warns that the environment's endpoint is ignored: otherwise the user would not notice that the real AWS answers. */
export function warnOfEndpoint(allowInsecureEndpoints: boolean): void {
  if (allowInsecureEndpoints) return;
  const variable = Object.keys(process.env).find((name) => /^AWS_ENDPOINT_URL(_|$)/.test(name) && process.env[name]);
  if (variable !== undefined) say(`keyferry: ${variable} is ignored without --allow-insecure-endpoints`);
}
