import { noProxies, type Proxies } from "../runtime/proxies.ts";
import { type ChainPlace, chainPlace, chainTrouble } from "./chain-trouble.ts";
import { Handlers } from "./handler.ts";
import type { CredentialSource } from "./identity-spec.ts";

/** The credentials that sign a request. */
export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  expiration?: Date;
}

/** Returns the current credentials; the SDK asks again some minutes before they expire. */
export type CredentialProvider = () => Promise<Credentials>;

/** The credential chain failed; `cause` is its error. */
export class CredentialsUnavailable extends Error {
  /** The credential source that the environment configures. */
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
 * The operator's own credentials, from the first source of the SDK's chain that has any: environment, files, web
 * identity token (IRSA), container (Pod Identity), instance. The chain caches them, and all regions' clients share
 * one chain. It uses its own connections, which may reach the instance metadata service. Its code is loaded at first
 * use.
 */
async function operatorsOwn(region: string, sessionName: string, proxies: Proxies): Promise<Credentials> {
  chain ??= import("@aws-sdk/credential-providers").then(({ fromNodeProviderChain }) =>
    fromNodeProviderChain({
      // Part of the caller's ARN, which messages show: the SDK's default name contains the time.
      roleSessionName: process.env.AWS_ROLE_SESSION_NAME ?? sessionName,
      // Only for the STS and SSO clients: requests to link-local addresses never use a proxy. AWS_ENDPOINT_URL sets
      // their endpoint, never a connection.
      clientConfig: clientConfig(proxies),
    }),
  );
  try {
    // Pass only the region of the calling client: the next caller may be another identity.
    return await (await chain)({ callerClientConfig: { region: async () => region } });
  } catch (error) {
    const place = chainPlace(process.env);
    throw new CredentialsUnavailable(await closer(error, place, proxies), place);
  }
}

/**
 * Finds the cause of a failed chain. The chain reports only that no provider succeeded, so the provider that the
 * environment names is called alone. Returns its error, or the original one.
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
 * Returns the provider for a source.
 *
 * @param region of the STS endpoint that exchanges the operator's web identity token, if it has one
 * @param sessionName for that exchange; the first call's value applies to the process
 * @param proxies for that exchange; the first call's value applies to the process
 */
export function credentialsOf(
  source: CredentialSource,
  region: string,
  sessionName: string,
  proxies: Proxies = noProxies,
): CredentialProvider {
  if (source.kind === "default") return () => operatorsOwn(region, sessionName, proxies);
  // The role chain begins with the ServiceAccount's token, and asks for no other credentials.
  if (source.kind === "webIdentity") return () => Promise.reject(new CredentialsUnavailable(undefined));
  const { accessKeyId, secretAccessKey, sessionToken } = source;
  const text = (sealed: { reveal(): Uint8Array }) => Buffer.from(sealed.reveal()).toString("utf8");
  return async () => ({
    accessKeyId,
    secretAccessKey: text(secretAccessKey),
    ...(sessionToken ? { sessionToken: text(sessionToken) } : {}),
  });
}
