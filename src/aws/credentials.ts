import { noProxies, type Proxies } from "../runtime/proxies.ts";
import { type ChainPlace, chainPlace, chainTrouble } from "./chain-trouble.ts";
import { Handlers } from "./handler.ts";
import type { CredentialSource } from "./identity.ts";

/** What a request is signed with. */
export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  expiration?: Date;
}

/** Gives the credentials of the moment; the SDK asks anew some minutes before they expire. */
export type CredentialProvider = () => Promise<Credentials>;

/** The chain gave no credentials; `cause` is what it threw. */
export class CredentialsUnavailable extends Error {
  /** Where the environment says that they are. */
  readonly place: ChainPlace;

  constructor(cause: unknown, place: ChainPlace = chainPlace({})) {
    super("no credentials", { cause });
    this.place = place;
    this.name = "CredentialsUnavailable";
  }
}

type Chain = (options: { callerClientConfig: { region: () => Promise<string> } }) => Promise<Credentials>;

let chain: Promise<Chain> | undefined;

const chainHandlers = { allowInsecureEndpoints: true, maxSockets: 50, connectTimeoutMs: 3_000 };

const clientConfig = (proxies: Proxies) => ({
  requestHandler: new Handlers({ ...chainHandlers, proxies }).handler(5_000),
});

/**
 * The operator's own credentials, from the first place of the SDK's chain that has any: environment, files, web identity
 * token (IRSA), container (Pod Identity), instance. One for the process: the chain remembers what it got, and the
 * clients of every region share it. It has connections of its own, which may reach the instance's metadata. Its code is
 * loaded at the first use.
 */
async function operatorsOwn(region: string, sessionName: string, proxies: Proxies): Promise<Credentials> {
  chain ??= import("@aws-sdk/credential-providers").then(({ fromNodeProviderChain }) =>
    fromNodeProviderChain({
      // Part of the caller's ARN, which messages show: the SDK's own holds the time.
      roleSessionName: process.env.AWS_ROLE_SESSION_NAME ?? sessionName,
      // Of the STS and SSO clients alone: what asks a link-local address for credentials never goes by a proxy. Where
      // they are the environment says (AWS_ENDPOINT_URL), and no connection.
      clientConfig: clientConfig(proxies),
    }),
  );
  try {
    // Of the client that asks, its region alone: the next one to ask may be another identity's.
    return await (await chain)({ callerClientConfig: { region: async () => region } });
  } catch (error) {
    const place = chainPlace(process.env);
    throw new CredentialsUnavailable(await closer(error, place, proxies), place);
  }
}

/**
 * The chain ends with "none", whatever was wrong with a profile or an agent on its way: the one that the environment
 * names is asked by itself, and what it throws is given, else the error.
 */
async function closer(error: unknown, place: ChainPlace, proxies: Proxies): Promise<unknown> {
  if ((error as Error | undefined)?.name !== "CredentialsProviderError" || chainTrouble(error, place)) return error;
  if (place.hasTokenFile || (place.profile === undefined && !place.hasAgent)) return error;
  const { fromHttp, fromIni } = await import("@aws-sdk/credential-providers");
  try {
    if (place.profile === undefined) await fromHttp({ maxRetries: 0 })();
    else await fromIni({ profile: place.profile, clientConfig: clientConfig(proxies) })();
    return error;
  } catch (cause) {
    return cause;
  }
}

/**
 * The provider for a source.
 *
 * @param region whose STS exchanges the operator's token, where it has one
 * @param sessionName under which it does; the first that is asked with holds for the process
 * @param proxies by which it does; the first too
 */
export function credentialsOf(
  source: CredentialSource,
  region: string,
  sessionName: string,
  proxies: Proxies = noProxies,
): CredentialProvider {
  if (source.kind === "default") return () => operatorsOwn(region, sessionName, proxies);
  const { accessKeyId, secretAccessKey, sessionToken } = source;
  const text = (sealed: { reveal(): Uint8Array }) => Buffer.from(sealed.reveal()).toString("utf8");
  return async () => ({
    accessKeyId,
    secretAccessKey: text(secretAccessKey),
    ...(sessionToken ? { sessionToken: text(sessionToken) } : {}),
  });
}
