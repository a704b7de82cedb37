import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { KMSClient } from "@aws-sdk/client-kms";
import { SSMClient } from "@aws-sdk/client-ssm";
import { STSClient } from "@aws-sdk/client-sts";
import { boundedBody } from "./body.ts";
import { type CredentialProvider, credentialsOf } from "./credentials.ts";
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
  readonly ssm: SSMClient;
  readonly kms: KMSClient;
  readonly sts: STSClient;
  /** What the next call would be signed with. */
  credentials: CredentialProvider;
  /** Closes every socket. */
  destroy(): void;
}

/** Sockets of one identity to one host, at most; a call more waits for one. */
const socketsAtMost = 50;

/** Makes an identity's clients, each at its first use: one takes some 20 KB, and most identities need two. */
export function makeClients(spec: IdentitySpec, settings: ClientSettings): Clients {
  const { userAgent, connectTimeoutMs, callTimeoutMs } = settings;
  const sockets = { keepAlive: true, maxSockets: socketsAtMost, lookup: guardedLookup(settings) };
  const httpAgent = new HttpAgent(sockets);
  const httpsAgent = new HttpsAgent(sockets);
  const { region, endpoints = {}, useFIPS, useDualStack } = spec;
  const credentials = credentialsOf(spec.credentials, region);
  const shared = {
    region,
    credentials,
    customUserAgent: userAgent,
    // Retries are the caller's: each one has to pass its quota.
    maxAttempts: 1,
    retryMode: "standard",
    streamCollector: boundedBody,
    // The environment says who we are, and whom we talk to (AWS_ENDPOINT_URL) only where that may be an emulator.
    ignoreConfiguredEndpointUrls: !settings.allowInsecureEndpoints,
    requestHandler: {
      httpAgent,
      httpsAgent,
      connectionTimeout: connectTimeoutMs,
      requestTimeout: callTimeoutMs,
      throwOnRequestTimeout: true,
    },
    ...(useFIPS === undefined ? {} : { useFipsEndpoint: useFIPS }),
    ...(useDualStack === undefined ? {} : { useDualstackEndpoint: useDualStack }),
  };
  const at = (endpoint: string | undefined) => ({ ...shared, ...(endpoint === undefined ? {} : { endpoint }) });
  let ssm: SSMClient | undefined;
  let kms: KMSClient | undefined;
  let sts: STSClient | undefined;
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
    credentials,
    destroy() {
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}
