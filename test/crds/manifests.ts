import type { Manifest } from "./dry-run.ts";

const apiVersion = "keyferry.io/v1alpha1";

/** A SyncedSecret of the namespace default. */
export function syncedSecret(spec: unknown, name = "checkout"): Manifest {
  return { apiVersion, kind: "SyncedSecret", metadata: { name, namespace: "default" }, spec };
}

/** A SyncedSecret with one entry of data, key DB, and more fields of the spec. */
export function withEntry(entry: object, spec: object = {}): Manifest {
  return syncedSecret({ data: [{ key: "DB", ...entry }], ...spec });
}

/** A SyncedSecret with one parameter, and more fields of the spec. */
export function withSpec(spec: object): Manifest {
  return withEntry({ parameter: { name: "/shop/db" } }, spec);
}

/** A SyncedSecret that takes one parameter of this name, as data and as a document. */
export function withName(name: string): Manifest[] {
  return [withEntry({ parameter: { name } }), withSource({ parameter: { name }, format: "JSON" })];
}

/** A SyncedSecret with one entry of dataFrom. */
export function withSource(entry: object): Manifest {
  return syncedSecret({ dataFrom: [entry] });
}

/** An AWSConnection that is complete but for these fields. */
export function connection(spec: object): Manifest {
  const whole = { region: "eu-west-1", auth: { secretRef: { name: "aws" } }, ...spec };
  return { apiVersion, kind: "AWSConnection", metadata: { name: "aws", namespace: "default" }, spec: whole };
}

/** A ClusterAWSConnection that is complete but for these fields. */
export function clusterConnection(spec: object): Manifest {
  const whole = { region: "eu-west-1", allow: { namespaces: { names: ["shop"] } }, ...spec };
  return { apiVersion, kind: "ClusterAWSConnection", metadata: { name: "default" }, spec: whole };
}

/** A ClusterAWSConnection for the namespace shop, with more fields of allow. */
export function allowing(allow: object): Manifest {
  return clusterConnection({ allow: { namespaces: { names: ["shop"] }, ...allow } });
}
