import type { CredentialSource } from "./identity.ts";

/** What a request is signed with. */
export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  expiration?: Date;
}

type Provider = (options?: Record<string, unknown>) => Promise<Credentials>;

/** The chain gave no credentials; `cause` is what it threw. */
export class CredentialsUnavailable extends Error {
  constructor(cause: unknown) {
    super("no credentials", { cause });
    this.name = "CredentialsUnavailable";
  }
}

let chain: Promise<Provider> | undefined;

/**
 * The operator's own credentials, from the first place of the SDK's chain that has any: environment, files, web identity
 * token (IRSA), container (Pod Identity), instance. One for the process: the chain remembers what it got, and the
 * clients of every region share it. Its code is loaded at the first use.
 */
const operatorsOwn: Provider = async (options) => {
  chain ??= import("@aws-sdk/credential-providers").then(({ fromNodeProviderChain }) => fromNodeProviderChain());
  try {
    return await (await chain)(options);
  } catch (error) {
    throw new CredentialsUnavailable(error);
  }
};

/** The SDK's provider for a source. */
export function credentialsOf(source: CredentialSource): Provider {
  if (source.kind === "default") return operatorsOwn;
  const { accessKeyId, secretAccessKey, sessionToken } = source;
  const text = (sealed: { reveal(): Uint8Array }) => Buffer.from(sealed.reveal()).toString("utf8");
  return async () => ({
    accessKeyId,
    secretAccessKey: text(secretAccessKey),
    ...(sessionToken ? { sessionToken: text(sessionToken) } : {}),
  });
}
