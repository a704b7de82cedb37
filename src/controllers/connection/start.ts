import type { AnyConnection } from "../../api/any-connection.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { KubeError } from "../../kube/errors.ts";
import { type KubeObject, secrets } from "../../kube/resource.ts";
import { Failure } from "../../runtime/failure.ts";
import { credentialsSecret, type SecretData, serviceAccountOf } from "./resolve.ts";
import type { ServiceAccounts } from "./service-accounts.ts";

/** What the identities of a connection begin with, as the cluster has it; neither is the operator's own identity. */
export interface Start {
  /** The data of the Secret with the connection's static keys. */
  data: SecretData | undefined;
  /** The role of the connection's single ServiceAccount; undefined also if each namespace has its own. */
  role: string | undefined;
}

/**
 * Reads the Secret or the ServiceAccount that a connection names.
 *
 * @throws Failure if it does not exist, may not be read, or has no role; KubeError
 */
export async function startOf(
  connection: AnyConnection,
  client: Pick<KubeClient, "get">,
  accounts: Pick<ServiceAccounts, "read">,
): Promise<Start> {
  const account = serviceAccountOf(connection);
  const role = account && (await accounts.read(account));
  if (role instanceof Failure) throw role;
  return { role, data: await credentials(connection, client) };
}

async function credentials(
  connection: AnyConnection,
  client: Pick<KubeClient, "get">,
): Promise<SecretData | undefined> {
  const ref = credentialsSecret(connection);
  if (!ref) return undefined;
  const where = `${ref.namespace}/${ref.name}`;
  try {
    const secret = await client.get<KubeObject & { data?: SecretData }>(secrets, ref.namespace, ref.name);
    return secret.data ?? {};
  } catch (error) {
    if (error instanceof KubeError && error.kind === "notFound") {
      const message = `Secret ${where}, which spec.auth.secretRef names, does not exist: create it with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`;
      throw new Failure("ConnectionNotReady", "wait", message);
    }
    if (error instanceof KubeError && error.kind === "forbidden") {
      throw new Failure("AccessDenied", "wait", `the operator may not get Secret ${where}: allow it by a Role`);
    }
    throw error;
  }
}
