import type { Rendered } from "../test/helm/chart.ts";

/** One verb on one resource, that RBAC grants or that a request has used. */
export interface Right {
  /** Empty for a cluster-wide right, or a request without a namespace. */
  namespace: string;
  /** The plural with group and subresource, as kubectl has it: `syncedsecrets.keyferry.io/status`. Or a path. */
  resource: string;
  verb: string;
  /** The object's name; empty for any, or for a request that names none. */
  name: string;
}

/** PolicyRule of rbac.authorization.k8s.io/v1. */
interface PolicyRule {
  apiGroups?: string[];
  resources?: string[];
  nonResourceURLs?: string[];
  resourceNames?: string[];
  verbs: string[];
}

type Role = Rendered & { rules: PolicyRule[] };
type Binding = Rendered & {
  roleRef: { kind: string; name: string };
  subjects?: { kind: string; name: string; namespace?: string }[];
};

/** The part of a request in the audit log that decides which right it needs. */
export interface AuthorizedRequest {
  verb: string;
  group: string;
  /** With its subresource: `syncedsecrets/status`. */
  resource: string;
  namespace: string;
  name: string;
  /** The HTTP status. */
  code: number;
}

/**
 * The rights that these requests have used, one for each request and verb. Pure. An apply that created its object (201)
 * has used the verb create besides patch, which the audit log does not show.
 */
export function usedBy(requests: readonly AuthorizedRequest[]): Right[] {
  return requests.flatMap(({ verb, group, resource, namespace, name, code }) => {
    const used = { namespace, resource: resourceName(group, resource), verb, name };
    // The log takes the name of a created object from its content. RBAC sees only that of the path.
    const isCreation = verb === "create" && !resource.includes("/");
    const hasCreated = verb === "patch" && code === 201;
    return [{ ...used, name: isCreation ? "" : name }, ...(hasCreated ? [{ ...used, verb: "create", name: "" }] : [])];
  });
}

function resourceName(group: string, resource: string): string {
  const [plural, ...subresource] = resource.split("/");
  return [group === "" ? plural : `${plural}.${group}`, ...subresource].join("/");
}

/**
 * What the Roles and ClusterRoles among these objects grant to a ServiceAccount, one entry for each verb. Pure.
 *
 * @throws Error if a binding names a role that is not among them
 */
export function grantedTo(objects: readonly Rendered[], account: { namespace: string; name: string }): Right[] {
  const rights: Right[] = [];
  for (const object of objects) {
    if (object.kind !== "RoleBinding" && object.kind !== "ClusterRoleBinding") continue;
    const { roleRef, subjects = [], metadata } = object as Binding;
    const isBound = subjects.some(
      ({ kind, name, namespace }) =>
        kind === "ServiceAccount" && name === account.name && namespace === account.namespace,
    );
    if (!isBound) continue;
    const scope = object.kind === "RoleBinding" ? metadata.namespace! : "";
    const of = roleRef.kind === "Role" ? scope : undefined;
    const role = objects.find(
      ({ kind, metadata: { name, namespace } }) => kind === roleRef.kind && name === roleRef.name && namespace === of,
    ) as Role | undefined;
    if (!role)
      throw new Error(`${object.kind} ${metadata.name} names ${roleRef.kind} ${roleRef.name}, which is missing`);
    rights.push(...role.rules.flatMap((rule) => rightsOf(rule, scope)));
  }
  return rights;
}

function rightsOf(rule: PolicyRule, namespace: string): Right[] {
  const { apiGroups = [], resources = [], nonResourceURLs = [], resourceNames = [""], verbs } = rule;
  const named = apiGroups.flatMap((group) => resources.map((resource) => resourceName(group, resource)));
  return [...named, ...nonResourceURLs].flatMap((resource) =>
    verbs.flatMap((verb) => resourceNames.map((name) => ({ namespace, resource, verb, name }))),
  );
}

/** Whether RBAC allows what was used by what was granted. A `*` covers nothing here: no rule may have one. */
export function covers(granted: Right, used: Right): boolean {
  return (
    granted.resource === used.resource &&
    granted.verb === used.verb &&
    (granted.namespace === "" || granted.namespace === used.namespace) &&
    (granted.name === "" || granted.name === used.name)
  );
}

/** The right in one line: `get secrets keys in shop`. */
export function wordsOf({ verb, resource, name, namespace }: Right): string {
  return [verb, resource, ...(name === "" ? [] : [name]), ...(namespace === "" ? [] : ["in", namespace])].join(" ");
}

/**
 * What was granted and not used, what was used and not granted, and what was granted by more than one rule, each sorted and
 * once. Pure.
 */
export function compareRights(
  granted: readonly Right[],
  used: readonly Right[],
): { unused: string[]; ungranted: string[]; repeated: string[] } {
  const unused = granted.filter((right) => !used.some((one) => covers(right, one)));
  const ungranted = used.filter((right) => !granted.some((one) => covers(one, right)));
  const repeated = granted.filter((right, at) => granted.some((other, index) => index !== at && covers(other, right)));
  return { unused: lines(unused), ungranted: lines(ungranted), repeated: lines(repeated) };
}

function lines(rights: readonly Right[]): string[] {
  return [...new Set(rights.map(wordsOf))].sort();
}
