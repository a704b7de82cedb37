import type { AnyConnection } from "../../api/any-connection.ts";
import type { ClusterAWSConnection, SyncedSecret } from "../../api/types.ts";
import type { IdentitySpec, RoleStep, WebIdentity } from "../../aws/identity-spec.ts";
import { accountOfArn } from "../../aws/names.ts";
import type { ServiceAccountName } from "../../kube/service-account-tokens.ts";
import { parseDuration } from "../../runtime/duration.ts";
import { Failure } from "../../runtime/failure.ts";
import { Sealed } from "../../runtime/sealed.ts";
import { endpointsOf } from "../endpoints.ts";

/** A Secret's data as in the API: base64 by key. */
export type SecretData = Readonly<Record<string, string>>;

/** The key of a connection everywhere in the code: `ClusterAWSConnection//default`, `AWSConnection/shop/aws`. */
export function connectionKey(kind: "AWSConnection" | "ClusterAWSConnection", namespace: string, name: string): string {
  return `${kind}/${kind === "AWSConnection" ? namespace : ""}/${name}`;
}

/** A connection's kind, namespace and name. */
export interface ConnectionName {
  kind: "AWSConnection" | "ClusterAWSConnection";
  /** Of an AWSConnection. */
  namespace: string;
  name: string;
}

/**
 * The connection that a SyncedSecret names, or the default connection.
 *
 * @param fallback the AWSConnection that replaces the default ClusterAWSConnection: `--default-connection`
 */
export function connectionNamedBy(
  { spec, metadata }: SyncedSecret,
  fallback?: { namespace: string; name: string },
): ConnectionName {
  const ref = spec.connectionRef;
  if (ref) return { kind: ref.kind ?? "ClusterAWSConnection", namespace: metadata.namespace!, name: ref.name };
  if (fallback) return { kind: "AWSConnection", ...fallback };
  return { kind: "ClusterAWSConnection", namespace: "", name: "default" };
}

/** The key of the connection that a SyncedSecret names, or of the default connection. */
export function connectionKeyFor(...of: Parameters<typeof connectionNamedBy>): string {
  const { kind, namespace, name } = connectionNamedBy(...of);
  return connectionKey(kind, namespace, name);
}

/** The Secret that holds a connection's static keys, if it names one. */
export function credentialsSecret(connection: AnyConnection): { namespace: string; name: string } | undefined {
  const ref = connection.spec.auth?.secretRef as { namespace?: string; name: string } | undefined;
  if (!ref) return undefined;
  const own = connection.kind === "AWSConnection" ? connection.metadata.namespace! : ref.namespace!;
  return { namespace: own, name: ref.name };
}

/**
 * The ServiceAccount with whose role a connection calls AWS, if it names one.
 *
 * @param namespace of the SyncedSecret: the ServiceAccount's, if a cluster connection names none
 * @returns undefined also if that namespace is needed and not given
 */
export function serviceAccountOf(connection: AnyConnection, namespace?: string): ServiceAccountName | undefined {
  const ref = connection.spec.auth?.serviceAccountRef as { namespace?: string; name: string } | undefined;
  if (!ref) return undefined;
  const where = connection.kind === "AWSConnection" ? connection.metadata.namespace : (ref.namespace ?? namespace);
  return where === undefined ? undefined : { namespace: where, name: ref.name };
}

/** Reports whether each namespace that uses a connection does so with a ServiceAccount of its own. */
export function isOfServiceAccounts(connection: AnyConnection): boolean {
  return connection.spec.auth?.serviceAccountRef !== undefined && serviceAccountOf(connection) === undefined;
}

/** The roles that a connection assumes, as in its spec. */
type Roles = NonNullable<NonNullable<AnyConnection["spec"]["auth"]>["assumeRole"]>;

const placeholder = "{namespace}";

/**
 * Reports whether each namespace that uses a connection has its own identity. A namespaced connection always has one.
 */
export function isOfNamespaces(connection: AnyConnection): boolean {
  if (connection.kind === "AWSConnection") return false;
  if (isOfServiceAccounts(connection)) return true;
  const texts = ({ roleArn, sourceIdentity = "", sessionTags = {} }: Roles[number]) =>
    [roleArn, sourceIdentity, ...Object.values(sessionTags)].join("\n");
  return (connection.spec.auth?.assumeRole ?? []).some((role) => texts(role).includes(placeholder));
}

/** The account of the last role that a connection assumes, from its ARN; undefined without roles. */
export function accountOfRole(connection: AnyConnection): string | undefined {
  const last = connection.spec.auth?.assumeRole?.at(-1);
  return last && accountOfArn(last.roleArn);
}

/** Which identity of a connection is meant: for a namespace, for the queue, and in which region. */
export interface IdentityFor {
  /** The SyncedSecret's namespace, if each namespace has its own identity. */
  namespace?: string;
  /** Whether the identity receives from the connection's queue. */
  forQueue?: boolean;
  /** A failover region. Default: the connection's own region. */
  region?: string;
}

