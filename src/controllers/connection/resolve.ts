import type { AWSConnection, ClusterAWSConnection } from "../../api/types.ts";
import type { IdentitySpec } from "../../aws/identity.ts";
import { Failure } from "../../runtime/failure.ts";
import { Sealed } from "../../runtime/sealed.ts";

export type AnyConnection = AWSConnection | ClusterAWSConnection;

/** A Secret's data as the API server gives it: base64 by key. */
export type SecretData = Readonly<Record<string, string>>;

/** How a connection is called wherever one is meant: `ClusterAWSConnection//default`, `AWSConnection/shop/aws`. */
export function connectionKey(kind: "AWSConnection" | "ClusterAWSConnection", namespace: string, name: string): string {
  return `${kind}/${kind === "AWSConnection" ? namespace : ""}/${name}`;
}

/** The Secret that holds a connection's static keys, if it names one. */
export function credentialsSecret(connection: AnyConnection): { namespace: string; name: string } | undefined {
  const ref = connection.spec.auth?.secretRef as { namespace?: string; name: string } | undefined;
  if (!ref) return undefined;
  const own = connection.kind === "AWSConnection" ? connection.metadata.namespace! : ref.namespace!;
  return { namespace: own, name: ref.name };
}

/**
 * Turns a connection into the identity that it stands for. Pure.
 *
 * @param data of the Secret that `credentialsSecret` names; undefined where it names none
 * @throws Failure where a namespaced connection would borrow the operator's identity, or the Secret lacks a key
 */
export function identitySpec(connection: AnyConnection, data: SecretData | undefined): IdentitySpec {
  const { spec } = connection;
  const secret = credentialsSecret(connection);
  if (connection.kind === "AWSConnection" && !secret) {
    const message =
      "spec.auth.secretRef is required: a namespaced connection never uses the operator's own AWS identity";
    throw new Failure("NotAllowed", "stalled", message);
  }
  const cluster = connection.kind === "ClusterAWSConnection" ? (connection as ClusterAWSConnection).spec : undefined;
  return {
    region: spec.region,
    credentials: secret ? staticKeys(data ?? {}, `${secret.namespace}/${secret.name}`) : { kind: "default" },
    ...(cluster?.endpoints ? { endpoints: cluster.endpoints } : {}),
    ...(cluster?.useFIPS === undefined ? {} : { useFIPS: cluster.useFIPS }),
    ...(cluster?.useDualStack === undefined ? {} : { useDualStack: cluster.useDualStack }),
  };
}

function staticKeys(data: SecretData, where: string): IdentitySpec["credentials"] {
  const read = (key: string) => {
    const value = Object.hasOwn(data, key) ? Buffer.from(data[key]!, "base64").toString("utf8").trim() : "";
    return value === "" ? undefined : value;
  };
  const accessKeyId = read("AWS_ACCESS_KEY_ID");
  const secretAccessKey = read("AWS_SECRET_ACCESS_KEY");
  if (!accessKeyId || !secretAccessKey) {
    const message = `Secret ${where} must have the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`;
    throw new Failure("ConnectionNotReady", "wait", message);
  }
  const sessionToken = read("AWS_SESSION_TOKEN");
  return {
    kind: "static",
    accessKeyId,
    secretAccessKey: Sealed.text(secretAccessKey),
    ...(sessionToken === undefined ? {} : { sessionToken: Sealed.text(sessionToken) }),
  };
}

/**
 * Whether a connection may be used from a namespace. A namespaced one serves its own namespace only; a cluster one,
 * those that it lists or selects, and none where it says nothing.
 *
 * @param labels of the namespace; undefined where they are not known, which a selector takes for no
 */
export function allowsNamespace(
  connection: AnyConnection,
  namespace: string,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  if (connection.kind === "AWSConnection") return connection.metadata.namespace === namespace;
  const allowed = (connection as ClusterAWSConnection).spec.allow?.namespaces;
  if (!allowed) return false;
  if (allowed.names) return allowed.names.includes(namespace);
  return allowed.selector !== undefined && labels !== undefined && matches(allowed.selector, labels);
}

interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

/** A label selector as apimachinery reads one (pkg/apis/meta/v1/helpers.go): every term must hold; none holds always. */
function matches(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  const label = (key: string) => (Object.hasOwn(labels, key) ? labels[key] : undefined);
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (label(key) !== value) return false;
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const value = label(key);
    if (operator === "Exists" ? value === undefined : false) return false;
    if (operator === "DoesNotExist" && value !== undefined) return false;
    if (operator === "In" && (value === undefined || !values.includes(value))) return false;
    if (operator === "NotIn" && value !== undefined && values.includes(value)) return false;
    if (!["Exists", "DoesNotExist", "In", "NotIn"].includes(operator)) return false;
  }
  return true;
}
