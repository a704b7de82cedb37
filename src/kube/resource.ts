import type { ObjectMeta as OwnMeta } from "../api/metadata.ts";

/** A resource of the Kubernetes API: the parts of its path, and the kind of its objects. */
export interface Resource {
  /** `""` for the core group. */
  group: string;
  version: string;
  /** Lower case, as in a path. */
  plural: string;
  kind: string;
  namespaced: boolean;
}

/** The fields that one manager owns: one entry for each field manager, operation, API version and subresource. */
export interface ManagedFieldsEntry {
  manager?: string;
  operation?: string;
  apiVersion?: string;
  time?: string;
  fieldsType?: string;
  /**
   * A set of field paths as nested objects: `f:` before a field's name, `k:` before a list item's key. In a cache, the
   * JSON text.
   */
  fieldsV1?: object | string;
  subresource?: string;
}

/** An owner: Kubernetes' garbage collector deletes an object when all its owners are deleted. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** The part of metav1.ObjectMeta that the operator uses. */
export interface ObjectMeta extends OwnMeta {
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
  managedFields?: ManagedFieldsEntry[];
}

/** Any object of the API. List items of a core resource have no apiVersion and kind. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
}

const core = { group: "", version: "v1" } as const;
const apps = { group: "apps", version: "v1" } as const;
const keyferry = { group: "keyferry.io", version: "v1alpha1" } as const;

export const secrets: Resource = { ...core, plural: "secrets", kind: "Secret", namespaced: true };
export const namespaces: Resource = { ...core, plural: "namespaces", kind: "Namespace", namespaced: false };
export const serviceAccounts: Resource = {
  ...core,
  plural: "serviceaccounts",
  kind: "ServiceAccount",
  namespaced: true,
};
export const events: Resource = {
  group: "events.k8s.io",
  version: "v1",
  plural: "events",
  kind: "Event",
  namespaced: true,
};
export const leases: Resource = {
  group: "coordination.k8s.io",
  version: "v1",
  plural: "leases",
  kind: "Lease",
  namespaced: true,
};
export const pods: Resource = { ...core, plural: "pods", kind: "Pod", namespaced: true };
export const deployments: Resource = { ...apps, plural: "deployments", kind: "Deployment", namespaced: true };
export const statefulSets: Resource = { ...apps, plural: "statefulsets", kind: "StatefulSet", namespaced: true };
export const daemonSets: Resource = { ...apps, plural: "daemonsets", kind: "DaemonSet", namespaced: true };
export const cronJobs: Resource = {
  group: "batch",
  version: "v1",
  plural: "cronjobs",
  kind: "CronJob",
  namespaced: true,
};
/** Of Argo Rollouts. */
export const rollouts: Resource = {
  group: "argoproj.io",
  version: "v1alpha1",
  plural: "rollouts",
  kind: "Rollout",
  namespaced: true,
};
export const tokenReviews: Resource = {
  group: "authentication.k8s.io",
  version: "v1",
  plural: "tokenreviews",
  kind: "TokenReview",
  namespaced: false,
};
export const subjectAccessReviews: Resource = {
  group: "authorization.k8s.io",
  version: "v1",
  plural: "subjectaccessreviews",
  kind: "SubjectAccessReview",
  namespaced: false,
};
export const syncedSecrets: Resource = {
  ...keyferry,
  plural: "syncedsecrets",
  kind: "SyncedSecret",
  namespaced: true,
};
export const awsConnections: Resource = {
  ...keyferry,
  plural: "awsconnections",
  kind: "AWSConnection",
  namespaced: true,
};
export const clusterAWSConnections: Resource = {
  ...keyferry,
  plural: "clusterawsconnections",
  kind: "ClusterAWSConnection",
  namespaced: false,
};