/**
 * Returns the spec of a connection's identity. Pure.
 *
 * @param start the data of the Secret that `credentialsSecret` names, or the ServiceAccount's role; neither if the
 *   connection names none
 * @throws Failure if a namespaced connection would use the operator's identity, the Secret lacks a key, or a role's
 *   name would be invalid
 */
export function identitySpec(
  connection: AnyConnection,
  { data, webIdentity }: { data?: SecretData | undefined; webIdentity?: WebIdentity | undefined },
  { namespace, forQueue = false, region = connection.spec.region }: IdentityFor = {},
): IdentitySpec {
  const secret = credentialsSecret(connection);
  if (connection.kind === "AWSConnection" && !secret && !webIdentity) {
    const message =
      "spec.auth needs serviceAccountRef or secretRef: a namespaced connection never uses the operator's own AWS identity";
    throw new Failure("NotAllowed", "stalled", message);
  }
  const cluster = connection.kind === "ClusterAWSConnection" ? (connection as ClusterAWSConnection).spec : undefined;
  const isHome = region === connection.spec.region;
  const ofNamespaces = isOfNamespaces(connection);
  const roles = forQueue && ofNamespaces ? cluster?.events?.auth?.assumeRole : connection.spec.auth?.assumeRole;
  const standsFor = ofNamespaces ? namespace : connection.metadata.namespace;
  const steps = (roles ?? []).map((role) => stepOf(role, standsFor ?? ""));
  checkInherited(steps);
  // A cluster connection has no namespace of its own.
  const owner = ofNamespaces ? namespace : webIdentity && connection.metadata.namespace;
  return {
    region,
    credentials: webIdentity
      ? { kind: "webIdentity", ...webIdentity }
      : secret
        ? staticKeys(data ?? {}, `${secret.namespace}/${secret.name}`)
        : { kind: "default" },
    ...(steps.length > 0 ? { assumeRole: steps } : {}),
    ...(owner !== undefined ? { namespace: owner } : {}),
    ...endpointsOf(cluster?.endpoints, region, isHome),
    ...(cluster?.useFIPS === undefined ? {} : { useFIPS: cluster.useFIPS }),
    ...(cluster?.useDualStack === undefined ? {} : { useDualStack: cluster.useDualStack }),
  };
}

/** Maximum characters of a role's name and of a source identity (IAM User Guide, "IAM and AWS STS quotas"). */
const nameLength = 64;

function stepOf(
  { roleArn, externalId, sessionTags, transitiveTagKeys, sourceIdentity, duration }: Roles[number],
  namespace: string,
): RoleStep {
  const filled = (text: string) => text.replaceAll(placeholder, namespace);
  const arn = filled(roleArn);
  const tooLong = (what: string) =>
    new Failure(
      "InvalidData",
      "stalled",
      `auth.assumeRole of the connection makes ${what} of over ${nameLength} characters for namespace ${namespace}: AWS takes no longer one; use a shorter name`,
    );
  if (arn.length - arn.lastIndexOf("/") - 1 > nameLength) throw tooLong("a role's name");
  if (sourceIdentity !== undefined && filled(sourceIdentity).length > nameLength) throw tooLong("a sourceIdentity");
  const seconds = duration === undefined ? undefined : parseDuration(duration)! / 1_000;
  return {
    roleArn: arn,
    ...(externalId === undefined ? {} : { externalId }),
    ...(sessionTags === undefined
      ? {}
      : { sessionTags: Object.fromEntries(Object.entries(sessionTags).map(([key, value]) => [key, filled(value)])) }),
    ...(transitiveTagKeys === undefined ? {} : { transitiveTagKeys }),
    ...(sourceIdentity === undefined ? {} : { sourceIdentity: filled(sourceIdentity) }),
    ...(seconds === undefined ? {} : { durationSeconds: seconds }),
  };
}

/** @throws Failure if a role sets a tag that it inherits from an earlier one, which AWS refuses */
function checkInherited(steps: readonly RoleStep[]): void {
  const inherited = new Set<string>();
  for (const { sessionTags = {}, transitiveTagKeys = [] } of steps) {
    // AWS compares the names of tags without case.
    const again = Object.keys(sessionTags).find((key) => inherited.has(key.toLowerCase()));
    if (again !== undefined) {
      const message = `auth.assumeRole of the connection sets the session tag ${again} again, which an earlier role hands down by transitiveTagKeys: remove one of the two`;
      throw new Failure("InvalidData", "stalled", message);
    }
    for (const key of transitiveTagKeys) inherited.add(key.toLowerCase());
  }
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
 * Reports whether a namespace may use a connection. An AWSConnection serves its own namespace only. A
 * ClusterAWSConnection serves the namespaces that it lists or selects; by default none.
 *
 * @param labels of the namespace; undefined if unknown, which no selector matches
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

/**
 * Evaluates a label selector as apimachinery does (pkg/apis/meta/v1/helpers.go): every term must match; an empty
 * selector always matches.
 */
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
