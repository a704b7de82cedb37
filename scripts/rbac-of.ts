import type { Scope } from "./rbac-features.ts";
import type { Right } from "./rights-of.ts";

/** What one switch grants in one scope. */
export interface Granted {
  /** The value that turns it on; undefined for what every installation has. */
  feature: string | undefined;
  scope: Scope;
  rights: readonly Right[];
}

/** What the operator needs some verbs on a resource for. */
export type Purpose = readonly [resource: string, verbs: string, purpose: string];

const workloadsList = "finds the workloads that use a changed Secret, and follows their rollouts";
const workloadsPatch = "sets an annotation of the pod template, which restarts the workload";

/** Of each verb that the chart grants. */
export const operatorPurposes: readonly Purpose[] = [
  ["syncedsecrets.keyferry.io", "list watch", "finds SyncedSecrets and their changes"],
  ["syncedsecrets.keyferry.io", "get", "reads a SyncedSecret for which a namespace's share of the cache has no room"],
  ["syncedsecrets.keyferry.io/status", "patch", "writes the status, by server-side apply"],
  ["awsconnections.keyferry.io", "list watch", "finds connections and their changes"],
  ["awsconnections.keyferry.io/status", "patch", "writes the status, by server-side apply"],
  ["clusterawsconnections.keyferry.io", "list watch", "finds connections and their changes"],
  ["clusterawsconnections.keyferry.io/status", "patch", "writes the status, by server-side apply"],
  ["clusterawsconnections.keyferry.io", "create", "creates the connection `default` if there is none"],
  ["namespaces", "list watch", "connections select namespaces by their labels"],
  [
    "secrets",
    "list watch",
    "watches the metadata of Secrets with the operator's label, and of each Secret with credentials by its name",
  ],
  [
    "secrets",
    "get",
    "reads credentials that a connection names, the metadata of a target that has no label yet, and the keys of a target that are to stay while their source is missing",
  ],
  [
    "secrets",
    "create patch",
    "writes targets by server-side apply, which is a patch. If the Secret does not exist, it needs create as well",
  ],
  ["secrets", "delete", "deletes the Secret of a former target name, and those of `whenMissing: DeleteSecret`"],
  ["events.events.k8s.io", "create patch", "records an event, and counts its repetitions"],
  ["leases.coordination.k8s.io", "create", "creates Leases. A create has no resource name"],
  ["leases.coordination.k8s.io", "get update", "takes, renews and releases the Lease"],
  [
    "leases.coordination.k8s.io",
    "list watch",
    "sees the changes of the Lease; with shards, those of all Leases, because a watch of several names none",
  ],
  ["serviceaccounts", "get", "reads the annotation with the role of a ServiceAccount that a connection names"],
  ["serviceaccounts/token", "create", "requests a token of that ServiceAccount for AWS STS"],
  ["deployments.apps", "list", workloadsList],
  ["deployments.apps", "patch", workloadsPatch],
  ["statefulsets.apps", "list", workloadsList],
  ["statefulsets.apps", "patch", workloadsPatch],
  ["daemonsets.apps", "list", workloadsList],
  ["daemonsets.apps", "patch", workloadsPatch],
  ["rollouts.argoproj.io", "list", workloadsList],
  ["rollouts.argoproj.io", "patch", workloadsPatch],
  ["pods", "list", "tells which pods run with the current bytes: metadata only, and statuses with `onFailure: Revert`"],
  ["cronjobs.batch", "list", "tells which CronJobs use the Secret; they need no restart"],
  ["tokenreviews.authentication.k8s.io", "create", "asks whose the token of a client of `/metrics` is"],
  ["subjectaccessreviews.authorization.k8s.io", "create", "asks whether that user may get `/metrics`"],
];

/** Where a right applies. The namespaces are those of `scopes`, and of a rendered release. */
function placeOf({ namespace }: Right, releaseNamespace: string): string {
  switch (namespace) {
    case "":
      return "cluster";
    case releaseNamespace:
      return "its own namespace";
    case "each":
      return "each of `namespaces`";
    case "connection":
      return "that of `defaultConnection`";
    default:
      throw new Error(`a right in namespace ${namespace}, which has no name in the table`);
  }
}

/**
 * The rows of the table: resource, verbs, where in each scope, the switch, and what for. Pure.
 *
 * @throws Error if a right has no purpose, or if a purpose has no right
 */
export function rbacTable(all: readonly Granted[], releaseNamespace: string, purposes: readonly Purpose[]): string {
  const unused = new Set(purposes);
  const rows = new Map<string, { purpose: Purpose; feature: string | undefined; name: string; cells: Cells }>();
  for (const { feature, scope, rights } of all) {
    for (const right of rights) {
      const { resource, verb } = right;
      // One row for the names that differ in their number: -I is what docs call it.
      const name = right.name.replace(/-[0-9]+$/, "-I");
      const purpose = purposes.find(([of, verbs]) => of === resource && verbs.split(" ").includes(verb));
      if (!purpose) throw new Error(`scripts/rbac-of.ts does not say what ${verb} ${resource} is for`);
      unused.delete(purpose);
      const key = JSON.stringify([feature, purpose[0], purpose[1], name]);
      const row = rows.get(key) ?? { purpose, feature, name, cells: { cluster: new Map(), namespaces: new Map() } };
      const places = row.cells[scope];
      const place = placeOf(right, releaseNamespace);
      places.set(place, (places.get(place) ?? new Set()).add(verb));
      rows.set(key, row);
    }
  }
  if (unused.size > 0) {
    throw new Error(`nothing is granted for: ${[...unused].map(([of, verbs]) => `${verbs} ${of}`).join(", ")}`);
  }
  const lines = [...rows.values()].map(({ purpose: [resource, verbs, text], feature, name, cells }) => {
    const what = `\`${resource}\`${name === "" ? "" : `, only \`${name}\``}`;
    const where = [cells.cluster, cells.namespaces].map((places) => wordsOf(places, verbs));
    const on = feature === undefined ? "always" : `\`${feature}\``;
    return `| ${[what, marked(verbs), ...where, on, text].join(" | ")} |`;
  });
  return [
    "| resource | verbs | `scope: cluster` | `scope: namespaces` | with | what for |",
    "| --- | --- | --- | --- | --- | --- |",
    ...lines,
  ].join("\n");
}

/** By place, the verbs that are granted there. */
type Cells = Record<Scope, Map<string, Set<string>>>;

function wordsOf(places: ReadonlyMap<string, ReadonlySet<string>>, verbs: string): string {
  if (places.size === 0) return "no";
  return [...places]
    .map(([place, granted]) => {
      const isWhole = verbs.split(" ").every((verb) => granted.has(verb));
      return isWhole ? place : `${place} (${marked([...granted].join(" "))})`;
    })
    .join("; ");
}

function marked(verbs: string): string {
  return verbs
    .split(" ")
    .map((verb) => `\`${verb}\``)
    .join(", ");
}
