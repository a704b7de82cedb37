import { KMSClient } from "@aws-sdk/client-kms";
import { SQSClient } from "@aws-sdk/client-sqs";
import { SSMClient } from "@aws-sdk/client-ssm";
import { STSClient } from "@aws-sdk/client-sts";
import { once } from "../runtime/once.ts";
import { noProxies, type Proxies } from "../runtime/proxies.ts";
import { bodyBytes, boundedBody, queueBodyBytes } from "./body.ts";
import type { CredentialProvider, Credentials } from "./credentials.ts";
import type { Lookup } from "./endpoints.ts";
import { Handlers } from "./handler.ts";
import type { IdentitySpec } from "./identity-spec.ts";

/** Settings shared by all identities' clients. */
export interface ClientSettings {
  allowInsecureEndpoints: boolean;
  userAgent: string;
  connectTimeoutMs: number;
  callTimeoutMs: number;
  lookup?: Lookup;
  /** The proxies of the environment; default none. */
  proxies?: Proxies;
}

/** The SDK clients of one identity, which share sockets. */
export interface Clients {
  readonly ssm: SSMClient;
  readonly kms: KMSClient;
  readonly sts: STSClient;
  readonly sqs: SQSClient;
  /** Another STS client, which signs with these credentials: each role is assumed with the previous one's. */
  stsAs(credentials: Credentials): STSClient;
  /** The credentials that sign the next call. */
  credentials: CredentialProvider;
  /** Closes every socket. */
  destroy(): void;
}

/** Maximum long-poll duration of SQS in milliseconds (API Reference, ReceiveMessage). */
export const longestWaitMs = 20_000;

/** Maximum sockets of one identity to one host; further calls wait. */
const socketsAtMost = 50;

/**
 * Creates an identity's clients lazily: each takes some 20 KB, and most identities need two.
 *
 * @param credentials sign the calls
 */
export function makeClients(spec: IdentitySpec, settings: ClientSettings, credentials: CredentialProvider): Clients {
  const { userAgent, connectTimeoutMs, callTimeoutMs } = settings;
  const { proxies = noProxies, allowInsecureEndpoints, lookup } = settings;
  const handlers = new Handlers({
    ...{ proxies, allowInsecureEndpoints, connectTimeoutMs },
    ...(lookup ? { lookup } : {}),
    maxSockets: socketsAtMost,
  });
  const { region, endpoints = {}, useFIPS, useDualStack } = spec;
  const shared = {
    region,
    credentials,
    // One entry per product: the SDK escapes a space in a name.
    customUserAgent: userAgent.split(" ").map((product): [string] => [product]),
    // The caller retries, because each attempt must pass the rate limiter.
    maxAttempts: 1,
    retryMode: "standard",
    streamCollector: boundedBody(bodyBytes),
    // AWS_ENDPOINT_URL is used only where an emulator is allowed.
    ignoreConfiguredEndpointUrls: !settings.allowInsecureEndpoints,
    requestHandler: handlers.handler(callTimeoutMs),
    ...(useFIPS === undefined ? {} : { useFipsEndpoint: useFIPS }),
    ...(useDualStack === undefined ? {} : { useDualstackEndpoint: useDualStack }),
  };
  const at = (endpoint: string | undefined) => ({ ...shared, ...(endpoint === undefined ? {} : { endpoint }) });
  const ssm = once(() => new SSMClient(at(endpoints.ssm)));
  const kms = once(() => new KMSClient(at(endpoints.kms)));
  const sts = once(() => new STSClient(at(endpoints.sts)));
  const sqs = once(
    () =>
      new SQSClient({
        ...at(endpoints.sqs),
        // The queue URL is user input: it identifies the queue but never selects the endpoint.
        useQueueUrlAsEndpoint: false,
        // TLS protects the bodies, and MD5 is unavailable when OpenSSL runs in FIPS 140 mode.
        md5: false,
        streamCollector: boundedBody(queueBodyBytes),
        // Long polls exceed the socket timeout; calls.ts enforces the timeout of every call.
        requestHandler: handlers.handler(callTimeoutMs + longestWaitMs),
      }),
  );
  return {
    get ssm() {
      return ssm();
    },
    get kms() {
      return kms();
    },
    get sts() {
      return sts();
    },
    get sqs() {
      return sqs();
    },
    stsAs: (other) => new STSClient({ ...at(endpoints.sts), credentials: other }),
    credentials,
    destroy() {
      handlers.destroy();
    },
  };
}
