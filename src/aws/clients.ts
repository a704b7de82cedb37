import { KMSClient } from "@aws-sdk/client-kms";
import { SQSClient } from "@aws-sdk/client-sqs";
import { SSMClient } from "@aws-sdk/client-ssm";
import { STSClient } from "@aws-sdk/client-sts";
import { noProxies, type Proxies } from "../runtime/proxies.ts";
import { bodyBytes, boundedBody, queueBodyBytes } from "./body.ts";
import type { CredentialProvider, Credentials } from "./credentials.ts";
import type { Lookup } from "./endpoints.ts";
import { Handlers } from "./handler.ts";
import type { IdentitySpec } from "./identity.ts";
import { longestWaitMs } from "./sqs.ts";

/** What holds for every identity's clients. */
export interface ClientSettings {
  allowInsecureEndpoints: boolean;
  userAgent: string;
  connectTimeoutMs: number;
  callTimeoutMs: number;
  lookup?: Lookup;
  /** The proxies of the environment; none when left out. */
  proxies?: Proxies;
}

/** One identity's clients of the SDK, which share their sockets. */
export interface Clients {
  readonly ssm: SSMClient;
  readonly kms: KMSClient;
  readonly sts: STSClient;
  readonly sqs: SQSClient;
  /** Another client of STS, which signs with these credentials: a role is assumed with those of the one before. */
  stsAs(credentials: Credentials): STSClient;
  /** What the next call would be signed with. */
  credentials: CredentialProvider;
  /** Closes every socket. */
  destroy(): void;
}

/** Sockets of one identity to one host, at most; a call more waits for one. */
const socketsAtMost = 50;

/**
 * Makes an identity's clients, each at its first use: one takes some 20 KB, and most identities need two.
 *
 * @param credentials what they sign with
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
    // One product each: the SDK takes a blank for a part of a name.
    customUserAgent: userAgent.split(" ").map((product): [string] => [product]),
    // Retries are the caller's: each one has to pass its quota.
    maxAttempts: 1,
    retryMode: "standard",
    streamCollector: boundedBody(bodyBytes),
    // The environment says who we are, and whom we talk to (AWS_ENDPOINT_URL) only where that may be an emulator.
    ignoreConfiguredEndpointUrls: !settings.allowInsecureEndpoints,
    requestHandler: handlers.handler(callTimeoutMs),
    ...(useFIPS === undefined ? {} : { useFipsEndpoint: useFIPS }),
    ...(useDualStack === undefined ? {} : { useDualstackEndpoint: useDualStack }),
  };
  const at = (endpoint: string | undefined) => ({ ...shared, ...(endpoint === undefined ? {} : { endpoint }) });
  let ssm: SSMClient | undefined;
  let kms: KMSClient | undefined;
  let sts: STSClient | undefined;
  let sqs: SQSClient | undefined;
  return {
    get ssm() {
      ssm ??= new SSMClient(at(endpoints.ssm));
      return ssm;
    },
    get kms() {
      kms ??= new KMSClient(at(endpoints.kms));
      return kms;
    },
    get sts() {
      sts ??= new STSClient(at(endpoints.sts));
      return sts;
    },
    get sqs() {
      sqs ??= new SQSClient({
        ...at(endpoints.sqs),
        // A queue's URL is a user's text: it names the queue, and never says whom we talk to.
        useQueueUrlAsEndpoint: false,
        // TLS guards the bodies; where OpenSSL is held to FIPS 140 there is no MD5 to check them by.
        md5: false,
        streamCollector: boundedBody(queueBodyBytes),
        // A receive may wait at AWS; what may not is bounded by the operator's clock (see calls.ts).
        requestHandler: handlers.handler(callTimeoutMs + longestWaitMs),
      });
      return sqs;
    },
    stsAs: (other) => new STSClient({ ...at(endpoints.sts), credentials: other }),
    credentials,
    destroy() {
      handlers.destroy();
    },
  };
}
