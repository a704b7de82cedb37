import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { KMSClient } from "@aws-sdk/client-kms";
import { SSMClient } from "@aws-sdk/client-ssm";
import { STSClient } from "@aws-sdk/client-sts";
import { boundedBody } from "./body.ts";
import { type Credentials, credentialsOf } from "./credentials.ts";
import { guardedLookup, type Lookup } from "./endpoints.ts";
import type { IdentitySpec } from "./identity.ts";

/** What holds for every identity's clients. */
export interface ClientSettings {
  allowInsecureEndpoints: boolean;
  userAgent: string;
  connectTimeoutMs: number;
  callTimeoutMs: number;
  lookup?: Lookup;
}

/** One identity's clients of the SDK, which share their sockets. */
export interface Clients {
  ssm: SSMClient;
  kms: KMSClient;
  sts: STSClient;
  /** What the next call would be signed with. */
  credentials: () => Promise<Credentials>;
  /** Closes every socket. */
  destroy(): void;
}

/** Sockets of one identity to one host, at most; a call more waits for one. */
const socketsAtMost = 50;

/** Makes an identity's clients. No socket is opened before the first call. */
export function makeClients(spec: IdentitySpec, settings: ClientSettings): Clients {
  const { userAgent, connectTimeoutMs, callTimeoutMs } = settings;
  const sockets = { keepAlive: true, maxSockets: socketsAtMost, lookup: guardedLookup(settings) };
  const httpAgent = new HttpAgent(sockets);
  const httpsAgent = new HttpsAgent(sockets);
  const { region, endpoints = {}, useFIPS, useDualStack } = spec;
  const shared = {
    region,
    credentials: credentialsOf(spec.credentials),
    customUserAgent: userAgent,
    // Retries are the caller's: each one has to pass its quota.
    maxAttempts: 1,
    retryMode: "standard",
    streamCollector: boundedBody,
    // The environment and the files that it names say who we are, never whom we talk to.
    ignoreConfiguredEndpointUrls: true,
    requestHandler: {
      httpAgent,
      httpsAgent,
      connectionTimeout: connectTimeoutMs,
      requestTimeout: callTimeoutMs,
      socketTimeout: callTimeoutMs,
      throwOnRequestTimeout: true,
    },
    ...(useFIPS === undefined ? {} : { useFipsEndpoint: useFIPS }),
    ...(useDualStack === undefined ? {} : { useDualstackEndpoint: useDualStack }),
  };
  const at = (endpoint: string | undefined) => (endpoint === undefined ? {} : { endpoint });
  const ssm = new SSMClient({ ...shared, ...at(endpoints.ssm) });
  const kms = new KMSClient({ ...shared, ...at(endpoints.kms) });
  const sts = new STSClient({ ...shared, ...at(endpoints.sts) });
  return {
    ssm,
    kms,
    sts,
    credentials: () => sts.config.credentials(),
    destroy() {
      for (const client of [ssm, kms, sts]) client.destroy();
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}
